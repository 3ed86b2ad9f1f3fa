"""Distribution-free p-values: sign flips of paired blocks, Mann-Whitney; Benjamini-Hochberg adjustment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_EXACT_PAIRS = 20
RANDOM_FLIPS = 100_000
MOST_EXACT_RANKS = 8
SEED = 20_261_121

_ROUNDING = 1e-9


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value for paired ``differences`` being symmetric about zero; None without any.

    The share of all 2^n assignments of signs whose absolute sum is at least the observed one (Fisher's randomization
    test; Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005, section 3.2). Exact up to 20 pairs;
    beyond, over 100,000 seeded random assignments and the observed one.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return None
    observed = abs(float(values.sum())) - _ROUNDING * float(np.abs(values).sum())
    if len(values) <= MOST_EXACT_PAIRS:
        # The first sign is fixed: reversing all signs gives the same absolute sum.
        sums = values[:1]
        for value in values[1:]:
            sums = np.concatenate((sums + value, sums - value))
        return float(np.mean(np.abs(sums) >= observed))
    generator = np.random.default_rng(SEED)
    signs = generator.integers(0, 2, size=(RANDOM_FLIPS, len(values)), dtype=np.int8) * 2 - 1
    at_least_as_large = int(np.count_nonzero(np.abs(signs @ values) >= observed))
    return (at_least_as_large + 1) / (RANDOM_FLIPS + 1)


def mann_whitney_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the two-sided p-value for neither side tending to be larger (Mann and Whitney, 1947); None if a side
    is empty.

    Exact if one side has at most eight values and there are no ties, else the normal approximation with corrections for
    ties and continuity: the same as ``scipy.stats.mannwhitneyu``, whose import alone takes half a second.
    """
    one, two = len(first), len(second)
    if not one or not two:
        return None
    ranks, repeats = average_ranks([*first, *second])
    wins = float(ranks[:one].sum()) - one * (one + 1) / 2
    wins = max(wins, one * two - wins)
    if len(repeats) == one + two and min(one, two) <= MOST_EXACT_RANKS:
        ways = _ways(one, two)
        return min(1.0, 2 * sum(ways[round(wins) :]) / sum(ways))
    count = one + two
    ties = float((repeats.astype(np.float64) ** 3 - repeats).sum()) / (count * (count - 1))
    deviation = math.sqrt(one * two / 12 * (count + 1 - ties))
    if not deviation:
        return 1.0
    return min(1.0, math.erfc((wins - one * two / 2 - 0.5) / deviation / math.sqrt(2)))


def average_ranks(values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the rank of each value, counted from 1, with ties sharing the average of their ranks, and the count of
    each distinct value. The same as ``scipy.stats.rankdata``, whose import alone takes half a second."""
    _, inverse, repeats = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    ranks = np.cumsum(repeats) - (repeats - 1) / 2
    return ranks[inverse], repeats


@lru_cache(maxsize=256)
def _ways(one: int, two: int) -> list[int]:
    """Return in how many orders of ``one`` and ``two`` distinct values the first side wins 0, 1, 2, .. comparisons: the
    coefficients of the Gaussian binomial, the product of (1 - q^(two + i)) / (1 - q^i) for i from 1 to ``one``."""
    ways = [1] + [0] * (one * two)
    for step in range(1, one + 1):
        for power in range(len(ways) - 1, two + step - 1, -1):
            ways[power] -= ways[power - two - step]
        for power in range(step, len(ways)):
            ways[power] += ways[power - step]
    return ways


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple testing (Benjamini and Hochberg, 1995): among those below q, the expected
    share of false positives is at most q."""
    if not values:
        return []
    p_values = np.asarray(values, dtype=np.float64)
    order = np.argsort(p_values)
    ranked = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(ranked[::-1])[::-1])
    return [float(value) for value in adjusted]
