"""Read the environment of the machine without torch: CPU, memory, frequency policy, quota and software versions."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from pathlib import Path

from etui.host import process_settings, sensors
from etui.host.cgroups import cgroup_cpus, cgroup_folders
from etui.host.cpus import allowed_cpus
from etui.results import Environment

_FRAMEWORKS = ("etui", "torch", "torchvision", "executorch", "torchao", "transformers")
_LIBRARIES = ("numpy", "textual")

# CPU flags that decide which kernels run.
_FLAGS = re.compile(
    r"^(sse4_2|avx|avx2|avx512\w+|avx_vnni|amx_\w+|fma|f16c|asimd|asimddp|asimdhp|i8mm|bf16|sve2?|neon|fphp)$"
)


def read_environment(root: Path = Path("/"), delegate_packages: Sequence[str] = ()) -> Environment:
    """Return the present environment. Unreadable facts are None; nothing is raised.

    ``root`` contains /proc and /sys; ``delegate_packages`` are the packages of delegates whose versions are read too.
    """
    cpuinfo = _read(root / "proc/cpuinfo") or ""
    return Environment(
        box=platform.node() or "unknown",
        os=_os_name(),
        cpu=cpu_model(cpuinfo),
        cores=len(allowed_cpus()),
        memory_bytes=memory_bytes(root),
        governor=governor(root),
        turbo=turbo(root),
        virtualized=virtualized(cpuinfo),
        cgroup_cpus=cgroup_cpus(root),
        python=platform.python_version(),
        versions=package_versions(delegate_packages),
        cpu_flags=cpu_flags(cpuinfo),
        not_readable=sensors.not_readable(root),
        variables=process_settings.variables(),
        nice=process_settings.nice_level(),
        affinity=process_settings.affinity(),
    )


def measuring_packages(delegate_packages: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the packages that can change a measurement."""
    return (*_FRAMEWORKS, *delegate_packages, *_LIBRARIES)


def package_versions(delegate_packages: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of the relevant installed packages, read from their metadata."""
    # Imported late: it imports mail and zip parsers, which most front ends do not need.
    from importlib import metadata

    versions = {}
    for name in measuring_packages(delegate_packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def cpu_model(cpuinfo: str) -> str:
    """Return the CPU model name from /proc/cpuinfo, else the machine's architecture."""
    match = re.search(r"^(?:model name|Hardware|Processor)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine() or "unknown"


def cpu_flags(cpuinfo: str | None = None) -> list[str]:
    """Return the CPU features that decide which kernels run, sorted; of this machine unless ``cpuinfo`` is given."""
    if cpuinfo is None:
        cpuinfo = _read(Path("/proc/cpuinfo")) or ""
    return sorted(flag for flag in _cpu_flags(cpuinfo) if _FLAGS.match(flag))


def virtualized(cpuinfo: str) -> bool | None:
    """Whether the CPU reports a hypervisor; None if its flags cannot be read."""
    flags = _cpu_flags(cpuinfo)
    # Only x86 has such a flag.
    return "hypervisor" in flags if "fpu" in flags else None


def memory_bytes(root: Path = Path("/")) -> int | None:
    """Return the memory available to this process in bytes: the machine's, or its cgroup's limit if lower."""
    match = re.search(r"^MemTotal:\s*(\d+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE)
    limits = [int(match.group(1)) * 1024] if match else []
    limits += [
        int(text)
        for folder in cgroup_folders(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _read(folder / name)) is not None and text.isdigit()
    ]
    return min(limits) if limits else None


def governor(root: Path = Path("/")) -> str | None:
    """Return the frequency governor of the allowed CPUs; different ones are joined by commas."""
    governors = {
        text
        for core in allowed_cpus()
        if (text := _read(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"))
    }
    return ",".join(sorted(governors)) or None


def turbo(root: Path = Path("/")) -> bool | None:
    """Whether the CPU may exceed its nominal frequency; None if not readable."""
    cpu = root / "sys/devices/system/cpu"
    if (text := _read(cpu / "intel_pstate/no_turbo")) is not None:
        return text == "0"
    if (text := _read(cpu / "cpufreq/boost")) is not None:
        return text == "1"
    return None


def _cpu_flags(cpuinfo: str) -> frozenset[str]:
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return frozenset(match.group(1).split()) if match else frozenset()


def _os_name() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None
