"""Intervals cover the true value as often as stated, are symmetric, and p-values agree with SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from etui.analysis.bootstrap import LogEstimate, median_interval, paired_ratio, typical_latency, unpaired_ratio
from etui.analysis.rank_tests import benjamini_hochberg, mann_whitney_p, sign_flip_p

Pairs = list[tuple[list[float], list[float]]]
DRAWS = 1_000
POSITIVE = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=6)


def session(
    seed: int, *, blocks: int = 6, block_sd: float = 0.01, ratio: float = 1.0, samples: int = 40, tails: bool = False
) -> Pairs:
    """Return paired blocks with a drift that both share, an independent effect of each block, and noise in each
    sample."""
    generator = np.random.default_rng(seed)
    own = generator.standard_t(3, (blocks, 2)) / math.sqrt(3) if tails else generator.normal(size=(blocks, 2))
    logs = generator.normal(0, 0.05, (blocks, 1)) + block_sd * own - np.array([0.0, math.log(ratio)])
    series = 16.0 * np.exp(logs[:, :, None] + generator.normal(0, 0.02, (blocks, 2, samples)))
    return [(list(one), list(other)) for one, other in series]


def covers(estimate: LogEstimate, truth: float) -> bool:
    assert estimate.interval is not None
    return estimate.interval[0] <= truth <= estimate.interval[1]


@pytest.mark.slow
@pytest.mark.parametrize("tails", [False, True])
@pytest.mark.parametrize("block_sd", [0.0, 0.005, 0.01, 0.02, 0.03, 0.1])
def test_interval_of_six_pairs_covers_the_truth_in_93_to_97_percent(block_sd: float, tails: bool) -> None:
    covered = sum(
        covers(paired_ratio(session(seed, block_sd=block_sd, ratio=1.3, tails=tails), DRAWS), 1.3)
        for seed in range(1_000)
    )
    assert 930 <= covered <= 970


@pytest.mark.slow
@pytest.mark.parametrize("block_sd", [0.005, 0.03])
@pytest.mark.parametrize("blocks", [2, 3, 4, 5, 8, 12, 20])
def test_intervals_of_other_numbers_of_blocks_have_similar_coverage(blocks: int, block_sd: float) -> None:
    covered = sum(
        covers(paired_ratio(session(seed, blocks=blocks, block_sd=block_sd), DRAWS), 1.0) for seed in range(1_000)
    )
    assert 920 <= covered <= 975


@pytest.mark.slow
def test_interval_of_two_sessions_covers_the_truth() -> None:
    covered = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        sides = [
            [list(median * np.exp(generator.normal(0, 0.01) + generator.normal(0, 0.02, 40))) for _ in range(6)]
            for median in (20.0, 16.0)
        ]
        covered += covers(unpaired_ratio(typical_latency(sides[0], DRAWS), typical_latency(sides[1], DRAWS)), 1.25)
    assert 0.92 * 400 <= covered <= 0.98 * 400


@pytest.mark.slow
def test_interval_of_a_median_covers_the_truth() -> None:
    covered = 0
    for seed in range(200):
        interval = median_interval([one for one, _ in session(seed, samples=60)])
        assert interval is not None
        covered += interval[0] <= 16.0 <= interval[1]
    assert covered >= 0.90 * 200


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=5))
def test_reversed_ratio_is_exactly_the_reciprocal(pairs: Pairs) -> None:
    there, back = paired_ratio(pairs, 100), paired_ratio([(other, one) for one, other in pairs], 100)
    assert (there.centre, there.half) == (-back.centre, back.half)
    first, second = typical_latency([one for one, _ in pairs], 100), typical_latency([other for _, other in pairs], 100)
    there, back = unpaired_ratio(first, second), unpaired_ratio(second, first)
    assert (there.centre, there.half) == (-back.centre, back.half)


@pytest.mark.parametrize("count", [2, 3, 6, 12])
def test_sign_flip_p_value_agrees_with_scipy(count: int) -> None:
    values = np.random.default_rng(count).normal(0.5, 1, count)
    expected = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=math.inf, alternative="two-sided"
    )
    result = sign_flip_p(list(values))
    assert result == pytest.approx(expected.pvalue)
    assert result == sign_flip_p(list(-values))


def test_sign_flip_p_value_of_edge_cases() -> None:
    assert sign_flip_p([]) is None
    assert sign_flip_p([0.3]) == 1.0
    assert sign_flip_p([0.1] * 6) == pytest.approx(2 / 64)
    assert sign_flip_p([0.0] * 4) == 1.0
    many = sign_flip_p([0.1, 0.2] * 15)
    assert many is not None and many < 1e-4


@settings(max_examples=40, deadline=None)
@given(POSITIVE, POSITIVE)
def test_mann_whitney_agrees_with_scipy_and_is_symmetric(first: list[float], second: list[float]) -> None:
    result = mann_whitney_p(first, second)
    assert result == pytest.approx(min(1.0, stats.mannwhitneyu(first, second, alternative="two-sided").pvalue))
    assert result == pytest.approx(mann_whitney_p(second, first))


def test_disjoint_samples_have_the_smallest_p_value() -> None:
    for one, other in ((3, 3), (4, 4), (6, 3), (6, 6)):
        apart = mann_whitney_p(list(range(one)), list(range(100, 100 + other)))
        assert apart == pytest.approx(min(1.0, 2 / math.comb(one + other, one)))
    assert mann_whitney_p([], [1.0]) is None


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_correction_agrees_with_scipy(values: list[float]) -> None:
    result = benjamini_hochberg(values)
    assert len(result) == len(values)
    if values:
        assert result == pytest.approx(list(stats.false_discovery_control(values)))


def test_huge_interval_is_limited_to_computable_values() -> None:
    assert LogEstimate(0.0, 1_000.0).interval == pytest.approx((1e-100, 1e100))
    assert LogEstimate(-2_000.0).value == pytest.approx(1e-100)
