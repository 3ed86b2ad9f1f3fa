"""What charts are made of: a series of samples by block, and the runs of a trend."""

from __future__ import annotations

import statistics
from typing import Literal

import msgspec

from etui.results import Interval


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One variant's samples in milliseconds, block by block in the order they were measured.

    ``median`` and ``p95`` are those of the run's statistics; a median that is not given is taken of the samples, a p95
    that is not given is not marked. ``count`` is how many samples there were, where ``blocks`` holds a part of them.
    """

    name: str
    blocks: list[list[float]]
    numbers: list[int] = []
    count: int | None = None
    median: float | None = None
    p95: float | None = None

    @property
    def samples(self) -> list[float]:
        """All samples, in the order they were taken."""
        return [sample for block in self.blocks for sample in block]

    @property
    def total(self) -> int:
        """How many samples there were."""
        return sum(len(block) for block in self.blocks) if self.count is None else self.count

    @property
    def middle(self) -> float:
        """The median; there must be a sample."""
        return statistics.median(self.samples) if self.median is None else self.median

    def percent_from_middle(self, value: float) -> float:
        """How far a value lies from the median, in percent of it; 0 if the median is 0. There must be a sample."""
        return 100 * (value / self.middle - 1) if self.middle else 0.0


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a trend: when, what it reached, and how it stands to the run the trend is drawn for.

    ``kind`` is ``chosen`` for that run itself, ``other`` for one from another box or with other threads or weights.
    """

    at: str
    kind: Literal["chosen", "same", "other"] = "same"
    failed: bool = False
    median_ms: float | None = None
    interval_ms: Interval | None = None
    mae: float | None = None
    verdict: str | None = None
