"""Bootstrap intervals of medians over blocks and samples, calibrated for the few blocks a session has.

Hierarchical bootstrap: resample blocks, then the samples within each, and take the median. The median of a resample of
n sorted values is an order statistic of n uniform indices, which follows a Beta distribution, so its distribution is
known and no resample is built. Draws are stratified: sorted they step through that distribution evenly, and a seeded
permutation scatters them.

Two things are mended before the spread of the draws is taken for that of the estimate. It shows the spread within
blocks twice, once in the blocks' own medians and once more in the samples drawn from them (Davison and Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8), so it is scaled by the square root of the share that lies
between blocks. And where blocks differ by more than their samples explain, the median of a resample of so few jumps
between them; normal noise fills the gaps (a smoothed bootstrap; Silverman and Young, Biometrika 74, 1987), so that what
the interval covers does not hang on how large block effects are.

One block that went wrong must not make the interval useless: the spread between blocks is winsorized by a sixth on
either side, and the spread of the draws is that of their middle two thirds. The half width is that spread times the
normal quantile times ``CALIBRATION``. The interval lies symmetrically about the estimate on the scale of logarithms, so
that a ratio and its reciprocal say the same.
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
"""What a half width is multiplied with, by the number of blocks, found by simulating sessions
(``tests.benchmarks.interval_calibration``): the interval then covers the truth 93 to 97 times in 100, for block effects
from none to five times the spread of the samples, normal or with heavy tails, and drift that both sides share. From 13
blocks on it is ``MANY_BLOCKS``."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Series = Sequence[float] | Floats


class LogEstimate(msgspec.Struct, frozen=True):
    """A median or ratio as a natural logarithm, with half the width of its 95 % interval; None where there is none."""

    centre: float
    half: float | None = None

    @property
    def value(self) -> float:
        """The median or ratio itself."""
        return exponential(self.centre)

    @property
    def interval(self) -> Interval | None:
        """Its 95 % interval."""
        if self.half is None:
            return None
        return exponential(self.centre - self.half), exponential(self.centre + self.half)

    def reciprocal(self) -> LogEstimate:
        """The same turned round."""
        return LogEstimate(-self.centre, self.half)


def resampled_medians(ordered: Floats, draws: int) -> Floats:
    """``draws`` medians of resamples (with replacement, same size) of ``ordered`` samples; both in ascending order."""
    count = len(ordered)
    if count == 1:
        return np.full(draws, ordered[0])
    first, second = _steps(count, draws)
    found: Floats = np.repeat(ordered, first)
    # The two middle values of an even resample nearly always move together.
    return found if count % 2 else (found + np.repeat(ordered, second)) / 2


def median_interval(blocks: Sequence[Series]) -> Interval | None:
    """95 % interval of the latency of positive ``blocks`` of samples; None if there are too few samples for one.

    With a single block only the spread within it can be seen, and the interval says nothing of other processes.
    """
    known = [block for block in blocks if len(block)]
    if sum(len(block) for block in known) < 5:
        return None
    if len(known) == 1:
        low, high = np.percentile(resampled_medians(_logs(known[0]), DRAWS), [2.5, 97.5])
        return float(np.exp(low)), float(np.exp(high))
    return typical(known).interval


def paired_ratio(pairs: Sequence[tuple[Series, Series]], draws: int = DRAWS) -> LogEstimate:
    """The ratio of two latencies that were measured in the same blocks: ``latency(first) / latency(second)``.

    ``pairs`` holds one pair of positive series per block. The interval comes from resampling whole pairs, so what a
    block does to both sides alike mostly cancels. There is no interval with fewer than two blocks.
    """
    first, second = [_logs(one) for one, _ in pairs], [_logs(other) for _, other in pairs]
    if [list(one) for one in first] > [list(one) for one in second]:
        # Both orders must draw the same random numbers for the same series, or the reciprocal would differ by noise.
        return paired_ratio([(other, one) for one, other in pairs], draws).reciprocal()
    centre = _latency([one for one, _ in pairs]) - _latency([other for _, other in pairs])
    if len(pairs) < 2:
        return LogEstimate(centre)
    drawn = _scattered([*first, *second], draws)
    half = _paired_half_width(_medians(first), _medians(second), drawn[: len(first)], drawn[len(first) :])
    return LogEstimate(centre, half)


