"""How large the numbers of a run can be: what import accepts, and any float brought to where it can be computed with.

Databases of earlier versions may hold values that import would refuse now, so whoever divides, takes logarithms or
draws uses these limits too instead of trusting what was stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_MS = 1e-6
"""A nanosecond: no call is shorter than that."""

MOST_MS = 1e9
"""Eleven days: no single call or stage takes longer."""

MOST_S = 1e9
"""Thirty years: no part of a run takes longer."""

MOST_RATIO = MOST_MS / LEAST_MS
"""How many times faster one latency can be than another."""

MOST = 1e100
"""The largest magnitude of any other figure. Errors of 32-bit floats reach 1e77 when squared; with this limit sums and
products of two figures stay finite."""

MOST_COUNTED = 2**31 - 1
"""The most that can be asked for of anything that is counted."""

_LARGEST_LOG = math.log(MOST)


def is_latency(value_ms: float) -> bool:
    """Whether something can have taken so many milliseconds."""
    return LEAST_MS <= value_ms <= MOST_MS


def are_latencies(values_ms: Sequence[float]) -> bool:
    """Whether these are measured latencies in milliseconds, at least one."""
    return bool(values_ms) and is_latency(min(values_ms)) and is_latency(max(values_ms))


def is_ratio(value: float) -> bool:
    """Whether something can be a ratio of two latencies."""
    return 1 / MOST_RATIO <= value <= MOST_RATIO


def bounded(value: float, most: float = MOST) -> float:
    """The value, or the nearest within ``most`` of zero; not a number is zero."""
    return min(most, max(-most, value)) if value == value else 0.0


def exponential(value: float) -> float:
    """``math.exp`` that ends at ``MOST`` and at its reciprocal instead of overflowing."""
    return min(MOST, math.exp(bounded(value, _LARGEST_LOG)))
