"""Select the logical CPUs of workers from those this process may use, so that every variant runs on the same cores."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from etui.host.cgroups import cgroup_cpus

_CPU_FOLDER = "sys/devices/system/cpu"


def allowed_cpus() -> list[int]:
    """Return the logical CPUs in the affinity of this process, in ascending order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of logical CPUs this process can keep busy: those of its affinity, or those of the cgroup's CPU
    quota if fewer. A fraction of a CPU is rounded down, but the result is at least 1."""
    cpus, quota = len(allowed_cpus()), cgroup_cpus(root)
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def measuring_cpus(threads: int, root: Path = Path("/")) -> list[int]:
    """Return the CPUs that workers with ``threads`` threads are pinned to, in ascending order. ``root`` contains /sys.

    One CPU of each physical core is preferred to its siblings, fast cores to slow ones, cores of one package to those
    of the next, and CPU 0, which handles most interrupts, comes last in its package. All allowed CPUs if there are no
    more than ``threads``.
    """
    return cpu_sets(threads, root)[0]


def cpu_sets(threads: int, root: Path = Path("/")) -> list[list[int]]:
    """Return as many disjoint sets of ``threads`` CPUs as possible, best first; at least one set."""
    ranked = _ranked(allowed_cpus(), root)
    count = max(1, len(ranked) // threads)
    return [sorted(ranked[index * threads : (index + 1) * threads]) for index in range(count)]


def competing_cpus(cpus: Collection[int], root: Path = Path("/")) -> set[int]:
    """Return these CPUs and their siblings on the same physical cores, whose load slows them down."""
    return {sibling for cpu in cpus for sibling in _siblings(root / _CPU_FOLDER / f"cpu{cpu}", cpu)}


class _Rank(NamedTuple):
    """The rank of a CPU in the order of preference; lower is better."""

    sibling: int
    slowness: int
    package: int
    has_cpu_0: bool
    cpu: int


def _ranked(cpus: list[int], root: Path) -> list[int]:
    ranks = []
    for cpu in cpus:
        folder = root / _CPU_FOLDER / f"cpu{cpu}"
        siblings = _siblings(folder, cpu)
        allowed = [sibling for sibling in siblings if sibling in cpus]
        capacity = _number(folder / "cpu_capacity") or _number(folder / "cpufreq/cpuinfo_max_freq") or 0
        package = _number(folder / "topology/physical_package_id") or 0
        ranks.append(_Rank(allowed.index(cpu), -capacity, package, 0 in siblings, cpu))
    return [rank.cpu for rank in sorted(ranks)]


def _siblings(folder: Path, cpu: int) -> list[int]:
    """The CPUs of the same physical core, including this one; only this one if the topology is not readable."""
    try:
        siblings = parse_cpu_list((folder / "topology/thread_siblings_list").read_text())
    except (OSError, ValueError):
        return [cpu]
    return siblings if cpu in siblings else [cpu]


def parse_cpu_list(text: str) -> list[int]:
    """Parse a CPU list in the kernel's format, such as ``0-3,8``. Raises ValueError for anything else."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return sorted(cpus)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
