"""The box itself: cores, clock, load, quota, heat, virtualization and memory, from /proc and /sys under a root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from etui.doctor.finding import Finding
from etui.host import cgroups, environment, sensors
from etui.host.cpus import allowed_cpus, usable_cores
from etui.text import number, seconds, size

_LITTLE_MEMORY_BYTES = 4_000_000_000
_NO_MEMORY_BYTES = 1_000_000_000


def cores() -> Finding:
    """How many cores this process may use."""
    cores = usable_cores()
    if cores < 2:
        return Finding(
            name="cores",
            status="warn",
            seen="1 core may be used: whatever else runs disturbs the measurement",
            advice="give the box or container two cores or more",
        )
    return Finding(name="cores", status="ok", seen=f"{cores} cores may be used")


def governor(root: Path) -> Finding:
    """The cores' frequency governor."""
    found = environment.governor(root)
    if found is None:
        return Finding(
            name="frequency governor",
            status="unknown",
            seen="not readable here",
            advice="on the host: cpupower frequency-info",
        )
    if found == "performance":
        return Finding(name="frequency governor", status="ok", seen=found)
    return Finding(
        name="frequency governor",
        status="warn",
        seen=f"{found}: the clock follows the load",
        advice="sudo cpupower frequency-set -g performance",
    )


def turbo(root: Path) -> Finding:
    """Whether the CPU may clock itself up."""
    found = environment.turbo(root)
    if found is None:
        return Finding(name="turbo", status="unknown", seen="not readable here")
    if found:
        return Finding(
            name="turbo",
            status="warn",
            seen="on: short bursts run faster than a long measurement",
            advice="echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo (or 0 > cpufreq/boost)",
        )
    return Finding(name="turbo", status="ok", seen="off")


def load() -> Finding:
    """What else the box does."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return Finding(name="load", status="unknown", seen="not readable here")
    cores = usable_cores()
    seen = f"{load:.2f} over the last minute on {cores} cores"
    if load > 0.25 * cores:
        return Finding(name="load", status="warn", seen=seen, advice="stop other work while measuring; see top")
    return Finding(name="load", status="ok", seen=seen)


def quota(root: Path) -> Finding:
    """The cgroup's CPU quota."""
    cpus, throttled = cgroups.cgroup_cpus(root), cgroups.throttled_seconds(root)
    held = f"; held back for {seconds(throttled)} so far" if throttled else ""
    cores = len(allowed_cpus())
    if cpus is None:
        if not cgroups.cgroup_folders(root, "cpu"):
            return Finding(name="CPU quota", status="unknown", seen="no cgroup is readable here")
        return Finding(name="CPU quota", status="ok", seen=f"none{held}")
    seen = f"{number(cpus)} CPUs for {cores} cores{held}"
    if cpus < cores:
        return Finding(
            name="CPU quota",
            status="warn",
            seen=seen,
            advice=f"raise the container's CPU limit, or use --threads {max(1, int(cpus))}",
        )
    if throttled:
        return Finding(name="CPU quota", status="warn", seen=seen, advice="raise the limit or run less beside it")
    return Finding(name="CPU quota", status="ok", seen=seen)


def heat(root: Path) -> Finding:
    """How often the cores were throttled for heat."""
    count = sensors.thermal_throttles(root)
    if count is None:
        return Finding(name="heat", status="unknown", seen="throttling counters are not readable here")
    if count:
        return Finding(
            name="heat",
            status="warn",
            seen=f"throttled {count} times since it was started",
            advice="see to its cooling, and let it cool between runs",
        )
    return Finding(name="heat", status="ok", seen="never throttled since it was started")


def watching(root: Path) -> Finding:
    """What can be watched while a block is timed."""
    blind = sensors.not_readable(root)
    if not blind:
        return Finding(name="watching", status="ok", seen="all that spoils a block can be watched")
    return Finding(
        name="watching",
        status="unknown",
        seen=f"not readable here: {', '.join(blind)}",
        advice="no flag can come of these: compare within one session, or measure where they can be read",
    )


def virtual(root: Path) -> Finding:
    """Whether a hypervisor runs below."""
    found = environment.virtualized(_text(root / "proc/cpuinfo"))
    if found is None:
        return Finding(name="virtual machine", status="unknown", seen="not readable here")
    if not found:
        return Finding(name="virtual machine", status="ok", seen="no")
    ticks = [int(tick) for tick in re.findall(r"\d+", _text(root / "proc/stat").partition("\n")[0])]
    stolen = f"; {100 * ticks[7] / sum(ticks[:8]):.1f} % of its time stolen so far" if len(ticks) > 7 else ""
    return Finding(
        name="virtual machine",
        status="warn",
        seen=f"yes: neighbours on the host can take time{stolen}",
        advice="compare only runs of one session, or measure on bare metal",
    )


def memory(root: Path) -> Finding:
    """How much memory is free."""
    match = re.search(r"^MemAvailable:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if match is None:
        return Finding(name="memory", status="unknown", seen="not readable here")
    free, total = int(match.group(1)) * 1024, environment.memory_bytes(root)
    if total is not None:
        free = min(free, total)
    seen = f"{size(free)} available of {size(total)}"
    if free < _NO_MEMORY_BYTES:
        return Finding(name="memory", status="bad", seen=seen, advice="end other programs: torch alone needs 1 GB")
    if free < _LITTLE_MEMORY_BYTES:
        return Finding(
            name="memory", status="warn", seen=seen, advice="end other programs before preparing large models"
        )
    return Finding(name="memory", status="ok", seen=seen)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
