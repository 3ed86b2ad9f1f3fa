"""A ratio of two latencies as the change of the second in percent."""

from __future__ import annotations

from etui.results import Interval


def change(ratio: float) -> float:
    """A ratio of base over other as the change of the other's latency in percent: above zero is slower."""
    return 100 * (1 / ratio - 1)


def change_interval(bounds: Interval) -> Interval:
    """The interval of ``change``, from that of the ratio."""
    return change(bounds[1]), change(bounds[0])
