"""The limits of the numbers in a run, and functions that clip a float to a range that is safe to compute with.

Import enforces these limits. Databases of earlier versions may contain values outside of them, so code that divides,
takes logarithms or draws uses them too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_MS = 1e-6
"""A nanosecond; no call is shorter."""

MOST_MS = 1e9
"""Eleven days; no single call or stage takes longer."""

MOST_S = 1e9
"""Thirty years; no part of a run takes longer."""

MOST_RATIO = MOST_MS / LEAST_MS
"""The largest ratio of two latencies."""

MOST = 1e100
"""The largest magnitude of any other value. Errors of 32-bit floats reach 1e77 when squared; with this limit sums and
products of two values stay finite."""

MOST_COUNTED = 2**31 - 1
"""The largest count that an option accepts."""

_LARGEST_LOG = math.log(MOST)


def is_latency(value_ms: float) -> bool:
    """Whether a call can have taken this number of milliseconds."""
    return LEAST_MS <= value_ms <= MOST_MS


def are_latencies(values_ms: Sequence[float]) -> bool:
    """Whether the list is not empty and all its values can be latencies in milliseconds."""
    return bool(values_ms) and is_latency(min(values_ms)) and is_latency(max(values_ms))


def is_ratio(value: float) -> bool:
    """Whether the value can be a ratio of two latencies."""
    return 1 / MOST_RATIO <= value <= MOST_RATIO


def bounded(value: float, most: float = MOST) -> float:
    """Return the value clipped to [-``most``, ``most``]; NaN becomes 0."""
    return min(most, max(-most, value)) if value == value else 0.0


def exponential(value: float) -> float:
    """Return ``math.exp(value)`` clipped to [1 / ``MOST``, ``MOST``], so that it cannot overflow."""
    return min(MOST, math.exp(bounded(value, _LARGEST_LOG)))
