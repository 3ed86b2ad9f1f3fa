"""Conversion of a ratio of two latencies to a change in percent."""

from __future__ import annotations

from etui.results import Interval


def change(ratio: float) -> float:
    """Return the change of the other's latency in percent from the ratio base / other; above zero is slower."""
    return 100 * (1 / ratio - 1)


def change_interval(bounds: Interval) -> Interval:
    """Return the interval of ``change`` in percent from the interval of the ratio."""
    return change(bounds[1]), change(bounds[0])
