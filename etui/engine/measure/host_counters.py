"""What else went on on the machine while a block was timed, beside what the process itself did."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from etui.host import sensors

BUSY_THREAD_SHARE = 0.05
"""A thread that worked for this share of a block took part in it; what libraries keep beside works far less."""

_HZ = os.sysconf("SC_CLK_TCK")


class Reading(NamedTuple):
    """One look at the machine's counters and at this process's own, all its threads included. ``thread_s`` is the CPU
    time of each thread, in seconds."""

    box: sensors.Reading
    own_cpu_s: float
    major_faults: int
    minor_faults: int
    thread_s: Mapping[int, float] = {}


class Watched(NamedTuple):
    """What happened between two readings; None is 'not readable here'. ``busy_threads`` is how many threads of this
    process, of whichever library, worked."""

    box: sensors.Span
    cpu_s: float
    foreign_cpu_cores: float | None
    major_faults: int
    minor_faults: int
    busy_threads: int | None


def read(cpus: Collection[int] | None = None) -> Reading:
    """Look at the counters now; frequencies of these CPUs only, where some are named."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Reading(sensors.read(cpus=cpus), time.process_time(), usage.ru_majflt, usage.ru_minflt, _thread_times())


def between(before: Reading, after: Reading) -> Watched:
    """The difference of two readings. Foreign CPU and busy threads are None over a span too short for the kernel's
    ticks."""
    span = sensors.between(before.box, after.box)
    own = after.own_cpu_s - before.own_cpu_s
    busy = None
    if span.wall_s >= sensors.SHORTEST_TICKS / _HZ and after.thread_s:
        least_s = BUSY_THREAD_SHARE * span.wall_s
        busy = sum(spent - before.thread_s.get(thread, 0.0) >= least_s for thread, spent in after.thread_s.items())
    return Watched(
        box=span,
        cpu_s=own,
        foreign_cpu_cores=None if span.busy_cores is None else max(0.0, span.busy_cores - own / span.wall_s),
        major_faults=after.major_faults - before.major_faults,
        minor_faults=after.minor_faults - before.minor_faults,
        busy_threads=busy,
    )


def _thread_times(folder: Path = Path("/proc/self/task")) -> dict[int, float]:
    """The CPU time of each thread of this process in seconds; empty where that is not readable."""
    found = {}
    for task in folder.iterdir() if folder.is_dir() else ():
        try:
            # The name, in brackets, may hold anything; user and system time are the 12th and 13th field behind it.
            fields = (task / "stat").read_bytes().rpartition(b")")[2].split()
            found[int(task.name)] = (int(fields[11]) + int(fields[12])) / _HZ
        except (OSError, ValueError, IndexError):
            continue
    return found
