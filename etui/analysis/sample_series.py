"""What samples are like besides their middle: whether each leans on the one before, and whether they have two modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEWEST = 60
"""Fewer samples are not tested."""

MODES_APART = 4.5
LEAST_SHARE = 0.1


class Modes(NamedTuple):
    """Two values that samples lie around, and the share of the samples at the upper one."""

    low: float
    high: float
    share_high: float


def autocorrelation(blocks: Sequence[Sequence[float]]) -> float | None:
    """The correlation of each sample's rank with that of the sample before it in its block, -1 to 1; None with too few.

    Ranks within the block, so that neither an outlier nor a difference between blocks makes one.
    """
    before, after = [], []
    for block in blocks:
        if len(block) >= FEWEST // 6:
            _, places, repeats = np.unique(block, return_inverse=True, return_counts=True)
            ranks = (np.cumsum(repeats) - (repeats - 1) / 2)[places] - (len(block) + 1) / 2
            before.append(ranks[:-1])
            after.append(ranks[1:])
    if sum(map(len, before)) < FEWEST:
        return None
    one, other = np.concatenate(before), np.concatenate(after)
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else None


def two_modes(samples: Sequence[float]) -> Modes | None:
    """The two values that samples lie around; None where they lie around one, or are too few to tell.

    The samples are cut where that leaves the least variance within both parts (Otsu, 1979). They are two modes where
    both parts are worth mentioning and their medians lie ``MODES_APART`` times the parts' typical deviation apart:
    cut in the same way, a normal distribution comes to 2.2 and an even one to 2.7.
    """
    values = np.sort(np.asarray(samples, dtype=np.float64))
    if len(values) < FEWEST:
        return None
    count = len(values)
    below = np.arange(1, count)
    sums = np.cumsum(values)[:-1]
    between = (sums / below - (sums[-1] + values[-1] - sums) / (count - below)) ** 2 * below * (count - below)
    cut = int(np.argmax(between)) + 1
    low, high = values[:cut], values[cut:]
    share = len(high) / count
    if not LEAST_SHARE <= share <= 1 - LEAST_SHARE:
        return None
    apart = float(np.median(high) - np.median(low))
    deviation = max(_deviation(low), _deviation(high))
    if apart <= 0 or (deviation and apart / deviation < MODES_APART):
        return None
    return Modes(float(np.median(low)), float(np.median(high)), share)


def _deviation(values: NDArray[np.float64]) -> float:
    """The standard deviation of a normal distribution with as wide a middle half."""
    low, high = np.percentile(values, [25, 75])
    return float(high - low) / 1.349
