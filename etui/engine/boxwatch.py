"""What else went on in the box while a block was timed: foreign CPU, steal, throttling, frequency, memory pressure."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from etui.environment import throttled_seconds

_HZ = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


SHORTEST_TICKS = 25
"""Over fewer ticks of the kernel's CPU clock, one tick more or less would pass for another process's work."""


class Reading(NamedTuple):
    """One look at the counters; None is 'not readable here'."""

    wall_s: float
    own_cpu_s: float
    busy_cpu_s: float | None
    steal_s: float | None
    throttled_ms: float | None
    frequency_mhz: float | None


class Watched(NamedTuple):
    """What happened between two readings."""

    wall_s: float
    cpu_s: float
    foreign_cpu_cores: float | None
    steal_s: float | None
    throttled_ms: float | None
    frequency_mhz: tuple[float, float] | None


def read() -> Reading:
    """Look at the counters now. The process's own CPU time covers all its threads."""
    busy, steal = _cpu_times()
    throttled_s = throttled_seconds()
    throttled_ms = None if throttled_s is None else throttled_s * 1e3
    return Reading(time.perf_counter(), time.process_time(), busy, steal, throttled_ms, _frequency_mhz())


def between(before: Reading, after: Reading) -> Watched:
    """The difference of two readings. Foreign CPU and steal are None over a span too short for the kernel's ticks."""
    wall = after.wall_s - before.wall_s
    own = after.own_cpu_s - before.own_cpu_s
    foreign = None
    long_enough = wall >= SHORTEST_TICKS / _HZ
    if before.busy_cpu_s is not None and after.busy_cpu_s is not None and long_enough:
        foreign = max(0.0, after.busy_cpu_s - before.busy_cpu_s - own) / wall
    frequency = None
    if before.frequency_mhz is not None and after.frequency_mhz is not None:
        frequency = (before.frequency_mhz, after.frequency_mhz)
    return Watched(
        wall_s=wall,
        cpu_s=own,
        foreign_cpu_cores=foreign,
        steal_s=_minus(after.steal_s, before.steal_s) if long_enough else None,
        throttled_ms=_minus(after.throttled_ms, before.throttled_ms),
        frequency_mhz=frequency,
    )


def memory_pressure() -> float | None:
    """Share of the last ten seconds, in percent, in which some task waited for memory (PSI), or None."""
    try:
        first = Path("/proc/pressure/memory").read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    for word in first.split():
        if word.startswith("avg10="):
            return float(word.removeprefix("avg10="))
    return None


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _cpu_times() -> tuple[float | None, float | None]:
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) / _HZ for field in fields[:8])
    return user + nice + system + irq + softirq, steal


def _frequency_mhz() -> float | None:
    values = []
    for file in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        try:
            values.append(int(file.read_text()) / 1e3)
        except (OSError, ValueError):
            return None
    return sum(values) / len(values) if values else None
