"""A line of progress on a terminal, which is replaced as the work goes on and removed at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from etui.cli.table import terminal_width
from etui.text import about_seconds, shortened

_EVERY_S = 0.1
_ESTIMATE_AFTER_S = 2.0


class StatusLine:
    """Progress on stderr; nothing is written if that is not a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = 0.0
        self._task = (0.0, 0.0, 0.0)

    def show(self, text: str, done: float, of: float) -> None:
        """Show a text with the estimated time until ``done`` is ``of``; at most ten times a second for the same task.
        Another ``of`` begins another task, which may already be partly done."""
        now = time.monotonic()
        began, first, task = self._task
        begins = task != of or done < first
        if begins:
            began, first = now, done
            self._task = (now, done, of)
        if not self._live or (now - self._shown < _EVERY_S and not begins):
            return
        self._shown = now
        if done > first and now - began > _ESTIMATE_AFTER_S:
            text += f", about {about_seconds((now - began) * (of - done) / (done - first))} left"
        sys.stderr.write(f"\r\x1b[K{shortened(text, (terminal_width() or 80) - 1)}")
        sys.stderr.flush()

    def close(self) -> None:
        """Remove the line."""
        if self._live and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def status_line() -> Iterator[StatusLine]:
    """A status line that is removed at the end in any case."""
    line = StatusLine()
    try:
        yield line
    finally:
        line.close()
