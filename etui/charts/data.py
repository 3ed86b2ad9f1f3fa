"""The data of charts: a series of samples by block, and past runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Literal

import msgspec

from etui import text
from etui.results import Interval

Doubt = Literal["", "warn", "bad"]
"""How far a figure is in doubt: not, read with care, not to be relied on."""

SLOTS = 6
"""The number of runs that are distinguishable in one chart."""

_MOST_PERCENT = 100.0
"""Deviations beyond this are shown as multiples."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One variant's samples in milliseconds, block by block in the order they were measured.

    ``median`` and ``p95`` are those of the run's statistics. Without a ``median`` that of the samples is used, without
    a ``p95`` none is marked. ``count`` is the number of samples if ``blocks`` holds only a part of them. ``half_width``
    is half the width of the median's 95 % interval as a share of the median, ``doubt`` how far the median is in doubt.
    """

    name: str
    blocks: list[list[float]]
    numbers: list[int] = []
    count: int | None = None
    median: float | None = None
    p95: float | None = None
    half_width: float | None = None
    doubt: Doubt = ""

    @property
    def samples(self) -> list[float]:
        """All samples, in the order they were measured."""
        return [sample for block in self.blocks for sample in block]

    @property
    def total(self) -> int:
        """The number of samples."""
        return sum(len(block) for block in self.blocks) if self.count is None else self.count

    @property
    def middle(self) -> float:
        """The median. Requires a sample."""
        return statistics.median(self.samples) if self.median is None else self.median

    def percent_from_middle(self, value: float) -> float:
        """Return the deviation of a value from the median in percent; 0 if the median is 0. Requires a sample."""
        return 100 * (value / self.middle - 1) if self.middle else 0.0


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """How deviations from a median are shown: in percent of it, or as multiples of it if one is beyond 100 %."""

    as_factors: bool

    @classmethod
    def over(cls, percents: Iterable[float]) -> Deviation:
        """Return the unit for these deviations in percent."""
        return cls(as_factors=any(percent > _MOST_PERCENT for percent in percents))

    @property
    def unit(self) -> str:
        """The unit, for the end of the axis."""
        return "x" if self.as_factors else "%"

    def of(self, percent: float) -> float:
        """Return the value of a deviation in percent."""
        return 1 + percent / 100 if self.as_factors else percent

    def legend(self, series: Series) -> str:
        """Return a series' name with the latency that deviations are relative to."""
        none = "1x" if self.as_factors else "0 %"
        return f"{text.plain(series.name)}  {none} = {text.number(series.middle)} ms"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """One past run: its time and its figures. ``is_chosen`` marks the run that the chart is drawn for."""

    at: str
    is_chosen: bool = False
    failed: bool = False
    median_ms: float | None = None
    interval_ms: Interval | None = None
    mae: float | None = None
    verdict: str | None = None
