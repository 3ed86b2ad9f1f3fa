"""Bootstrap intervals of medians over blocks and samples, calibrated for the few blocks a session has.

Hierarchical bootstrap: resample blocks, then the samples within each, and take the median. The median of a resample of
n sorted values is an order statistic of n uniform indices, which follows a Beta distribution, so its distribution is
known and no resample is built. Draws are stratified: sorted they step through that distribution evenly, and a seeded
permutation scatters them.

Two corrections are made before the spread of the draws is used as that of the estimate. The draws contain the variance
within blocks twice, once in the blocks' own medians and once in the samples drawn from them (Davison and Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8), so their spread is scaled by the square root of the share
of the variance that is between blocks. And if blocks differ by more than their samples explain, the median of a
resample of few blocks jumps between them; normal noise fills the gaps (a smoothed bootstrap; Silverman and Young,
Biometrika 74, 1987), so that the coverage of the interval does not depend on the size of block effects.

One outlying block must not make the interval useless: the variance between blocks is winsorized by a sixth on either
side, and the spread of the draws is that of their middle two thirds. The half width is that spread times the normal
quantile times ``CALIBRATION``. The interval is symmetric about the estimate on the log scale, so that a ratio and its
reciprocal lead to the same conclusion.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache, lru_cache
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtri

from etui.magnitudes import exponential
from etui.results import Interval

LEAST_BETWEEN = 0.2
DRAWS = 10_000
SEED = 20_261_120
NORMAL_95 = NormalDist().inv_cdf(0.975)
BEYOND_ONE_SIGMA = NormalDist().cdf(-1)

CALIBRATION = {2: 5.6, 3: 1.55, 4: 1.21, 5: 1.05, 6: 1.11, 7: 1.01, 8: 0.97, 9: 0.93, 10: 0.91, 11: 0.9, 12: 0.9}
MANY_BLOCKS = 0.87
"""Factors for the half width, ``CALIBRATION`` by the number of blocks and ``MANY_BLOCKS`` from 13 blocks on, determined
by simulating sessions (``tests.benchmarks.interval_calibration``): the interval then covers the true value 93 to 97
times in 100, for block effects from none to five times the spread of the samples, normal or heavy-tailed, and for drift
shared by both sides."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Series = Sequence[float] | Floats


