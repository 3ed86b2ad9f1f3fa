"""Trust in a metric is lowered by wide intervals, flags and disturbed blocks, and by nothing else."""

from __future__ import annotations

import pytest

from etui.analysis import trust
from etui.analysis.trust import Trust
from etui.results import Interval, SpeedVerdict


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((9.8, 10.2), "good"),
        ((9.5, 10.5), "caution"),
        ((7.6, 12.4), "caution"),
        ((7.5, 12.5), "poor"),
        ((1.0, 40.0), "poor"),
        (None, "caution"),
    ],
)
def test_width_of_the_interval_determines_trust(bounds: Interval | None, expected: Trust) -> None:
    assert trust.of_interval(10.0, bounds) == expected
    assert trust.of_latency(10.0, bounds, []) == expected
    assert trust.of_speedup(10.0, bounds, "faster", []) == expected


def test_flags_lower_trust_but_do_not_raise_it() -> None:
    narrow, very_wide = (9.9, 10.1), (5.0, 15.0)
    assert trust.of_latency(10.0, narrow, ["foreign load"]) == "caution"
    assert trust.of_latency(10.0, very_wide, ["foreign load"]) == "poor"
    assert trust.of_latency(10.0, narrow, ["bf16"]) == "good"


def test_flags_of_eager_concern_the_ratio_only() -> None:
    assert trust.of_latency(10.0, (9.9, 10.1), ["eager"]) == "good"
    assert trust.of_speedup(10.0, (9.9, 10.1), "faster", ["eager"]) == "caution"


@pytest.mark.parametrize(("verdict", "expected"), [("unreliable", "poor"), ("inconclusive", "caution")])
def test_undecided_verdict_lowers_trust(verdict: SpeedVerdict, expected: Trust) -> None:
    assert trust.of_speedup(1.01, (1.0, 1.02), verdict, []) == expected


def test_flags_of_eager_do_not_concern_the_ratio_of_two_runs() -> None:
    assert trust.of_comparison(2.0, (1.99, 2.01), "faster", ["eager"]) == "good"
    assert trust.of_comparison(2.0, (1.99, 2.01), "faster", ["eager", "drift"]) == "caution"
    assert trust.of_comparison(2.0, (1.0, 3.0), "faster", []) == "poor"
