"""Watch the frequency of the CPUs that a block is measured on from outside of the process that is timed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

from etui.host import sensors
from etui.results import Block

PERIOD_S = 0.4
"""Between two looks: long enough to tell which CPUs worked in between, and seldom enough to take no time worth telling
from the cores that are measured."""

MOST_CPUS = 8
"""Of more CPUs only some are read, so that a look stays short; cores of one package share most of their limits."""


class Clocks:
    """The frequency of some CPUs over time, as often as it was looked at."""

    def __init__(self, cpus: Sequence[int], root: Path = Path("/")) -> None:
        """``root`` holds /proc and /sys."""
        self._root = root
        self._cpus = list(cpus)[:MOST_CPUS]
        self._looks: list[tuple[float, sensors.Reading]] = []
        self._readable = bool(sensors.frequencies_mhz(root, self._cpus))

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the CPUs every ``PERIOD_S`` seconds while in here; not at all where no frequency is readable."""
        self._looks.clear()
        task = asyncio.create_task(self._watch()) if self._readable else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _watch(self) -> None:
        while True:
            self.look(time.time())
            await asyncio.sleep(PERIOD_S)

    def look(self, at_s: float) -> None:
        """Read the CPUs now; ``at_s`` is the wall-clock time."""
        self._looks.append((at_s, sensors.read(self._root, self._cpus)))

    def add_to(self, block: Block) -> None:
        """Widen the block's frequency ranges by what was seen while it was timed.

        A look counts for the CPUs that worked since the look before it: an idle CPU's frequency says nothing.
        """
        if block.first_sample_at is None or block.wall_s is None:
            return
        start_s = datetime.fromisoformat(block.first_sample_at).timestamp()
        ranges = dict(block.frequency_range_mhz or {})
        for (_, before), (at_s, after) in itertools.pairwise(self._looks):
            if not start_s <= at_s <= start_s + block.wall_s:
                continue
            for cpu in sensors.worked(before, after):
                low, high = ranges.get(str(cpu), (after.mhz_of[cpu], after.mhz_of[cpu]))
                ranges[str(cpu)] = (min(low, after.mhz_of[cpu]), max(high, after.mhz_of[cpu]))
        if ranges:
            block.frequency_range_mhz = ranges
