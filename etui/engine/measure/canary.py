"""The canary: a fixed small amount of work, timed before and after each block to detect changes in the machine's
speed."""

from __future__ import annotations

import hashlib
import statistics
import threading
import time

BUFFER = bytes(1 << 20)
HASHES = 2
REPEATS = 6
TRIES = 3
MOST_THREADS = 8
MAX_DEVIATION = 0.05
"""A time that differs more than this from the expected one, relatively, is measured again."""


def canary_ms(threads: int, expected_ms: float | None) -> float:
    """Return the milliseconds that hashing ``HASHES`` buffers takes on ``threads`` threads at once (median of
    ``REPEATS`` repetitions).

    Hashing releases the interpreter's lock, and its threads end, so that none spins while a thread pool is timed. If
    the time deviates from ``expected_ms``, up to two more measurements are taken and the closest counts: a disturbance
    of a few milliseconds is not representative of a block of a second.
    """
    count = min(threads, MOST_THREADS)
    times_ms = [_Hashing(count).milliseconds()]
    while expected_ms and len(times_ms) < TRIES and abs(times_ms[-1] / expected_ms - 1) > MAX_DEVIATION:
        times_ms.append(_Hashing(count).milliseconds())
    return min(times_ms, key=lambda time_ms: abs(time_ms - (expected_ms or time_ms)))


class _Hashing:
    """Threads that hash concurrently, in synchronized steps."""

    def __init__(self, threads: int) -> None:
        self._barrier = threading.Barrier(threads)
        self._spans: list[list[tuple[float, float]]] = [[] for _ in range(threads)]

    def milliseconds(self) -> float:
        """Return the median duration of a step, from its first start to its last end."""
        helpers = [threading.Thread(target=self._work, args=(spans,)) for spans in self._spans[1:]]
        for helper in helpers:
            helper.start()
        self._work(self._spans[0])
        for helper in helpers:
            helper.join()
        steps_s = [
            max(end for _, end in step) - min(start for start, _ in step) for step in zip(*self._spans, strict=True)
        ]
        return 1e3 * float(statistics.median(steps_s))

    def _work(self, spans: list[tuple[float, float]]) -> None:
        for _ in range(REPEATS):
            self._barrier.wait()
            start = time.perf_counter()
            for _ in range(HASHES):
                hashlib.sha256(BUFFER)
            spans.append((start, time.perf_counter()))
