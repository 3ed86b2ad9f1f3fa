"""Counters of the host and of this process while a block is timed: foreign CPU use, throttling, page faults,
threads."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from etui.host import sensors

BUSY_THREAD_SHARE = 0.05
"""A thread that used the CPU for this share of a block counts as busy; libraries' helper threads use far less."""

_HZ = os.sysconf("SC_CLK_TCK")


class WorkerReading(NamedTuple):
    """One reading of the host's counters and of this process's, all threads included. ``thread_s`` is the CPU time of
    each thread by its id, in seconds."""

    host: sensors.Reading
    own_cpu_s: float
    major_faults: int
    minor_faults: int
    thread_s: Mapping[int, float] = {}


class CounterChanges(NamedTuple):
    """The changes between two readings; None if not readable here. ``busy_threads`` is the number of busy threads of
    this process, of any library."""

    host: sensors.Span
    cpu_s: float
    foreign_cpu_cores: float | None
    major_faults: int
    minor_faults: int
    busy_threads: int | None


def read_counters(cpus: Collection[int] | None = None) -> WorkerReading:
    """Read the counters; with ``cpus`` only the frequencies of these CPUs."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return WorkerReading(
        sensors.read(cpus=cpus), time.process_time(), usage.ru_majflt, usage.ru_minflt, _thread_times()
    )


def changes_between(before: WorkerReading, after: WorkerReading) -> CounterChanges:
    """Return the changes between two readings. Foreign CPU use and busy threads are None for a span that is too short
    for the kernel's tick resolution."""
    span = sensors.between(before.host, after.host)
    own_s = after.own_cpu_s - before.own_cpu_s
    busy = None
    if span.wall_s >= sensors.SHORTEST_TICKS / _HZ and after.thread_s:
        least_s = BUSY_THREAD_SHARE * span.wall_s
        busy = sum(spent - before.thread_s.get(thread, 0.0) >= least_s for thread, spent in after.thread_s.items())
    return CounterChanges(
        host=span,
        cpu_s=own_s,
        foreign_cpu_cores=None if span.busy_cores is None else max(0.0, span.busy_cores - own_s / span.wall_s),
        major_faults=after.major_faults - before.major_faults,
        minor_faults=after.minor_faults - before.minor_faults,
        busy_threads=busy,
    )


def _thread_times(folder: Path = Path("/proc/self/task")) -> dict[int, float]:
    """Return the CPU time of each thread of this process in seconds; empty if not readable."""
    times_s = {}
    for task in folder.iterdir() if folder.is_dir() else ():
        try:
            # The thread name, in parentheses, may contain anything; user and system time are fields 12 and 13 after it.
            fields = (task / "stat").read_bytes().rpartition(b")")[2].split()
            times_s[int(task.name)] = (int(fields[11]) + int(fields[12])) / _HZ
        except (OSError, ValueError, IndexError):
            continue
    return times_s
