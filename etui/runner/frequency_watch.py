"""Sample the frequency of the measured CPUs from outside the timed process."""

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
"""Seconds between two readings: long enough to tell which CPUs were busy, and rare enough not to disturb the cores that
are measured."""

MOST_CPUS = 8
"""At most this number of CPUs is read, to keep a reading short; cores of one package share most of their limits."""


class Clocks:
    """The frequency of some CPUs over time."""

    def __init__(self, cpus: Sequence[int], root: Path = Path("/")) -> None:
        """``root`` holds /proc and /sys."""
        self._root = root
        self._cpus = list(cpus)[:MOST_CPUS]
        self._readings: list[tuple[float, sensors.Reading]] = []
        self._readable = bool(sensors.frequencies_mhz(root, self._cpus))

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Read the CPUs every ``PERIOD_S`` seconds within this context; never if no frequency is readable."""
        self._readings.clear()
        task = asyncio.create_task(self._watch()) if self._readable else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _watch(self) -> None:
        while True:
            self.read(time.time())
            await asyncio.sleep(PERIOD_S)

    def read(self, at_s: float) -> None:
        """Read the CPUs now; ``at_s`` is the wall-clock time."""
        self._readings.append((at_s, sensors.read(self._root, self._cpus)))

    def add_to(self, block: Block) -> None:
        """Widen the block's frequency ranges by the readings made while it was timed.

        A reading counts for the CPUs that were busy since the previous one: an idle CPU's frequency is meaningless.
        """
        if block.first_sample_at is None or block.wall_s is None:
            return
        start_s = datetime.fromisoformat(block.first_sample_at).timestamp()
        ranges = dict(block.frequency_range_mhz or {})
        for (_, before), (at_s, after) in itertools.pairwise(self._readings):
            if not start_s <= at_s <= start_s + block.wall_s:
                continue
            for cpu in sensors.worked(before, after):
                low, high = ranges.get(str(cpu), (after.mhz_of[cpu], after.mhz_of[cpu]))
                ranges[str(cpu)] = (min(low, after.mhz_of[cpu]), max(high, after.mhz_of[cpu]))
        if ranges:
            block.frequency_range_mhz = ranges
