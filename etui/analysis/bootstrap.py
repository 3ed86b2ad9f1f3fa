"""Bootstrap intervals of medians over blocks and samples, calibrated for the few blocks a session has.

Hierarchical bootstrap: resample blocks, then the samples within each, and take the median. The median of a resample of
n sorted values is an order statistic of n uniform indices, which follows a Beta distribution, so it is drawn directly
instead of building each resample.

Such a resample shows the spread within blocks twice, once in the blocks' own medians and once more in the samples drawn
from them (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8), and with few blocks the
spread between them is underestimated. So the standard deviation of the draws is scaled by the square root of the share
that lies between blocks, and the half width is that times the normal quantile times ``CALIBRATION``. The interval lies
symmetrically about the estimate on the scale of logarithms, so that a ratio and its reciprocal say the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from etui.results import Interval

DRAWS = 10_000
SEED = 20_261_120

CALIBRATION = {2: 5.2, 3: 1.6, 4: 1.32, 5: 1.07, 6: 1.05}
"""What a half width is multiplied with, by the number of blocks, found by simulating sessions. With six blocks it then
covers the truth 93 to 97 times in 100 where block effects are up to the spread of the samples, normal or with heavy
tails, and 92 times where they are 1.5 times that. From seven blocks on it is one and covers rather more."""

Floats = NDArray[np.float64]
Series = Sequence[float]


class LogEstimate(msgspec.Struct, frozen=True):
    """A median or ratio as a natural logarithm, with half the width of its 95 % interval; None where there is none."""

    centre: float
    half: float | None = None

    @property
    def value(self) -> float:
        """The median or ratio itself."""
        return math.exp(self.centre)

    @property
    def interval(self) -> Interval | None:
        """Its 95 % interval."""
        if self.half is None:
            return None
        return math.exp(self.centre - self.half), math.exp(self.centre + self.half)

    def reciprocal(self) -> LogEstimate:
        """The same turned round."""
        return LogEstimate(-self.centre, self.half)


def resampled_medians(samples: Floats, draws: int, generator: np.random.Generator) -> Floats:
    """``draws`` medians of resamples (with replacement, same size) of ``samples``; shape (draws,)."""
    ordered = np.sort(samples)
    count = len(ordered)
    if count == 1:
        return np.full(draws, ordered[0])
    rank = (count + 1) // 2
    low = generator.beta(rank, count + 1 - rank, draws)
    first = ordered[np.minimum((low * count).astype(np.intp), count - 1)]
    if count % 2:
        return first
    # The next order statistic, given the first: the smallest of the remaining uniform draws above it.
    high = low + (1.0 - low) * generator.beta(1, count - rank, draws)
    return (first + ordered[np.minimum((high * count).astype(np.intp), count - 1)]) / 2


def median_interval(blocks: Sequence[Series]) -> Interval | None:
    """95 % interval of the median of positive ``blocks`` of samples; None where there are too few samples for one.

    With a single block only the spread within it can be seen, and the interval says nothing of other processes.
    """
    logs = [_logs(block) for block in blocks if len(block)]
    if sum(len(block) for block in logs) < 5:
        return None
    generator = np.random.default_rng(SEED)
    draws = np.stack([resampled_medians(block, DRAWS, generator) for block in logs])
    if len(logs) == 1:
        low, high = np.percentile(draws[0], [2.5, 97.5])
        return float(np.exp(low)), float(np.exp(high))
    centre = float(np.median(np.concatenate(logs)))
    return LogEstimate(centre, _half_width(_medians(logs), draws, generator)).interval


def paired_ratio(pairs: Sequence[tuple[Series, Series]], draws: int = DRAWS) -> LogEstimate:
    """The median over blocks of paired log-ratios ``median(first) / median(second)``.

    ``pairs`` holds one pair of positive series a block. There is no interval with fewer than two blocks.
    """
    first, second = [_logs(one) for one, _ in pairs], [_logs(other) for _, other in pairs]
    if [list(one) for one in first] > [list(one) for one in second]:
        # Both orders must draw the same random numbers for the same series, or the reciprocal would differ by noise.
        return paired_ratio([(other, one) for one, other in pairs], draws).reciprocal()
    points = _medians(first) - _medians(second)
    centre = float(np.median(points))
    if len(pairs) < 2:
        return LogEstimate(centre)
    generator = np.random.default_rng(SEED)
    drawn = np.stack(
        [
            resampled_medians(one, draws, generator) - resampled_medians(other, draws, generator)
            for one, other in zip(first, second, strict=True)
        ]
    )
    return LogEstimate(centre, _half_width(points, drawn, generator))


def typical(blocks: Sequence[Series], draws: int = DRAWS) -> LogEstimate:
    """The median over blocks of the medians of positive series; no interval with fewer than two blocks."""
    logs = [_logs(block) for block in blocks]
    points = _medians(logs)
    centre = float(np.median(points))
    if len(blocks) < 2:
        return LogEstimate(centre)
    generator = np.random.default_rng(SEED)
    drawn = np.stack([resampled_medians(block, draws, generator) for block in logs])
    return LogEstimate(centre, _half_width(points, drawn, generator))


def unpaired_ratio(first: LogEstimate, second: LogEstimate) -> LogEstimate:
    """The ratio of two ``typical`` latencies that were not measured side by side: their variances add up."""
    if first.half is None or second.half is None:
        return LogEstimate(first.centre - second.centre)
    return LogEstimate(first.centre - second.centre, math.hypot(*sorted((first.half, second.half))))


def calibration(blocks: int) -> float:
    """The factor for a half width that comes from this many blocks."""
    return CALIBRATION.get(blocks, 1.0)


def _logs(samples: Series) -> Floats:
    return np.log(np.asarray(samples, dtype=np.float64))


def _medians(logs: Sequence[Floats]) -> Floats:
    return np.array([np.median(block) for block in logs])


def _half_width(points: Floats, draws: Floats, generator: np.random.Generator) -> float:
    """Half of a 95 % interval, from the blocks' own medians and their resamples of shape (blocks, draws)."""
    between, within = float(points.var(ddof=1)), float(draws.var(axis=1).mean())
    share = between / (between + within) if between + within > 0 else 1.0
    spread = float(_over_blocks(draws, generator).std())
    return calibration(len(points)) * float(ndtri(0.975)) * math.sqrt(share) * spread


def _over_blocks(medians: Floats, generator: np.random.Generator) -> Floats:
    """For each draw the median over a resample of blocks; ``medians`` has shape (blocks, draws)."""
    blocks, draws = medians.shape
    chosen = generator.integers(0, blocks, size=(blocks, draws))
    picked: Floats = np.median(np.take_along_axis(medians, chosen, axis=0), axis=0)
    return picked
