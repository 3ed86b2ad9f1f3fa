"""Checks of the hardware: cores, clock, load, quota, heat, virtualization and memory, from /proc and /sys."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path

from etui.doctor.finding import Finding
from etui.errors import EtuiError
from etui.host import cgroups, cuda, environment, sensors
from etui.host.cpus import allowed_cpus, usable_cores
from etui.store.kept_peaks import kept_peaks
from etui.text import number, seconds, size
from etui.wording.peaks import short

_LITTLE_MEMORY_BYTES = 4_000_000_000
_NO_MEMORY_BYTES = 1_000_000_000


def cores() -> Finding:
    """Check the number of cores this process may use."""
    cores = usable_cores()
    if cores < 2:
        return Finding(
            name="cores",
            status="warn",
            seen="1 core is available: any other process disturbs the measurement",
            advice="give the machine or container two or more cores",
        )
    return Finding(name="cores", status="ok", seen=f"{cores} cores are available")


def gpu() -> Finding:
    """Check for a GPU that the installed torch can use."""
    problem = cuda.cuda_problem()
    if not cuda.gpus() or problem is None:
        seen = "no CUDA device"
        if problem is None:
            names = ", ".join(each.name for each in cuda.gpus())
            seen = f"{names}, driver {cuda.gpus()[0].driver}, CUDA {cuda.torch_build()}: etui run --baseline cuda"
        return Finding(name="GPU", status="ok", seen=seen)
    return Finding(name="GPU", status="warn", seen=problem[0], advice=problem[1])


def governor(root: Path) -> Finding:
    """Check the frequency governor of the cores."""
    name = environment.governor(root)
    if name is None:
        return Finding(
            name="frequency governor",
            status="unknown",
            seen="cannot be read",
            advice="on the host: cpupower frequency-info",
        )
    if name == "performance":
        return Finding(name="frequency governor", status="ok", seen=name)
    return Finding(
        name="frequency governor",
        status="warn",
        seen=f"{name}: the clock frequency depends on the load",
        advice="sudo cpupower frequency-set -g performance",
    )


def turbo(root: Path) -> Finding:
    """Check whether the CPU may exceed its base frequency (turbo or boost)."""
    enabled = environment.turbo(root)
    if enabled is None:
        return Finding(name="turbo", status="unknown", seen="cannot be read")
    if enabled:
        return Finding(
            name="turbo",
            status="warn",
            seen="on: short bursts run faster than long measurements",
            advice="echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo (or 0 > cpufreq/boost)",
        )
    return Finding(name="turbo", status="ok", seen="off")


def load() -> Finding:
    """Check the load average of the machine."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return Finding(name="load", status="unknown", seen="cannot be read")
    cores = usable_cores()
    seen = f"{load:.2f} over the last minute on {cores} cores"
    if load > 0.25 * cores:
        return Finding(
            name="load", status="warn", seen=seen, advice="stop other programs while measuring (top shows them)"
        )
    return Finding(name="load", status="ok", seen=seen)


def quota(root: Path) -> Finding:
    """Check the CPU quota of the cgroup."""
    cpus, throttled = cgroups.cgroup_cpus(root), cgroups.throttled_seconds(root)
    throttling = f"; throttled for {seconds(throttled)} so far" if throttled else ""
    cores = len(allowed_cpus())
    if cpus is None:
        if not cgroups.cgroup_folders(root, "cpu"):
            return Finding(name="CPU quota", status="unknown", seen="no cgroup can be read")
        return Finding(name="CPU quota", status="ok", seen=f"none{throttling}")
    seen = f"{number(cpus)} CPUs for {cores} cores{throttling}"
    if cpus < cores:
        return Finding(
            name="CPU quota",
            status="warn",
            seen=seen,
            advice=f"raise the container's CPU limit, or use --threads {max(1, int(cpus))}",
        )
    if throttled:
        return Finding(
            name="CPU quota", status="warn", seen=seen, advice="raise the limit or stop other programs in the container"
        )
    return Finding(name="CPU quota", status="ok", seen=seen)


def heat(root: Path) -> Finding:
    """Check how often the cores were throttled because of heat."""
    count = sensors.thermal_throttles(root)
    if count is None:
        return Finding(name="heat", status="unknown", seen="the throttling counters cannot be read")
    if count:
        return Finding(
            name="heat",
            status="warn",
            seen=f"throttled {count} times since boot",
            advice="improve the cooling, and let the machine cool down between runs",
        )
    return Finding(name="heat", status="ok", seen="never throttled since boot")


def watching(root: Path) -> Finding:
    """Check which disturbances can be detected while a block is timed."""
    missing = sensors.not_readable(root)
    if not missing:
        return Finding(name="watching", status="ok", seen="every disturbance of a block can be detected")
    return Finding(
        name="watching",
        status="unknown",
        seen=f"cannot be read: {', '.join(missing)}",
        advice="these cannot raise a flag: compare runs of one session, or measure on a machine where they can be read",
    )


def virtual(root: Path) -> Finding:
    """Check whether this is a virtual machine."""
    virtualized = environment.virtualized(_text(root / "proc/cpuinfo"))
    if virtualized is None:
        return Finding(name="virtual machine", status="unknown", seen="cannot be read")
    if not virtualized:
        return Finding(name="virtual machine", status="ok", seen="no")
    ticks = [int(tick) for tick in re.findall(r"\d+", _text(root / "proc/stat").partition("\n")[0])]
    stolen = f"; {100 * ticks[7] / sum(ticks[:8]):.1f} % of CPU time stolen since boot" if len(ticks) > 7 else ""
    return Finding(
        name="virtual machine",
        status="warn",
        seen=f"yes: other virtual machines on the host can take CPU time{stolen}",
        advice="compare only runs of one session, or measure on a physical machine",
    )


def memory(root: Path) -> Finding:
    """Check how much memory is available."""
    match = re.search(r"^MemAvailable:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if match is None:
        return Finding(name="memory", status="unknown", seen="cannot be read")
    free, total = int(match.group(1)) * 1024, environment.memory_bytes(root)
    if total is not None:
        free = min(free, total)
    seen = f"{size(free)} available of {size(total)}"
    if free < _NO_MEMORY_BYTES:
        return Finding(name="memory", status="bad", seen=seen, advice="stop other programs: torch alone needs 1 GB")
    if free < _LITTLE_MEMORY_BYTES:
        return Finding(
            name="memory", status="warn", seen=seen, advice="stop other programs before preparing large models"
        )
    return Finding(name="memory", status="ok", seen=seen)


def peaks() -> Finding:
    """Check whether the peaks of this machine were measured, with which rooflines are compared."""
    host = socket.gethostname()
    with contextlib.suppress(EtuiError):
        if found := kept_peaks(host):
            threads = ", ".join(str(each.threads) for each in found)
            return Finding(name="peaks", status="ok", seen=f"measured, threads: {threads}; {short(found[-1])}")
    return Finding(
        name="peaks",
        status="unknown",
        seen="not measured: rooflines have nothing to compare with",
        advice="etui peaks",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
