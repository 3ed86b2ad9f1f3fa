"""The logical CPUs this process may use, and those its workers run on, so that every variant has the same cores."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from etui.host.cgroups import cgroup_cpus

_CPU_FOLDER = "sys/devices/system/cpu"


def allowed_cpus() -> list[int]:
    """The logical CPUs that this process may run on, by its affinity, in ascending order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores(root: Path = Path("/")) -> int:
    """How many logical CPUs this process can keep busy: those of its affinity, or what the cgroup's CPU quota allows
    if that is fewer. A fraction of a CPU is rounded down, but the result is at least 1."""
    cpus, quota = len(allowed_cpus()), cgroup_cpus(root)
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def measuring_cpus(threads: int, root: Path = Path("/")) -> list[int]:
    """The CPUs that workers with this many threads are held to, in ascending order. ``root`` holds /sys.

    One CPU of each physical core comes before its siblings, fast cores before slow ones, cores of one package before
    those of the next, and CPU 0, which serves most interrupts, last in its package. All that this process may use
    where it may use no more than ``threads``.
    """
    return cpu_sets(threads, root)[0]


def cpu_sets(threads: int, root: Path = Path("/")) -> list[list[int]]:
    """Disjoint sets of ``threads`` CPUs each, as many as there are, the best first; at least one set."""
    ranked = _ranked(allowed_cpus(), root)
    count = max(1, len(ranked) // threads)
    return [sorted(ranked[index * threads : (index + 1) * threads]) for index in range(count)]


def competing_cpus(cpus: Collection[int], root: Path = Path("/")) -> set[int]:
    """These CPUs and their siblings on the same physical cores: where another program's work slows theirs down."""
    return {one for cpu in cpus for one in _siblings(root / _CPU_FOLDER / f"cpu{cpu}", cpu)}


class _Place(NamedTuple):
    """Where a CPU stands in the order of preference; less is better."""

    sibling: int
    slowness: int
    package: int
    has_cpu_0: bool
    cpu: int


def _ranked(cpus: list[int], root: Path) -> list[int]:
    places = []
    for cpu in cpus:
        folder = root / _CPU_FOLDER / f"cpu{cpu}"
        siblings = _siblings(folder, cpu)
        allowed = [one for one in siblings if one in cpus]
        capacity = _number(folder / "cpu_capacity") or _number(folder / "cpufreq/cpuinfo_max_freq") or 0
        package = _number(folder / "topology/physical_package_id") or 0
        places.append(_Place(allowed.index(cpu), -capacity, package, 0 in siblings, cpu))
    return [place.cpu for place in sorted(places)]


def _siblings(folder: Path, cpu: int) -> list[int]:
    """The CPUs of the same physical core, this one included; itself alone where the topology is not readable."""
    try:
        found = parse_cpu_list((folder / "topology/thread_siblings_list").read_text())
    except (OSError, ValueError):
        return [cpu]
    return found if cpu in found else [cpu]


def parse_cpu_list(text: str) -> list[int]:
    """The CPUs of a list as the kernel writes it, such as ``0-3,8``. Raises ValueError for anything else."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return sorted(found)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