class LogEstimate(msgspec.Struct, frozen=True):
    """A median or ratio as a natural logarithm, with half the width of its 95 % interval; None without an interval."""

    centre: float
    half: float | None = None

    @property
    def value(self) -> float:
        """The median or ratio on the linear scale."""
        return exponential(self.centre)

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval on the linear scale; None without one."""
        if self.half is None:
            return None
        return exponential(self.centre - self.half), exponential(self.centre + self.half)

    def reciprocal(self) -> LogEstimate:
        """Return the estimate of the reciprocal, with the same half width."""
        return LogEstimate(-self.centre, self.half)


def resampled_medians(ordered: Floats, draws: int) -> Floats:
    """Return ``draws`` medians of resamples (with replacement, same size) of ``ordered`` samples; both ascending."""
    count = len(ordered)
    if count == 1:
        return np.full(draws, ordered[0])
    first, second = _middle_counts(count, draws)
    medians: Floats = np.repeat(ordered, first)
    # The two middle values of a resample of even size are strongly correlated.
    return medians if count % 2 else (medians + np.repeat(ordered, second)) / 2


def median_interval(blocks: Sequence[Series]) -> Interval | None:
    """Return the 95 % interval of the latency of ``blocks`` of positive samples, in their unit; None for fewer than
    five samples in total.

    With a single block only the variance within it is known, and the interval does not cover other processes.
    """
    known = [block for block in blocks if len(block)]
    if sum(len(block) for block in known) < 5:
        return None
    if len(known) == 1:
        low, high = np.percentile(resampled_medians(_logs(known[0]), DRAWS), [2.5, 97.5])
        return float(np.exp(low)), float(np.exp(high))
    return typical_latency(known).interval


def paired_ratio(pairs: Sequence[tuple[Series, Series]], draws: int = DRAWS) -> LogEstimate:
    """Return the ratio of two latencies that were measured in the same blocks: ``latency(first) / latency(second)``.

    ``pairs`` holds one pair of positive series per block. The interval is obtained by resampling whole pairs, so a
    block effect shared by both sides mostly cancels. There is no interval with fewer than two blocks.
    """
    first, second = [_logs(one) for one, _ in pairs], [_logs(other) for _, other in pairs]
    if [list(one) for one in first] > [list(one) for one in second]:
        # Both orders must draw the same random numbers for the same series; otherwise the reciprocal would differ by
        # noise.
        return paired_ratio([(other, one) for one, other in pairs], draws).reciprocal()
    centre = _latency([one for one, _ in pairs]) - _latency([other for _, other in pairs])
    if len(pairs) < 2:
        return LogEstimate(centre)
    drawn = _shuffled_medians([*first, *second], draws)
    half = _paired_half_width(_medians(first), _medians(second), drawn[: len(first)], drawn[len(first) :])
    return LogEstimate(centre, half)


def typical_latency(blocks: Sequence[Series], draws: int = DRAWS) -> LogEstimate:
    """Return the latency of positive series (``latency_of``); without an interval for fewer than two blocks."""
    centre = _latency(blocks)
    if len(blocks) < 2:
        return LogEstimate(centre)
    logs = [_logs(block) for block in blocks]
    return LogEstimate(centre, _half_width(_medians(logs), _shuffled_medians(logs, draws)))


def latency_of(blocks: Sequence[Series]) -> float:
    """Return a variant's latency, in the unit of the samples: the median over blocks of each block's median.

    Blocks are the exchangeable units (each is a separate process), so a block counts once, whatever its number of
    samples. Statistics, ratios, comparisons, trends and filters all use this definition.
    """
    return statistics.median(float(np.median(block)) for block in blocks)


def unpaired_ratio(first: LogEstimate, second: LogEstimate) -> LogEstimate:
    """Return the ratio of two ``typical`` latencies measured independently: their variances on the log scale add up."""
    if first.half is None or second.half is None:
        return LogEstimate(first.centre - second.centre)
    return LogEstimate(first.centre - second.centre, math.hypot(*sorted((first.half, second.half))))


def calibration(blocks: int) -> float:
    """Return the factor for the half width of an interval from this number of blocks."""
    return CALIBRATION.get(blocks, MANY_BLOCKS)


def _logs(samples: Series) -> Floats:
    """Return the natural logarithms of the samples in ascending order."""
    return np.sort(np.log(np.asarray(samples, dtype=np.float64)))


def _median(ordered: Floats) -> float:
    """Return the median of sorted values; much cheaper than ``np.median`` on short series."""
    count = len(ordered)
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _medians(logs: Sequence[Floats]) -> Floats:
    return np.array([_median(block) for block in logs])


def _latency(blocks: Sequence[Series]) -> float:
    return math.log(latency_of(blocks))


def _half_width(points: Floats, draws: Floats) -> float:
    """Return half the width of a 95 % interval, from the blocks' medians and resamples of shape (blocks, draws)."""
    between, within = _between(points), _within(draws)
    if not between:
        return 0.0
    smoothed = draws + _smoothing_sd(between, within) * _noise(*draws.shape)
    return _calibrated_half_width(_medians_over_blocks(smoothed), between, within, len(points))


def _paired_half_width(first: Floats, second: Floats, drawn_first: Floats, drawn_second: Floats) -> float:
    """Return half the width of a 95 % interval of the log ratio of two sides whose blocks are resampled as pairs.

    The block effect shared by both sides (``common``) and the effect on their ratio (``difference``) are smoothed
    separately, which preserves the correlation between the sides. Draws have shape (blocks, draws).
    """
    difference, drawn_difference = first - second, drawn_first - drawn_second
    between, within = _between(difference), _within(drawn_difference)
    if not between:
        return 0.0
    common, drawn_common = (first + second) / 2, (drawn_first + drawn_second) / 2
    noise_difference = _smoothing_sd(between, within) * _noise(*drawn_difference.shape)
    noise_common = _smoothing_sd(_between(common), _within(drawn_common)) * _noise(*drawn_difference.shape)[:, ::-1]
    shift = _differences_over_pairs(
        drawn_first + noise_common + noise_difference / 2, drawn_second + noise_common - noise_difference / 2
    )
    return _calibrated_half_width(shift, between, within, len(difference))


def _within(draws: Floats) -> float:
    """Return the typical variance of a block's median that is due to the samples within the block."""
    return _median(np.sort(draws.var(axis=1)))


def _smoothing_sd(between: float, within: float) -> float:
    """Return the standard deviation of the smoothing noise that fills the gaps between blocks."""
    return math.sqrt(max(0.0, between - within))


def _calibrated_half_width(estimates: Floats, between: float, within: float, blocks: int) -> float:
    """Return half the width of a 95 % interval from the resampled estimates.

    A few blocks can be close together by chance, so the variance between them counts as at least ``LEAST_BETWEEN`` of
    the variance within them; the calibration factor for two blocks already allows for that.
    """
    if blocks > 2:
        between = max(between, LEAST_BETWEEN * within)
    ordered = np.sort(estimates)
    tail = round(BEYOND_ONE_SIGMA * len(ordered))
    spread = float(ordered[-1 - tail] - ordered[tail]) / 2
    return calibration(blocks) * NORMAL_95 * math.sqrt(between / (between + max(between, within))) * spread


