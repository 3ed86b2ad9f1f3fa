"""Numbers of one column formatted with the same number of decimals."""

from __future__ import annotations

import math
from collections.abc import Iterable

from etui.text import MISSING


def decimals(values: Iterable[float | None]) -> int:
    """Return the number of decimals for a column of these values, so that the largest has about four digits."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    if largest <= 0:
        return 0
    size = math.floor(math.log10(largest))
    return max(1 if size < 5 else 0, min(6, 3 - size if size >= 0 else 2 - size))


def fixed(value: float | None, places: int) -> str:
    """Format a value with this number of decimals; a smaller non-zero value becomes ``<0.01``, not zero."""
    if value is None:
        return MISSING
    least = 10.0**-places
    if 0 < abs(value) < least / 2:
        return f"<{least:.{places}f}"
    return f"{value:,.{places}f}"


def percent(share: float | None) -> str:
    """Format a share from 0 to 1 as a percentage with one decimal and no sign; never rounded to 0 or 100."""
    if share is None:
        return MISSING
    # Sums of shares have floating-point errors.
    value = round(100 * share, 6)
    if 0 < value < 0.05:
        return "<0.1"
    if 99.95 <= value < 100:
        return ">99.9"
    return f"{value:.1f}"
