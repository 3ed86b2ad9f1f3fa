"""Latency statistics of a variant's blocks, and verdicts on two variants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etui.analysis.bootstrap import LogEstimate, median_interval, resampled_medians
from etui.analysis.latency import latency_stats, relative_half_width, speedup, verdict_of, weighted_percentile
from etui.results import Block


def block(index: int, samples: list[float], variant: str = "eager", threads: int = 2) -> Block:
    return Block(index=index, position=0, variant=variant, started_at="", samples_ms=samples, threads=threads)


def noisy(seed: int, count: int, median: float, block_sd: float = 0.01, blocks: int = 6) -> list[Block]:
    generator = np.random.default_rng(seed)
    return [
        block(index, list(median * np.exp(generator.normal(0, block_sd) + generator.normal(0, 0.02, count))))
        for index in range(blocks)
    ]


def test_statistics_agree_with_numpy() -> None:
    blocks = noisy(1, 300, 16.0)
    samples = np.concatenate([one.samples_ms for one in blocks])
    stats = latency_stats(blocks)
    assert stats is not None
    assert stats.count == 1800
    assert stats.mean == pytest.approx(samples.mean())
    assert stats.median == pytest.approx(np.median([np.median(one.samples_ms) for one in blocks]))
    assert stats.std == pytest.approx(samples.std(ddof=1))
    assert stats.mad == pytest.approx(np.median(np.abs(samples - stats.median)))
    assert (stats.p90, stats.p95, stats.p99) == pytest.approx(tuple(np.percentile(samples, [90, 95, 99])))
    assert stats.ci95 is not None and stats.ci95[0] < float(np.median(samples)) < stats.ci95[1]


@pytest.mark.parametrize(
    ("count", "known"), [(99, ()), (100, ("p90",)), (200, ("p90", "p95")), (1000, ("p90", "p95", "p99"))]
)
def test_percentile_without_enough_samples_is_blank(count: int, known: tuple[str, ...]) -> None:
    stats = latency_stats([block(0, [float(value) for value in range(1, count + 1)])])
    assert stats is not None
    assert tuple(name for name in ("p90", "p95", "p99") if getattr(stats, name) is not None) == known


def test_no_samples_give_no_statistics() -> None:
    assert latency_stats([]) is None
    assert speedup([], [block(0, [1.0])]) is None
    assert relative_half_width(None) is None


def test_one_sample_has_no_spread_and_no_interval() -> None:
    stats = latency_stats([block(0, [37_000.0])])
    assert stats is not None
    assert (stats.median, stats.std, stats.ci95) == (37_000.0, None, None)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 25))
def test_resampled_medians_have_the_distribution_of_medians_of_resamples(count: int) -> None:
    samples = np.sort(np.random.default_rng(count).lognormal(size=count))
    drawn = resampled_medians(samples, 20_000)
    by_hand = np.median(np.random.default_rng(2).choice(samples, size=(20_000, count)), axis=1)
    spread = samples[-1] - samples[0]
    for percent in (5, 25, 50, 75, 95):
        gap = np.max(np.diff(samples), initial=0.0)
        assert abs(np.percentile(drawn, percent) - np.percentile(by_hand, percent)) <= 0.02 * spread + gap


def test_reversed_ratio_is_the_reciprocal() -> None:
    slow, fast = noisy(3, 60, 20.0), noisy(4, 60, 10.0)
    there, back = speedup(slow, fast), speedup(fast, slow)
    assert there is not None and back is not None and there.ci95 is not None and back.ci95 is not None
    assert there.value == pytest.approx(1 / back.value)
    assert there.ci95[0] == pytest.approx(1 / back.ci95[1], rel=0.01)
    assert (there.verdict, back.verdict) == ("faster", "slower")


def test_only_blocks_with_both_variants_count() -> None:
    ratio = speedup([block(0, [2.0] * 9), block(1, [2.0] * 9)], [block(1, [1.0] * 9), block(2, [1.0] * 9)])
    assert ratio is not None
    assert (ratio.blocks, ratio.value, ratio.ci95, ratio.verdict) == (1, 2.0, None, "inconclusive")


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.03, 1.10), "faster"),
        ((0.80, 0.97), "slower"),
        ((0.99, 1.01), "equivalent"),
        ((0.99, 1.10), "inconclusive"),
        ((1.01, 1.05), "inconclusive"),
        (None, "inconclusive"),
    ],
)
def test_verdict_requires_the_whole_interval(interval: tuple[float, float] | None, verdict: str) -> None:
    low, high = np.log(interval) if interval else (0.0, 0.0)
    assert verdict_of(LogEstimate((low + high) / 2, (high - low) / 2 if interval else None)) == verdict


def test_slow_block_counts_as_much_as_a_fast_one() -> None:
    """A block lasts a fixed time, so a block at half the speed has half the samples."""
    eager = [block(index, [24.0] * 40) for index in range(6)]
    blocks = [block(index, [4.0] * 250, "p") for index in range(4)] + [
        block(index, [2.0] * 500, "p") for index in (4, 5)
    ]
    stats, ratio, slow = latency_stats(blocks), speedup(eager, blocks), latency_stats(eager)
    assert stats is not None and ratio is not None and slow is not None
    assert stats.median == 4.0
    assert stats.mean == pytest.approx((4 * 4.0 + 2 * 2.0) / 6)
    assert stats.ci95 is not None and stats.ci95[0] <= 4.0 <= stats.ci95[1]
    assert stats.p90 == 4.0
    assert ratio.value == pytest.approx(6.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_printed_ratio_is_that_of_the_printed_medians(seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 40, 6)
    levels = np.exp(generator.normal(0, 0.3, 6))
    sides = [
        [
            block(index, list(base * levels[index] * np.exp(generator.normal(0, 0.1, counts[index]))))
            for index in range(6)
        ]
        for base in (16.0, 3.0)
    ]
    eager, program, ratio = latency_stats(sides[0]), latency_stats(sides[1]), speedup(*sides)
    assert eager is not None and program is not None and ratio is not None and ratio.ci95 is not None
    assert eager.median is not None and program.median is not None
    assert ratio.value == pytest.approx(eager.median / program.median, rel=1e-12)
    assert ratio.ci95[0] <= ratio.value <= ratio.ci95[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=50), st.floats(0, 100))
def test_equal_weights_give_numpys_percentile(values: list[float], percent: float) -> None:
    array = np.array(values)
    for weight in (1.0, 0.25):
        percentile = weighted_percentile(array, np.full(len(array), weight), percent)
        assert percentile == pytest.approx(np.percentile(array, percent))


def test_interval_of_one_block_is_that_of_its_samples() -> None:
    samples = list(np.random.default_rng(5).normal(10, 0.1, 200))
    interval = median_interval([samples])
    assert interval is not None
    low, high = interval
    assert 9.9 < low < 10 < high < 10.1