def _between(points: Floats) -> float:
    """Return the variance between blocks: that of the points winsorized by a sixth on either side, rescaled for the
    variance that winsorizing removes (Yuen, Biometrika 61, 1974)."""
    count, cut = len(points), len(points) // 6
    ordered = np.sort(points)
    ordered[:cut], ordered[count - cut :] = ordered[cut], ordered[count - cut - 1]
    return float(ordered.var(ddof=1)) * (count / (count - 2 * cut)) ** 2


def _shuffled_medians(series: Sequence[Floats], draws: int) -> Floats:
    """Return resampled medians of each series, each in a separate random order; shape (series, draws)."""
    drawn = np.stack([resampled_medians(item, draws) for item in series])
    return drawn.take(_permutations(len(series), draws))


def _medians_over_blocks(medians: Floats) -> Floats:
    """Return for each draw the median over a resample of blocks; ``medians`` has shape (blocks, draws).

    Which ranks of the sorted blocks are in the middle of a resample does not depend on the blocks' values.
    """
    blocks, draws = medians.shape
    ordered = list(medians)
    # Comparing whole rows is several times faster than sorting the few blocks of each draw.
    for lower, upper in _sorting_network(blocks):
        ordered[lower], ordered[upper] = (
            np.minimum(ordered[lower], ordered[upper]),
            np.maximum(ordered[lower], ordered[upper]),
        )
    flat = np.concatenate(ordered)
    low, high = _middle_indices(blocks, draws)
    middles: Floats = (flat.take(low) + flat.take(high)) / 2
    return middles


def _differences_over_pairs(first: Floats, second: Floats) -> Floats:
    """Return for each draw the difference of the two sides' medians over the same resample of blocks; both arguments
    have shape (blocks, draws)."""
    blocks, draws = first.shape
    chosen = np.random.default_rng(SEED + 3).integers(0, blocks, size=(blocks, draws))
    columns = np.arange(draws)
    sides = [np.median(side[chosen, columns], axis=0) for side in (first, second)]
    differences: Floats = sides[0] - sides[1]
    return differences


@cache
def _sorting_network(count: int) -> list[tuple[int, int]]:
    """Return the pairs of indices to compare and exchange, in sequence, to sort ``count`` values (Batcher's odd-even
    merge sort; Knuth, "The Art of Computer Programming", volume 3, section 5.2.2, algorithm M)."""
    pairs = []
    top = step = 1 << max(0, (count - 1).bit_length() - 1)
    while step:
        further, bit, distance = top, 0, step
        while True:
            pairs += [(lower, lower + distance) for lower in range(count - distance) if lower & step == bit]
            if further == step:
                break
            distance, further, bit = further - step, further >> 1, step
        step >>= 1
    return pairs


@lru_cache(maxsize=1024)
def _middle_counts(count: int, draws: int) -> tuple[Indices, Indices]:
    """Return, for each of ``count`` sorted values, the number of ``draws`` resamples with it as their lower and as
    their upper middle value.

    The k-th smallest of n uniform draws is below x with the probability that a Beta(k, n + 1 - k) variable is.
    """
    rank = (count + 1) // 2
    edges = np.arange(count + 1) / count
    first = np.diff(np.rint(betainc(rank, count + 1 - rank, edges) * draws)).astype(np.intp)
    return first, first[::-1]


@lru_cache(maxsize=16)
def _permutations(series: int, draws: int) -> Indices:
    """Return a permutation of the draws for each series, as indices into the flattened array; shape (series, draws)."""
    generator = np.random.default_rng(SEED)
    return np.stack([number * draws + generator.permutation(draws) for number in range(series)])


@lru_cache(maxsize=16)
def _middle_indices(blocks: int, draws: int) -> tuple[Indices, Indices]:
    """Return the indices of each draw's lower and upper middle in the flattened array, whose columns are ascending."""
    chosen = np.sort(np.random.default_rng(SEED + 1).integers(0, blocks, size=(blocks, draws)), axis=0)
    indices = chosen * draws + np.arange(draws)
    return indices[(blocks - 1) // 2], indices[blocks // 2]


@lru_cache(maxsize=16)
def _noise(blocks: int, draws: int) -> Floats:
    """Return stratified standard normal noise, each row in a separate random order; shape (blocks, draws)."""
    even: Floats = ndtri((np.arange(draws) + 0.5) / draws)
    generator = np.random.default_rng(SEED + 2)
    return np.stack([generator.permutation(even) for _ in range(blocks)])
