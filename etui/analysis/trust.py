"""How far a measured figure can be relied on, from the width of its interval, its verdict and its warning flags."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from etui.results import Interval, SpeedVerdict
from etui.spec import EAGER

Trust = Literal["good", "caution", "poor"]
"""``caution``: usable, but read the warning flags or mind the interval. ``poor``: do not rely on the figure."""

WIDE = 0.05
"""From this half-width of the 95 % interval on, as a share of the figure, an interval is wide: the same 5 % from which
samples count as spread and the canary kernel as deviating. Two such runs do not differ clearly below about 10 %."""

VERY_WIDE = 0.25
"""From this half-width on, an interval is very wide: those of two runs overlap until one is about 1.7 times as fast
(1.25 / 0.75), so that the figure only gives the order of magnitude."""

REMARKS = frozenset({"bf16", "fp16"})
"""Flags about what was measured, not about how well."""


def half_width(value: float | None, bounds: Interval | None) -> float | None:
    """Return half the width of an interval as a share of the figure; None without an interval, or for zero."""
    return None if bounds is None or not value else (bounds[1] - bounds[0]) / 2 / abs(value)


def of_interval(value: float | None, bounds: Interval | None) -> Trust:
    """Return the trust in a figure by its 95 % interval alone; ``caution`` if its uncertainty is not known."""
    share = half_width(value, bounds)
    if share is None:
        return "caution"
    return "good" if share < WIDE else "caution" if share < VERY_WIDE else "poor"


def of_latency(median_ms: float | None, bounds: Interval | None, flags: Collection[str]) -> Trust:
    """Return the trust in a median latency with the names of its run's warning flags; those of eager do not count."""
    return _flagged(of_interval(median_ms, bounds), set(flags) - {EAGER})


def of_speedup(
    value: float | None, bounds: Interval | None, verdict: SpeedVerdict | None, flags: Collection[str]
) -> Trust:
    """Return the trust in a speed-up over eager, with the names of its run's warning flags."""
    if verdict == "unreliable":
        return "poor"
    trust = of_interval(value, bounds)
    return "caution" if trust == "good" and verdict == "inconclusive" else _flagged(trust, flags)


def of_comparison(
    ratio: float | None, bounds: Interval | None, verdict: SpeedVerdict | None, flags: Collection[str]
) -> Trust:
    """Return the trust in the ratio of two runs, with the names of the warning flags of both; those of eager do not
    count."""
    return of_speedup(ratio, bounds, verdict, set(flags) - {EAGER})


def _flagged(trust: Trust, flags: Collection[str]) -> Trust:
    return "caution" if trust == "good" and set(flags) - REMARKS else trust
