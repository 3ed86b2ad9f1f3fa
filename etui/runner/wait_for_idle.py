"""Wait, up to a limit, until the machine is quiet enough to measure, and name the processes that use it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from etui.analysis import disturbance
from etui.host import sensors
from etui.host.user import name_of
from etui.results import QuietCheck
from etui.text import number, plain, seconds

FIRST_READING_S = 0.3
"""Seconds of the first reading: just over the shortest span for which the kernel's clock ticks suffice."""

READING_S = 1.0
"""Seconds of further readings, as long as a block."""

MOST_NAMED = 3
LEAST_NAMED_CORES = 0.05

_HZ = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """A process in /proc: its name without arguments, and its CPU time so far."""

    parent: int
    user: int
    name: str
    cpu_s: float


Processes = Mapping[int, Process]


class LoadReading(msgspec.Struct, frozen=True, kw_only=True):
    """The load of the machine by other programs over ``span_s`` seconds. None means not readable; ``by`` describes the
    processes that used most."""

    span_s: float
    foreign_cpu_cores: float | None
    cpu_pressure: float | None
    by: list[str] = []

    @property
    def calm(self) -> bool:
        """Whether a block measured meanwhile would not be flagged as disturbed by load."""
        return not disturbance.of_load(self.foreign_cpu_cores, self.cpu_pressure)

    def to_text(self) -> str:
        """Describe the load and the processes that cause it."""
        if disturbance.of_load(self.foreign_cpu_cores, None):
            load = f"other programs use {number(self.foreign_cpu_cores, 2)} cores"
        else:
            load = f"tasks waited for a core {number(self.cpu_pressure, 2)} % of the time"
        return f"{load}: {', '.join(self.by) or 'their processes are not visible to this user'}"


ReadLoad = Callable[[float], Awaitable[LoadReading]]
"""Reads the load of the machine over some seconds."""


async def wait_until_quiet(
    limit_s: float,
    *,
    say: Callable[[str], None],
    progress: Callable[[str, float, float], None],
    cpus: Collection[int] = (),
    read_load: ReadLoad | None = None,
) -> QuietCheck:
    """Read the load until the machine is quiet or ``limit_s`` seconds of waiting have passed.

    ``say`` is called once with a message if the machine is busy, ``progress`` before each further reading with a
    message, the seconds waited, and the limit. The last reading may end up to ``READING_S`` past the limit. A quiet
    machine is read once, for ``FIRST_READING_S``. If nothing is readable, the machine counts as quiet.
    """
    read_load = read_load or partial(read_machine_load, cpus=cpus)
    reading = await read_load(FIRST_READING_S)
    waited_s, by = 0.0, reading.by
    if not reading.calm:
        reading = await read_load(READING_S)
    while not reading.calm:
        by = reading.by
        if waited_s >= limit_s:
            break
        if not waited_s:
            say(f"the machine is busy, {reading.to_text()}; waiting up to {seconds(limit_s)} for it to become quiet")
        progress(f"waiting for a quiet machine: {reading.to_text()}", waited_s, limit_s)
        reading = await read_load(READING_S)
        waited_s += reading.span_s
    return QuietCheck(
        waited_s=waited_s,
        calm=reading.calm,
        foreign_cpu_cores=reading.foreign_cpu_cores,
        cpu_pressure=reading.cpu_pressure,
        by=by,
    )


async def read_machine_load(span_s: float, root: Path = Path("/"), cpus: Collection[int] = ()) -> LoadReading:
    """Read the load for ``span_s`` seconds, while etui must be idle. ``root`` contains /proc and /sys. The load is that
    of ``cpus``, or of all CPUs if none are given."""
    # Naming processes means reading each of them, which is skipped in the first, short reading.
    by_process = span_s >= READING_S
    before = sensors.read(root, cpus), processes(root) if by_process else {}, time.process_time()
    await asyncio.sleep(span_s)
    after = sensors.read(root, cpus), processes(root) if by_process else {}, time.process_time()
    span = sensors.between(before[0], after[0])
    own_cores = (after[2] - before[2]) / span.wall_s
    return LoadReading(
        span_s=span.wall_s,
        foreign_cpu_cores=None if span.busy_cores is None else max(0.0, span.busy_cores - own_cores),
        cpu_pressure=span.cpu_pressure,
        by=busiest(before[1], after[1], span.wall_s, own=os.getpid()),
    )


def busiest(before: Processes, after: Processes, span_s: float, *, own: int) -> list[str]:
    """Describe the processes that used most CPU time between two readings, the busiest first, except ``own`` and its
    descendants."""
    used = {
        pid: (process.cpu_s - (before[pid].cpu_s if pid in before else 0.0)) / span_s
        for pid, process in after.items()
        if not _descends(pid, own, after)
    }
    first = sorted((pid for pid in used if used[pid] >= LEAST_NAMED_CORES), key=lambda pid: -used[pid])[:MOST_NAMED]
    return [
        f"{plain(after[pid].name)} (pid {pid}, user {name_of(after[pid].user)}) {number(used[pid], 2)} cores"
        for pid in first
    ]


def processes(root: Path = Path("/")) -> dict[int, Process]:
    """The processes that are visible to this user. Command lines are not read, because they may contain secrets."""
    visible = {}
    folder = root / "proc"
    for place in folder.iterdir() if folder.is_dir() else ():
        if not place.name.isdigit():
            continue
        try:
            head, _, rest = (place / "stat").read_text("utf-8", "replace").rpartition(")")
            fields = rest.split()
            visible[int(place.name)] = Process(
                parent=int(fields[1]),
                user=place.stat().st_uid,
                name=head.partition("(")[2],
                cpu_s=(int(fields[11]) + int(fields[12])) / _HZ,
            )
        except (OSError, ValueError, IndexError):
            continue
    return visible


def _descends(pid: int, ancestor: int, known: Processes) -> bool:
    seen: set[int] = set()
    while pid != ancestor:
        if pid not in known or pid in seen:
            return False
        seen.add(pid)
        pid = known[pid].parent
    return True
