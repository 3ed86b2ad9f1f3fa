"""Whether the machine's speed around a block, measured by a fixed kernel (the canary), was typical of the session."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from etui.results import Block
from etui.text import change_size, percent

OFF = 0.05
"""Relative deviation from the typical canary time above which a reading is off."""

FEWEST = 3
"""The smallest number of readings from which a typical value is taken."""

Canary = tuple[float, float]
"""The canary's times in milliseconds before and after a block."""


def typical(readings: Sequence[Canary]) -> Canary | None:
    """Return the medians before and after blocks, in milliseconds; None for fewer than ``FEWEST`` readings.

    The two are separate because a core that has just loaded a program is in another state than after a second of
    inferences.
    """
    if len(readings) < FEWEST:
        return None
    return statistics.median(before for before, _ in readings), statistics.median(after for _, after in readings)


def deviated(block: Block, usual: Canary | None) -> bool:
    """Whether the canary was off by over 5 % before or after this block."""
    return any(abs(share) > OFF for share in _deviations(block, usual))


def worst(block: Block, usual: Canary | None) -> float:
    """Return the largest relative deviation of the canary before or after this block; 0 if unknown."""
    return max(map(abs, _deviations(block, usual)), default=0.0)


def deviation_text(block: Block, usual: Canary | None) -> str:
    """Return as text by how much the canary deviated before and after this block."""
    parts = [
        f"{_deviation(share)} {when} it"
        for when, share in zip(("before", "after"), _deviations(block, usual), strict=False)
        if abs(share) > OFF
    ]
    return f"the canary was {' and '.join(parts)} than is typical of the session" if parts else "the canary was typical"


def _deviation(share: float) -> str:
    """Return the size and the direction of a deviation, beyond 100 % as a factor."""
    if share >= 1:
        return f"slower by {change_size(100 * share)}"
    return f"{percent(abs(share))} {'slower' if share > 0 else 'faster'}"


def _deviations(block: Block, usual: Canary | None) -> list[float]:
    if block.canary_ms is None or usual is None:
        return []
    return [measured / expected - 1 for measured, expected in zip(block.canary_ms, usual, strict=True)]
