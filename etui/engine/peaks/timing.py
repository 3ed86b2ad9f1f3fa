"""Repeat a piece of work and return its rate."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from etui.machine_peaks import Rate, RateKind

_WARM_UP = 2
_FEWEST = 5
_MOST = 200


def rate_of(
    kind: RateKind, library: str, work: str, amount: float, seconds_of: Callable[[], float], repeat_s: float
) -> Rate:
    """Return the rate of work that takes ``seconds_of()`` seconds to do ``amount`` operations or to move ``amount``
    bytes: the median over repetitions for about ``repeat_s`` seconds, at least five."""
    for _ in range(_WARM_UP):
        seconds_of()
    seconds: list[float] = []
    until = time.perf_counter() + repeat_s
    while len(seconds) < _FEWEST or (len(seconds) < _MOST and time.perf_counter() < until):
        seconds.append(seconds_of())
    rates = [amount / each / 1e9 for each in seconds]
    low, _, high = statistics.quantiles(rates, n=4)
    return Rate(
        kind=kind, library=library, work=work, median=statistics.median(rates), low=low, high=high, repeats=len(rates)
    )


def timed(execute: Callable[[], object]) -> Callable[[], float]:
    """Return a function that executes some work and returns the seconds it took."""

    def seconds_of() -> float:
        start = time.perf_counter()
        execute()
        return time.perf_counter() - start

    return seconds_of
