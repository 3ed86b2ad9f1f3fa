"""A fixed small piece of work, timed before and after each block: it takes longer when the box does."""

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
NEAR = 0.05


def canary_ms(threads: int, expected_ms: float | None) -> float:
    """Milliseconds that hashing some megabytes takes on each of ``threads`` threads at once, the median of some times.

    Hashing lets go of the interpreter's lock, and its threads leave nothing behind that spins beside a thread pool.
    Where the answer is off from ``expected_ms`` it is asked twice more and the nearest answer counts: a hiccup of
    milliseconds says nothing of a block of a second.
    """
    count = min(threads, MOST_THREADS)
    found = [_Hashing(count).milliseconds()]
    while expected_ms and len(found) < TRIES and abs(found[-1] / expected_ms - 1) > NEAR:
        found.append(_Hashing(count).milliseconds())
    return min(found, key=lambda took: abs(took - (expected_ms or took)))


class _Hashing:
    """Some threads that hash side by side, step by step."""

    def __init__(self, threads: int) -> None:
        self._barrier = threading.Barrier(threads)
        self._spans: list[list[tuple[float, float]]] = [[] for _ in range(threads)]

    def milliseconds(self) -> float:
        """The median over the steps, each from its first start to its last end."""
        helpers = [threading.Thread(target=self._work, args=(spans,)) for spans in self._spans[1:]]
        for helper in helpers:
            helper.start()
        self._work(self._spans[0])
        for helper in helpers:
            helper.join()
        took = [
            max(end for _, end in step) - min(start for start, _ in step) for step in zip(*self._spans, strict=True)
        ]
        return 1e3 * float(statistics.median(took))

    def _work(self, spans: list[tuple[float, float]]) -> None:
        for _ in range(REPEATS):
            self._barrier.wait()
            start = time.perf_counter()
            for _ in range(HASHES):
                hashlib.sha256(BUFFER)
            spans.append((start, time.perf_counter()))
