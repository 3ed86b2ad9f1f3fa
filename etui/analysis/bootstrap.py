"""Bootstrap intervals of medians over blocks and samples, widened for the few blocks a session has.

Hierarchical bootstrap: resample blocks, then the samples within each, and take the median. The median of a resample of
n sorted values is an order statistic of n uniform indices, which follows a Beta distribution, so it is drawn directly
instead of building each resample. With few blocks a percentile interval is too narrow; it is widened by
``sqrt(n / (n - 1)) * t(n - 1) / z`` about its centre, as in Hesterberg, "What Teachers Should Know About the Bootstrap"
(2015), section 3.4 (expanded percentile interval).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from etui.results import Interval

DRAWS = 10_000
SEED = 20_261_120

Floats = NDArray[np.float64]


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


def median_interval(blocks: Sequence[Sequence[float]]) -> Interval | None:
    """95 % interval of the median of positive ``blocks`` of samples; None where there are too few samples for one.

    With a single block only the spread within it can be seen, and the interval says nothing of other processes.
    """
    logs = [np.log(np.asarray(block, dtype=np.float64)) for block in blocks if len(block)]
    if sum(len(block) for block in logs) < 5:
        return None
    generator = np.random.default_rng(SEED)
    medians = np.stack([resampled_medians(block, DRAWS, generator) for block in logs])
    centre = float(np.median(np.concatenate(logs)))
    return _interval(_over_blocks(medians, generator), centre, len(logs))


def ratio_interval(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[float, Interval | None]:
    """The median over blocks of paired log-ratios ``median(first) / median(second)``, and its 95 % interval.

    ``pairs`` holds one pair of sample series a block. The interval is None with fewer than two blocks.
    """
    points = np.array([np.log(np.median(first)) - np.log(np.median(second)) for first, second in pairs])
    centre = float(np.median(points))
    if len(pairs) < 2:
        return float(np.exp(centre)), None
    generator = np.random.default_rng(SEED)
    draws = np.stack(
        [
            resampled_medians(np.log(np.asarray(first, dtype=np.float64)), DRAWS, generator)
            - resampled_medians(np.log(np.asarray(second, dtype=np.float64)), DRAWS, generator)
            for first, second in pairs
        ]
    )
    return float(np.exp(centre)), _interval(_over_blocks(draws, generator), centre, len(pairs))


def _over_blocks(medians: Floats, generator: np.random.Generator) -> Floats:
    """For each draw the median over a resample of blocks; ``medians`` has shape (blocks, draws)."""
    blocks, draws = medians.shape
    chosen = generator.integers(0, blocks, size=(blocks, draws))
    picked: Floats = np.median(np.take_along_axis(medians, chosen, axis=0), axis=0)
    return picked


def _interval(draws: Floats, centre: float, blocks: int) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    widen = 1.0
    if blocks > 1:
        widen = float(np.sqrt(blocks / (blocks - 1)) * stdtrit(blocks - 1, 0.975) / ndtri(0.975))
    return (
        float(np.exp(centre - widen * max(0.0, centre - low))),
        float(np.exp(centre + widen * max(0.0, high - centre))),
    )
