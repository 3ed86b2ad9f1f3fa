"""What else went on in the box while a block was timed, beside what the process itself did."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple

from etui import sensors


class Reading(NamedTuple):
    """One look at the box's counters and at this process's own, all its threads included."""

    box: sensors.Reading
    own_cpu_s: float
    major_faults: int
    minor_faults: int


class Watched(NamedTuple):
    """What happened between two readings; None is 'not readable here'."""

    box: sensors.Span
    cpu_s: float
    foreign_cpu_cores: float | None
    major_faults: int
    minor_faults: int


def read() -> Reading:
    """Look at the counters now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Reading(sensors.read(), time.process_time(), usage.ru_majflt, usage.ru_minflt)


def between(before: Reading, after: Reading) -> Watched:
    """The difference of two readings. Foreign CPU is None over a span too short for the kernel's ticks."""
    span = sensors.between(before.box, after.box)
    own = after.own_cpu_s - before.own_cpu_s
    return Watched(
        box=span,
        cpu_s=own,
        foreign_cpu_cores=None if span.busy_cores is None else max(0.0, span.busy_cores - own / span.wall_s),
        major_faults=after.major_faults - before.major_faults,
        minor_faults=after.minor_faults - before.minor_faults,
    )
