"""A series of numbers as one line of cells."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_SPREAD = 0.04
"""The smallest range, relative to the largest value, that is drawn over the full height: smaller differences are noise
and look small."""


def sparkline(values: Sequence[float], levels: str, cells: int) -> str:
    """Return the last ``cells`` values, at least 0, as one character each of ``levels``, the characters from the lowest
    to the highest. A series without differences is in the middle."""
    shown = values[-cells:] if cells > 0 else []
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    spread = max(high - low, LEAST_SPREAD * high)
    if spread <= 0:
        return levels[len(levels) // 2] * len(shown)
    # Small differences are centred: nothing is at the bottom or the top.
    bottom = (low + high - spread) / 2
    return "".join(levels[min(len(levels) - 1, int((value - bottom) / spread * len(levels)))] for value in shown)
