"""Properties of a series of samples: the autocorrelation of consecutive samples, and whether there are two modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEWEST = 60
"""Smallest number of samples that is tested."""

MODES_APART = 4.5
"""Smallest distance between two modes, in standard deviations within the modes."""

LEAST_SHARE = 0.1
"""Smallest share of the samples in each mode."""


class Modes(NamedTuple):
    """The medians of two modes, in the unit of the samples, and the share of the samples in the upper one."""

    low: float
    high: float
    share_high: float


def autocorrelation(blocks: Sequence[Sequence[float]]) -> float | None:
    """Return the rank correlation of each sample with the one before it in its block, -1 to 1; None with too few.

    Ranks are taken within the block, so neither an outlier nor a difference between blocks causes a correlation.
    """
    before, after = [], []
    for block in blocks:
        if len(block) >= FEWEST // 6:
            _, inverse, repeats = np.unique(block, return_inverse=True, return_counts=True)
            ranks = (np.cumsum(repeats) - (repeats - 1) / 2)[inverse] - (len(block) + 1) / 2
            before.append(ranks[:-1])
            after.append(ranks[1:])
    if sum(map(len, before)) < FEWEST:
        return None
    earlier, later = np.concatenate(before), np.concatenate(after)
    scale = float(np.sqrt((earlier @ earlier) * (later @ later)))
    return float(earlier @ later) / scale if scale else None


def two_modes(samples: Sequence[float]) -> Modes | None:
    """Return the two modes of the samples; None if there is only one, or with fewer than ``FEWEST`` samples.

    The samples are split where the variance within both parts is least (Otsu, 1979). The parts are two modes if each
    has at least ``LEAST_SHARE`` of the samples and their medians are at least ``MODES_APART`` times the larger of their
    deviations apart: split in the same way, a normal distribution has a distance of 2.2 and a uniform one of 2.7.
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
    distance = float(np.median(high) - np.median(low))
    deviation = max(_deviation(low), _deviation(high))
    if distance <= 0 or (deviation and distance / deviation < MODES_APART):
        return None
    return Modes(float(np.median(low)), float(np.median(high)), share)


def _deviation(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of a normal distribution with the same interquartile range."""
    low, high = np.percentile(values, [25, 75])
    return float(high - low) / 1.349