def typical(blocks: Sequence[Series], draws: int = DRAWS) -> LogEstimate:
    """The latency of positive series, the median of the blocks' medians; no interval with fewer than two blocks."""
    centre = _latency(blocks)
    if len(blocks) < 2:
        return LogEstimate(centre)
    logs = [_logs(block) for block in blocks]
    return LogEstimate(centre, _half_width(_medians(logs), _scattered(logs, draws)))


def latency_of(blocks: Sequence[Series]) -> float:
    """A variant's latency, in the unit of the samples: the median over blocks of each block's median.

    Blocks are what can be exchanged (each is a process of its own), so a block counts once, however many samples it
    has. This is the one definition that figures, ratios, comparisons, trends and filters use.
    """
    return statistics.median(float(np.median(block)) for block in blocks)


def unpaired_ratio(first: LogEstimate, second: LogEstimate) -> LogEstimate:
    """The ratio of two ``typical`` latencies that were not measured side by side: their variances add up."""
    if first.half is None or second.half is None:
        return LogEstimate(first.centre - second.centre)
    return LogEstimate(first.centre - second.centre, math.hypot(*sorted((first.half, second.half))))


def calibration(blocks: int) -> float:
    """The factor for a half width that comes from this many blocks."""
    return CALIBRATION.get(blocks, MANY_BLOCKS)


def _logs(samples: Series) -> Floats:
    """The samples' logarithms in ascending order."""
    return np.sort(np.log(np.asarray(samples, dtype=np.float64)))


def _median(ordered: Floats) -> float:
    """What ``np.median`` says of sorted values, without its price on short series."""
    count = len(ordered)
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _medians(logs: Sequence[Floats]) -> Floats:
    return np.array([_median(block) for block in logs])


def _latency(blocks: Sequence[Series]) -> float:
    return math.log(latency_of(blocks))


def _half_width(points: Floats, draws: Floats) -> float:
    """Half of a 95 % interval, from the blocks' own medians and their resamples of shape (blocks, draws)."""
    between, within = _between(points), _within(draws)
    if not between:
        return 0.0
    smoothed = draws + _gap(between, within) * _noise(*draws.shape)
    return _width(_over_blocks(smoothed), between, within, len(points))


def _paired_half_width(first: Floats, second: Floats, drawn_first: Floats, drawn_second: Floats) -> float:
    """The same of the ratio of two sides' latencies, whose blocks are resampled as pairs.

    What the blocks do to both sides alike (``common``) and to their ratio (``apart``) is smoothed separately, which
    keeps the correlation between the sides.
    """
    apart, drawn_apart = first - second, drawn_first - drawn_second
    between, within = _between(apart), _within(drawn_apart)
    if not between:
        return 0.0
    common, drawn_common = (first + second) / 2, (drawn_first + drawn_second) / 2
    noise_apart = _gap(between, within) * _noise(*drawn_apart.shape)
    noise_common = _gap(_between(common), _within(drawn_common)) * _noise(*drawn_apart.shape)[:, ::-1]
    shift = _over_pairs(drawn_first + noise_common + noise_apart / 2, drawn_second + noise_common - noise_apart / 2)
    return _width(shift, between, within, len(apart))


def _within(draws: Floats) -> float:
    """The variance that the samples within a block give its median."""
    return _median(np.sort(draws.var(axis=1)))


def _gap(between: float, within: float) -> float:
    """The standard deviation of the noise that fills the gaps between blocks."""
    return math.sqrt(max(0.0, between - within))


def _width(found: Floats, between: float, within: float, blocks: int) -> float:
    """Half of a 95 % interval, from the resampled estimates. So few blocks can lie close together by chance, so that
    the variance between them counts for at least a part of what their samples explain; two blocks are so few that
    their calibration has to allow for that anyway."""
    if blocks > 2:
        between = max(between, LEAST_BETWEEN * within)
    ordered = np.sort(found)
    tail = round(BEYOND_ONE_SIGMA * len(ordered))
    spread = float(ordered[-1 - tail] - ordered[tail]) / 2
    return calibration(blocks) * NORMAL_95 * math.sqrt(between / (between + max(between, within))) * spread


