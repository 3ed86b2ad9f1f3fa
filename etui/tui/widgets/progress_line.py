"""One line with the progress of a session: its stage, the completed share, and the remaining time."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.text import Text
from textual.app import RenderResult
from textual.timer import Timer
from textual.widget import Widget

from etui.events import Event
from etui.text import moment, plain
from etui.text import width as cells
from etui.tui.terminal import glyphs, theme_colour

MEASURING_TICK_S = 5.0
"""During a measurement the clock is redrawn at this interval if no event updates it."""
_SHORTEST_BAR = 8


class ProgressLine(Widget):
    """Hidden until a stage begins. ``handle`` receives every event of the session; redraws at most once a second."""

    DEFAULT_CSS = """
    ProgressLine { height: 1; display: none; }
    ProgressLine.-live { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._stage: Event | None = None
        self._progress: Event | None = None
        self._since = self._deadline = self._drawn_at = 0.0
        self._ticking: Timer | None = None

    def on_mount(self) -> None:
        """Start the clock, which runs while there is progress to show."""
        self._ticking = self.set_interval(1.0, self._tick, pause=True)
        self._follow_state()

    def _tick(self) -> None:
        # The measurement shares the machine, and each block that ends updates the line anyway.
        if not self.is_measuring or time.monotonic() - self._drawn_at >= MEASURING_TICK_S:
            self.refresh()

    def clear(self) -> None:
        """Hide the line."""
        self._stage = self._progress = None
        self._follow_state()

    def handle(self, event: Event) -> None:
        """Update the line for a stage or progress event; ignore other kinds."""
        if event.kind == "stage":
            self._stage, self._progress, self._since = event, None, _monotonic(event.at)
        elif event.kind == "progress":
            self._progress = event
            self._deadline = 0.0 if event.left_s is None else _monotonic(event.at) + event.left_s
        else:
            return
        self._follow_state()

    @property
    def is_measuring(self) -> bool:
        """Whether samples are being taken, so that redraws should be rare."""
        event = self._progress or self._stage
        return event is not None and event.stage == "measure"

    def render(self) -> RenderResult:
        """Return the line for the current width."""
        self._drawn_at = time.monotonic()
        width = self.content_size.width
        if self._progress is not None and self._progress.total:
            return self._bar(self._progress, width)
        if self._stage is None:
            return ""
        elapsed = max(0.0, time.monotonic() - self._since)
        signs = glyphs(self.app)
        text = f"{self._stage.stage or ''}  {plain(self._stage.message)}"
        clock = f"  {_clock(elapsed)}"
        room = max(0, width - len(clock))
        return Text((text if cells(text) <= room else text[: room - 1] + signs.cut) + clock, no_wrap=True)

    def _bar(self, progress: Event, width: int) -> Text:
        share = min(1.0, max(0.0, (progress.done or 0.0) / (progress.total or 1.0)))
        signs = glyphs(self.app)
        left = f" {signs.dot} {_clock(max(0.0, self._deadline - time.monotonic()))} left" if self._deadline else ""
        before, after = f"{progress.stage or ''} ", f" {share:4.0%}  {plain(progress.message)}{left}"
        room = width - cells(before) - cells(after)
        if room < _SHORTEST_BAR:
            after = f" {share:4.0%}{left}"
            room = max(0, width - cells(before) - cells(after))
        room = min(room, 40)
        line = Text(before, no_wrap=True)
        filled = round(share * room)
        line.append(signs.bar_full * filled, theme_colour(self.app, "primary") or "bold")
        line.append(signs.bar_rest * (room - filled), theme_colour(self.app, "faint") or None)
        line.append(after)
        return line

    def _follow_state(self) -> None:
        live = self._stage is not None or self._progress is not None
        self.set_class(live, "-live")
        if self._ticking is not None:
            if live:
                self._ticking.resume()
            else:
                self._ticking.pause()
        self.refresh()


def _monotonic(at: str) -> float:
    """Return an event's wall-clock time on the monotonic clock; the current time if it cannot be parsed."""
    now, reported = time.monotonic(), moment(at)
    return now - max(0.0, (datetime.now(UTC) - reported).total_seconds()) if reported else now


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
