"""From a variant's blocks to its latency figures, and from two variants' blocks to the speed-up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from etui.analysis.bootstrap import LogEstimate, median_interval, paired_ratio
from etui.results import Block, Interval, LatencyStats, Ratio, SpeedVerdict

MARGIN = 0.02
"""Ratios within this margin of one count as equivalent."""

SAMPLES_FOR_PERCENTILE = {90: 100, 95: 200, 99: 1_000}
"""The fewest samples that leave ten beyond the percentile; below, it would be a guess at the extremes."""


def latency_stats(blocks: Sequence[Block]) -> LatencyStats | None:
    """Figures over all samples of all blocks, in milliseconds; None without samples.

    ``std`` is the sample standard deviation, ``mad`` the median absolute deviation from the median (unscaled).
    """
    series = [block.samples_ms for block in blocks if block.samples_ms]
    if not series:
        return None
    samples = np.concatenate([np.asarray(one, dtype=np.float64) for one in series])
    median = float(np.median(samples))
    percentiles = {
        percent: float(np.percentile(samples, percent)) if len(samples) >= fewest else None
        for percent, fewest in SAMPLES_FOR_PERCENTILE.items()
    }
    return LatencyStats(
        count=len(samples),
        mean=float(samples.mean()),
        median=median,
        min=float(samples.min()),
        max=float(samples.max()),
        std=float(samples.std(ddof=1)) if len(samples) > 1 else None,
        mad=float(np.median(np.abs(samples - median))),
        p90=percentiles[90],
        p95=percentiles[95],
        p99=percentiles[99],
        ci95=median_interval(series),
    )


def speedup(baseline: Sequence[Block], other: Sequence[Block]) -> Ratio | None:
    """How many times faster ``other`` is than ``baseline``, over the blocks that hold both; None where none does."""
    first = {block.index: block.samples_ms for block in baseline if block.samples_ms}
    pairs = [(first[block.index], block.samples_ms) for block in other if block.index in first and block.samples_ms]
    if not pairs:
        return None
    found = paired_ratio(pairs)
    return Ratio(value=found.value, ci95=found.interval, verdict=verdict_of(found), blocks=len(pairs))


def speed_verdict(interval: Interval | None, margin: float = MARGIN) -> SpeedVerdict:
    """What an interval of a ratio allows to say: it must lie wholly beyond the margin, or wholly within it."""
    if interval is None:
        return "inconclusive"
    return _verdict(math.log(interval[0]), math.log(interval[1]), margin)


def verdict_of(ratio: LogEstimate, margin: float = MARGIN) -> SpeedVerdict:
    """The same of a ratio that is still a logarithm, where turning it round turns the verdict round exactly."""
    if ratio.half is None:
        return "inconclusive"
    return _verdict(ratio.centre - ratio.half, ratio.centre + ratio.half, margin)


def _verdict(low: float, high: float, margin: float) -> SpeedVerdict:
    limit = math.log1p(margin)
    if low > limit:
        return "faster"
    if high < -limit:
        return "slower"
    if low >= -limit and high <= limit:
        return "equivalent"
    return "inconclusive"


def relative_half_width(stats: LatencyStats | None) -> float | None:
    """Half the interval of the median as a share of the median; None without an interval."""
    if stats is None or stats.ci95 is None or not stats.median:
        return None
    low, high = stats.ci95
    return (high - low) / 2 / stats.median
