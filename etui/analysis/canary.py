"""Whether the box was itself round a block: the canary there against that of the whole session."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from etui.results import Block
from etui.text import percent

OFF = 0.05
FEWEST = 3
"""Fewer readings do not show what is typical."""

Canary = tuple[float, float]


def typical(readings: Sequence[Canary]) -> Canary | None:
    """The medians before and after blocks, in milliseconds; None with too few. The two moments stay apart: a core that
    comes from loading a program is not one that comes from a second of inferences."""
    if len(readings) < FEWEST:
        return None
    return statistics.median(before for before, _ in readings), statistics.median(after for _, after in readings)


def is_off(block: Block, usual: Canary | None) -> bool:
    """Whether the canary was off by over 5 % before or after this block."""
    return any(abs(share) > OFF for share in _shares(block, usual))


def worst(block: Block, usual: Canary | None) -> float:
    """By what share the canary was off at its worst."""
    return max(map(abs, _shares(block, usual)), default=0.0)


def words(block: Block, usual: Canary | None) -> str:
    """By how much the canary was off, for people."""
    said = [
        f"{percent(abs(share))} {'slower' if share > 0 else 'faster'} {moment} it"
        for moment, share in zip(("before", "after"), _shares(block, usual), strict=False)
        if abs(share) > OFF
    ]
    return f"the canary was {' and '.join(said)} than is typical of the session" if said else "the canary was typical"


def _shares(block: Block, usual: Canary | None) -> list[float]:
    if block.canary_ms is None or usual is None:
        return []
    return [took / expected - 1 for took, expected in zip(block.canary_ms, usual, strict=True)]