def _between(points: Floats) -> float:
    """The variance between blocks: that of the points winsorized by a sixth on either side, made up for what that
    takes away (Yuen, Biometrika 61, 1974)."""
    count, cut = len(points), len(points) // 6
    ordered = np.sort(points)
    ordered[:cut], ordered[count - cut :] = ordered[cut], ordered[count - cut - 1]
    return float(ordered.var(ddof=1)) * (count / (count - 2 * cut)) ** 2


def _scattered(series: Sequence[Floats], draws: int) -> Floats:
    """Resampled medians of each series in an order of its own; shape (series, draws)."""
    drawn = np.stack([resampled_medians(one, draws) for one in series])
    return drawn.take(_orders(len(series), draws))


def _over_blocks(medians: Floats) -> Floats:
    """For each draw the median over a resample of blocks; ``medians`` has shape (blocks, draws).

    Which of the blocks in ascending order lie in the middle of a resample does not depend on their values.
    """
    blocks, draws = medians.shape
    ordered = list(medians)
    # Row against row, which is several times faster than sorting every draw's few blocks.
    for one, other in _exchanges(blocks):
        ordered[one], ordered[other] = (
            np.minimum(ordered[one], ordered[other]),
            np.maximum(ordered[one], ordered[other]),
        )
    flat = np.concatenate(ordered)
    low, high = _middle(blocks, draws)
    found: Floats = (flat.take(low) + flat.take(high)) / 2
    return found


def _over_pairs(first: Floats, second: Floats) -> Floats:
    """For each draw the difference of the two sides' medians over the same resample of blocks; both have shape
    (blocks, draws)."""
    blocks, draws = first.shape
    chosen = np.random.default_rng(SEED + 3).integers(0, blocks, size=(blocks, draws))
    columns = np.arange(draws)
    sides = [np.median(side[chosen, columns], axis=0) for side in (first, second)]
    found: Floats = sides[0] - sides[1]
    return found


@cache
def _exchanges(count: int) -> list[tuple[int, int]]:
    """Which pairs to put in order, one after the other, so that ``count`` values end up sorted (Batcher's odd-even
    merge sort; Knuth, "The Art of Computer Programming", volume 3, section 5.2.2, algorithm M)."""
    pairs = []
    top = step = 1 << max(0, (count - 1).bit_length() - 1)
    while step:
        further, bit, distance = top, 0, step
        while True:
            pairs += [(one, one + distance) for one in range(count - distance) if one & step == bit]
            if further == step:
                break
            distance, further, bit = further - step, further >> 1, step
        step >>= 1
    return pairs


@lru_cache(maxsize=1024)
def _steps(count: int, draws: int) -> tuple[Indices, Indices]:
    """How many of ``draws`` resamples of ``count`` sorted values have each of them as their lower and upper middle.

    The k-th of n uniform draws lies below x with the probability that Beta(k, n + 1 - k) does.
    """
    rank = (count + 1) // 2
    edges = np.arange(count + 1) / count
    first = np.diff(np.rint(betainc(rank, count + 1 - rank, edges) * draws)).astype(np.intp)
    return first, first[::-1]


@lru_cache(maxsize=16)
def _orders(series: int, draws: int) -> Indices:
    """A permutation of the draws for each series, as places in the array of all; shape (series, draws)."""
    generator = np.random.default_rng(SEED)
    return np.stack([number * draws + generator.permutation(draws) for number in range(series)])


@lru_cache(maxsize=16)
def _middle(blocks: int, draws: int) -> tuple[Indices, Indices]:
    """The places of each draw's lower and upper middle in the array of all, whose rows are in ascending order."""
    chosen = np.sort(np.random.default_rng(SEED + 1).integers(0, blocks, size=(blocks, draws)), axis=0)
    places = chosen * draws + np.arange(draws)
    return places[(blocks - 1) // 2], places[blocks // 2]


@lru_cache(maxsize=16)
def _noise(blocks: int, draws: int) -> Floats:
    """Standard normal, as evenly spread as the draws; shape (blocks, draws)."""
    even: Floats = ndtri((np.arange(draws) + 0.5) / draws)
    generator = np.random.default_rng(SEED + 2)
    return np.stack([generator.permutation(even) for _ in range(blocks)])
