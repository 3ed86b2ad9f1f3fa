"""Whether the machine is calm enough to measure, who uses it if not, and waiting for it up to a limit."""

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

FIRST_LOOK_S = 0.3
"""What looking at a calm machine costs a session: just over the shortest span for which the kernel's ticks suffice."""

LOOK_S = 1.0
"""Whether a machine that seemed busy really is, and when it has calmed down, is told by spans as long as a block."""

MOST_NAMED = 3
LEAST_NAMED_CORES = 0.05

_HZ = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """A process as /proc has it: its name without its arguments, and the CPU time it has used so far."""

    parent: int
    user: int
    name: str
    cpu_s: float


Processes = Mapping[int, Process]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of the machine over ``span_s`` seconds. None is 'not readable here'; ``by`` are the processes that
    used most, in words."""

    span_s: float
    foreign_cpu_cores: float | None
    cpu_pressure: float | None
    by: list[str] = []

    @property
    def calm(self) -> bool:
        """Whether a block measured meanwhile would not have counted as disturbed by a load."""
        return not disturbance.of_load(self.foreign_cpu_cores, self.cpu_pressure)

    def words(self) -> str:
        """How much of the machine is in use, and who uses it."""
        if disturbance.of_load(self.foreign_cpu_cores, None):
            found = f"other programs use {number(self.foreign_cpu_cores, 2)} cores"
        else:
            found = f"tasks waited for a core {number(self.cpu_pressure, 2)} % of the time"
        return f"{found}: {', '.join(self.by) or 'none of them is visible to this user'}"


LookFor = Callable[[float], Awaitable[Look]]
"""Looks at the machine for some seconds."""


async def wait_until_calm(
    limit_s: float,
    *,
    say: Callable[[str], None],
    progress: Callable[[str, float, float], None],
    cpus: Collection[int] = (),
    look_for: LookFor | None = None,
) -> QuietCheck:
    """Look at the machine until it is calm or ``limit_s`` seconds of waiting have gone by.

    ``say`` is told once that there is something to wait for, ``progress`` after each further look: in words, how many
    seconds have gone by, and of how many. The last look may end up to ``LOOK_S`` past the limit. A calm machine is
    looked at once, for ``FIRST_LOOK_S``. Where nothing is readable, nothing is known against the machine.
    """
    look_for = look_for or partial(look_at_machine, cpus=cpus)
    look = await look_for(FIRST_LOOK_S)
    waited_s, by = 0.0, look.by
    if not look.calm:
        look = await look_for(LOOK_S)
    while not look.calm:
        by = look.by
        if waited_s >= limit_s:
            break
        if not waited_s:
            say(f"the machine is busy, {look.words()}; waiting up to {seconds(limit_s)} for it to calm down")
        progress(f"waiting for a calm machine: {look.words()}", waited_s, limit_s)
        look = await look_for(LOOK_S)
        waited_s += look.span_s
    return QuietCheck(
        waited_s=waited_s,
        calm=look.calm,
        foreign_cpu_cores=look.foreign_cpu_cores,
        cpu_pressure=look.cpu_pressure,
        by=by,
    )


async def look_at_machine(span_s: float, root: Path = Path("/"), cpus: Collection[int] = ()) -> Look:
    """Look at the machine for this long, which must not work for etui meanwhile. ``root`` holds /proc and /sys. The
    load is that of ``cpus``, or of all if none are named."""
    # Naming the processes takes a look at each of them, which a calm machine is spared.
    names = span_s >= LOOK_S
    before = sensors.read(root, cpus), processes(root) if names else {}, time.process_time()
    await asyncio.sleep(span_s)
    after = sensors.read(root, cpus), processes(root) if names else {}, time.process_time()
    span = sensors.between(before[0], after[0])
    own_cores = (after[2] - before[2]) / span.wall_s
    return Look(
        span_s=span.wall_s,
        foreign_cpu_cores=None if span.busy_cores is None else max(0.0, span.busy_cores - own_cores),
        cpu_pressure=span.cpu_pressure,
        by=busiest(before[1], after[1], span.wall_s, own=os.getpid()),
    )


def busiest(before: Processes, after: Processes, span_s: float, *, own: int) -> list[str]:
    """The processes that used most CPU time between two looks, in words, the busiest first; without ``own`` and what it
    started."""
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
    """The processes that are visible to this user. Of their command lines, which may hold secrets, nothing is read."""
    found = {}
    folder = root / "proc"
    for place in folder.iterdir() if folder.is_dir() else ():
        if not place.name.isdigit():
            continue
        try:
            head, _, rest = (place / "stat").read_text("utf-8", "replace").rpartition(")")
            fields = rest.split()
            found[int(place.name)] = Process(
                parent=int(fields[1]),
                user=place.stat().st_uid,
                name=head.partition("(")[2],
                cpu_s=(int(fields[11]) + int(fields[12])) / _HZ,
            )
        except (OSError, ValueError, IndexError):
            continue
    return found


def _descends(pid: int, ancestor: int, known: Processes) -> bool:
    seen: set[int] = set()
    while pid != ancestor:
        if pid not in known or pid in seen:
            return False
        seen.add(pid)
        pid = known[pid].parent
    return True
