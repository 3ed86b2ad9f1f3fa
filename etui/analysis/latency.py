"""Latency statistics of a variant's blocks, and the speed-up between two variants with its verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from etui.analysis.bootstrap import LogEstimate, latency_of, median_interval, paired_ratio
from etui.analysis.disturbance import unreliable_because
from etui.results import Block, LatencyStats, Ratio, SpeedVerdict

MARGIN = 0.02
"""Ratios within this margin of one count as equivalent."""

SAMPLES_FOR_PERCENTILE = {90: 100, 95: 200, 99: 1_000}
"""Smallest number of samples that leaves ten beyond the percentile; with fewer, the estimate would be unreliable."""

Floats = NDArray[np.float64]


def latency_stats(blocks: Sequence[Block]) -> LatencyStats | None:
    """Return the latency statistics of one variant's blocks, in milliseconds; None without samples.

    ``median`` is the variant's latency: the median over blocks of each block's median (``bootstrap.latency_of``), with
    its 95 % interval. All other statistics weight every block equally too, whatever its number of samples: ``mean`` is
    the mean of the blocks' means, ``std`` the weighted standard deviation about it (with Bessel's correction for the
    number of samples), ``mad`` the weighted median absolute deviation from ``median`` (unscaled), and percentiles
    interpolate linearly between weighted samples.
    """
    series = [np.asarray(block.samples_ms, dtype=np.float64) for block in blocks if block.samples_ms]
    if not series:
        return None
    samples = np.concatenate(series)
    weights = np.concatenate([np.full(len(values), 1 / (len(series) * len(values))) for values in series])
    median, mean = latency_of(series), float(weights @ samples)
    percentiles = {
        percent: weighted_percentile(samples, weights, percent) if len(samples) >= fewest else None
        for percent, fewest in SAMPLES_FOR_PERCENTILE.items()
    }
    variance = float(weights @ (samples - mean) ** 2) * len(samples) / max(1, len(samples) - 1)
    return LatencyStats(
        count=len(samples),
        mean=mean,
        median=median,
        min=float(samples.min()),
        max=float(samples.max()),
        std=math.sqrt(variance) if len(samples) > 1 else None,
        mad=weighted_percentile(np.abs(samples - median), weights, 50),
        p90=percentiles[90],
        p95=percentiles[95],
        p99=percentiles[99],
        ci95=median_interval(series),
    )


def weighted_percentile(values: Floats, weights: Floats, percent: float) -> float:
    """Return a percentile of weighted values, interpolated linearly: for equal weights NumPy's default (type 7 of
    Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996), and doubling all weights changes nothing."""
    order = np.argsort(values, kind="stable")
    ordered, share = values[order], weights[order]
    before = np.concatenate(([0.0], np.cumsum(share)[:-1]))
    positions = np.arange(len(ordered)) * share + (len(ordered) - 1) * before
    return (
        float(np.interp(percent / 100 * positions[-1], positions, ordered)) if len(ordered) > 1 else float(ordered[0])
    )


def speedup(baseline: Sequence[Block], other: Sequence[Block]) -> Ratio | None:
    """Return how many times faster ``other`` is than ``baseline``, over the blocks with both; None if none has.

    If most blocks of either side were disturbed, the verdict is ``unreliable`` whatever the interval.
    """
    first = {block.index: block for block in baseline if block.samples_ms}
    pairs = [(first[block.index], block) for block in other if block.index in first and block.samples_ms]
    if not pairs:
        return None
    ratio = paired_ratio([(base_block.samples_ms, other_block.samples_ms) for base_block, other_block in pairs])
    reason = unreliable_because([base_block for base_block, _ in pairs], [other_block for _, other_block in pairs])
    return Ratio(
        value=ratio.value,
        ci95=ratio.interval,
        verdict="unreliable" if reason else verdict_of(ratio),
        blocks=len(pairs),
        reason=reason,
    )


def verdict_of(ratio: LogEstimate, margin: float = MARGIN) -> SpeedVerdict:
    """Return the verdict on a ratio: its interval must be wholly beyond the margin, or wholly within it. The comparison
    is on the log scale, so that the reciprocal of a ratio has exactly the opposite verdict."""
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
    """Return half the width of the median's interval as a share of the median; None without an interval."""
    if stats is None or stats.ci95 is None or not stats.median:
        return None
    low, high = stats.ci95
    return (high - low) / 2 / stats.median
