"""The time left of work that reports how much of it is done."""

from __future__ import annotations

import time
from collections.abc import Callable

_ESTIMATE_AFTER_S = 2.0


class TimeLeft:
    """Estimates the time left from the rate so far. Another total begins another task, which may already be partly
    done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._task = (0.0, 0.0, 0.0)

    def begins(self, done: float, of: float) -> bool:
        """Whether this is the first report of a task."""
        _, first, task = self._task
        return task != of or done < first

    def note(self, done: float, of: float) -> float | None:
        """Return the estimated seconds until ``done`` is ``of``; None within the first two seconds of a task."""
        now = self._clock()
        if self.begins(done, of):
            self._task = (now, done, of)
        began, first, _ = self._task
        if done > first and now - began > _ESTIMATE_AFTER_S:
            return (now - began) * (of - done) / (done - first)
        return None
