"""A line of progress on a terminal, which is replaced as the work goes on and removed at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from etui.cli.table import terminal_width
from etui.text import about_seconds, shortened
from etui.time_left import TimeLeft

_EVERY_S = 0.1


class StatusLine:
    """Progress on stderr; nothing is written if that is not a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = 0.0
        self._left = TimeLeft()

    def begin(self, text: str) -> None:
        """Show what begins, if nothing more is known about the time that it takes."""
        self._write(text, time.monotonic())

    def show(self, text: str, done: float = 0.0, of: float = 0.0) -> None:
        """Show a text with the estimated time until ``done`` is ``of``, without one if ``of`` is 0; at most ten times a
        second for the same task. Another ``of`` begins another task, which may already be partly done."""
        now = time.monotonic()
        begins = self._left.begins(done, of)
        left_s = self._left.note(done, of)
        if now - self._shown < _EVERY_S and not begins:
            return
        if left_s is not None:
            text += f", about {about_seconds(left_s)} left"
        self._write(text, now)

    def note(self, text: str) -> None:
        """Write a line that remains, if stderr is a terminal."""
        self.close()
        if self._live:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def _write(self, text: str, now: float) -> None:
        if not self._live:
            return
        self._shown = now
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
