"""Readings of the machine, one per second, and which of them would disturb a block timed in that second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from etui.host import environment, sensors
from etui.text import number, percent

UNKNOWN = "not readable"
SETTLED = 0.05
"""The part of a core that background work always keeps busy."""


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """The readings of one second; None means that a value cannot be read. The pressures are percentages of that
    second."""

    at: str
    busy_cores: float | None
    steal_share: float | None
    throttled_ms: float | None
    cpu_pressure: float | None
    memory_pressure: float | None
    frequency_mhz: float | None
    thermal_throttles: int | None
    load: float | None
    governor: str | None


COLUMNS = ("time", "busy cores", "steal", "throttled", "CPU wait", "mem wait", "MHz", "thermal", "load", "governor")


def seconds(stop: threading.Event, *, limit_s: float | None = None, root: Path = Path("/")) -> Iterator[Second]:
    """Yield one reading per second, until ``stop`` is set or ``limit_s`` seconds have passed."""
    end = None if limit_s is None else time.monotonic() + limit_s
    before = sensors.read(root)
    while not stop.wait(1.0 if end is None else max(0.0, min(1.0, end - time.monotonic()))):
        now = sensors.read(root)
        # The last part of the limit may be too short for the resolution of the kernel's counters.
        if now.wall_s - before.wall_s >= 0.5:
            yield _second(sensors.between(before, now), now.frequency_mhz, root)
            before = now
        if end is not None and time.monotonic() >= end:
            return


def row(second: Second) -> list[str]:
    """Return the cells of a second for ``COLUMNS``; a question mark for what cannot be read."""
    return [
        second.at,
        _figure(second.busy_cores, "{:.2f}"),
        "?" if second.steal_share is None else percent(second.steal_share, 1),
        _figure(second.throttled_ms, "{:.0f} ms"),
        _figure(second.cpu_pressure, "{:.0f} %"),
        _figure(second.memory_pressure, "{:.0f} %"),
        _figure(second.frequency_mhz, "{:.0f}"),
        _figure(second.thermal_throttles, "{:.0f}"),
        number(second.load) if second.load is not None else "?",
        second.governor or "?",
    ]


def blind(second: Second) -> list[str]:
    """Return the names of the columns that cannot be read on this machine."""
    return [name for name, cell in zip(COLUMNS, row(second), strict=True) if cell == "?"]


def troubles(second: Second) -> list[str]:
    """Return the names of the readings that would disturb a measurement."""
    checks = (
        ("busy", second.busy_cores is not None and second.busy_cores > 2 * SETTLED),
        ("steal", second.steal_share is not None and second.steal_share > 0.01),
        ("throttled", bool(second.throttled_ms)),
        ("CPU wait", second.cpu_pressure is not None and second.cpu_pressure > 20),
        ("memory wait", second.memory_pressure is not None and second.memory_pressure > 1),
        ("thermal", bool(second.thermal_throttles)),
    )
    return [name for name, holds in checks if holds]


def _second(span: sensors.Span, frequency_mhz: float | None, root: Path) -> Second:
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    return Second(
        at=time.strftime("%H:%M:%S"),
        busy_cores=span.busy_cores,
        steal_share=None if span.steal_s is None else span.steal_s / span.wall_s,
        throttled_ms=span.throttled_ms,
        cpu_pressure=span.cpu_pressure,
        memory_pressure=span.memory_pressure,
        frequency_mhz=frequency_mhz,
        thermal_throttles=span.thermal_throttles,
        load=load,
        governor=environment.governor(root),
    )


def _figure(value: float | None, form: str) -> str:
    return "?" if value is None else form.format(value)
