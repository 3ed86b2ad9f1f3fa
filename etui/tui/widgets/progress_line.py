"""One line with the progress of a session: a bar that never runs backwards, the time left, and what is being done, with
for how long if that is long."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.text import Text
from textual.app import RenderResult
from textual.timer import Timer
from textual.widget import Widget

from etui.services.progress_state import SessionProgress, left_text, share_text
from etui.text import clock, plain
from etui.text import width as cells
from etui.tui.terminal import glyphs, theme_colour

MEASURING_TICK_S = 5.0
"""During a measurement the time left is redrawn at this interval if no new progress updates it."""
_SHORTEST_BAR, _LONGEST_BAR = 8, 24
_SHORTEST_WORDS = 12
_LONG_S = 5.0
"""From this number of seconds on, for how long something has been done is shown; a block has a number instead."""


class ProgressLine(Widget):
    """Hidden without progress. Redrawn with each new progress, and otherwise at most once a second."""

    DEFAULT_CSS = """
    ProgressLine { height: 1; display: none; }
    ProgressLine.-live { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._progress: SessionProgress | None = None
        self._drawn_at = 0.0
        self._ticking: Timer | None = None

    def on_mount(self) -> None:
        """Start the clock, which runs while there is progress to show."""
        self._ticking = self.set_interval(1.0, self._tick, pause=True)
        self._follow_state()

    def _tick(self) -> None:
        # The measurement shares the machine, and each block that ends updates the line anyway.
        progress = self._progress
        if progress is None or not progress.is_measuring or time.monotonic() - self._drawn_at >= MEASURING_TICK_S:
            self.refresh()

    def show(self, progress: SessionProgress | None) -> None:
        """Show this progress; None hides the line."""
        if progress != self._progress:
            self._progress = progress
            self._follow_state()

    def render(self) -> RenderResult:
        """Return the line for the current width."""
        self._drawn_at = time.monotonic()
        progress, width = self._progress, self.content_size.width
        if progress is None:
            return ""
        signs = glyphs(self.app)
        doing = plain(progress.doing)
        if not progress.has_share:
            since = f"  {clock(progress.elapsed_s(datetime.now(UTC)))}"
            room = max(0, width - cells(since))
            text = f"{progress.stage}  {doing}"
            return Text((text if cells(text) <= room else text[: room - 1] + signs.cut) + since, no_wrap=True)
        now = datetime.now(UTC)
        left, share = left_text(progress), progress.share_at(now)
        lasting_s = progress.doing_for_s(now)
        lasting = f", {clock(lasting_s)}" if lasting_s is not None and lasting_s >= _LONG_S else ""
        after = f" {share_text(share)}" + (f" {signs.dot} {left}" if left is not None else "")
        room = max(0, width - cells(after))
        bar = min(room, max(_SHORTEST_BAR, min(_LONGEST_BAR, room - cells(doing) - cells(lasting) - 3)))
        room -= bar + 3 + cells(lasting)
        filled = int(share * bar)
        line = Text(no_wrap=True)
        line.append(signs.bar_full * filled, theme_colour(self.app, "primary") or "bold")
        line.append(signs.bar_rest * (bar - filled), theme_colour(self.app, "faint") or None)
        line.append(after)
        if room >= min(cells(doing), _SHORTEST_WORDS):
            line.append(f" {signs.dot} " + (doing if cells(doing) <= room else doing[: room - 1] + signs.cut) + lasting)
        return line

    def _follow_state(self) -> None:
        live = self._progress is not None
        self.set_class(live, "-live")
        if self._ticking is not None:
            if live:
                self._ticking.resume()
            else:
                self._ticking.pause()
        self.refresh()
