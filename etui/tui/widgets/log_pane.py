"""The pane with the log of a session or a run: it follows or holds still, filters by level, and searches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from etui.actions import bindings
from etui.events import Event
from etui.text import counted, plain
from etui.tui.defect_guard import Guarded
from etui.tui.terminal import glyphs
from etui.tui.widgets.log_lines import KEPT, LEVELS
from etui.tui.widgets.log_view import LogView
from etui.tui.widgets.progress_line import ProgressLine

QUIET_REDRAW_S = 0.8
"""While a measurement runs the screen, which shares the machine, may not be redrawn oftener than once a second. What
comes once a second is drawn with the rest of that second's picture, rather than a moment later in one of its own."""
BRISK_REDRAW_S = 0.2


class LogPane(Guarded, Widget):
    """The log of what ``follow`` named last. Its methods are the actions of scope ``log``."""

    DEFAULT_CSS = """
    LogPane {
        border: round $border-blurred;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        height: 1fr;
        padding: 0 1;
    }
    LogPane:focus-within { border: round $border; border-title-color: $foreground; }
    LogPane Input { display: none; height: 1; border: none; padding: 0; background: $boost; }
    LogPane.-searching Input { display: block; }
    LogPane.-bare ProgressLine { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("log", "search"),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._view = LogView()
        self._progress = ProgressLine()
        self._run_id: str | None = None
        self._session_id: str | None = None
        self._title = ""
        self._labels: Mapping[str, str] = {}
        self._waiting: list[Event] = []
        self._finished: set[str] = set()
        self._drawn_at = 0.0
        self._timer: Timer | None = None
        self._focus_before: Widget | None = None

    def compose(self) -> ComposeResult:
        """The lines, the progress under them, and the field for a search."""
        yield self._view
        yield self._progress
        yield Input(placeholder="search the log; enter, then n and N; escape ends", compact=True)

    def on_mount(self) -> None:
        """Write the title."""
        self._write_titles()

    def follow(
        self, session_id: str | None, run_id: str | None, title: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Be the log of this session, or of one of its runs; None for neither. Empties the pane where it was another's.

        ``labels`` names the runs of a session, such as ``int8/xnnpack``, before the lines that are theirs.
        """
        if (session_id, run_id) != (self._session_id, self._run_id):
            self.show([])
            self._view.is_following = True
        self._session_id, self._run_id, self._title = session_id, run_id, title
        self._labels = {} if run_id is not None else (labels or {})
        self._write_titles()

    def show(self, events: Sequence[Event]) -> None:
        """Show these events and no others."""
        self._waiting.clear()
        self._finished.clear()
        self._view.clear()
        self._progress.clear()
        self.add(events)
        self._draw()

    def add(self, events: Sequence[Event]) -> None:
        """Append events. Those of other runs are left out where one run is followed."""
        own = [event for event in events if self._run_id is None or event.run_id in (None, self._run_id)]
        if not own:
            return
        self._waiting += own
        del self._waiting[:-KEPT]
        wait = QUIET_REDRAW_S if self._progress.is_measuring else BRISK_REDRAW_S
        left = self._drawn_at + wait - time.monotonic()
        if left <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(left, self._draw)

    def ended(self) -> None:
        """Take the progress away: what is followed is not worked on any more, even where no event says so."""
        self._draw()
        self._progress.clear()

    @property
    def is_following(self) -> bool:
        """Whether new lines scroll into view."""
        return self._view.is_following

    def focus(self, scroll_visible: bool = True) -> LogPane:
        """Focus the lines."""
        self._view.focus(scroll_visible)
        return self

    def action_pause(self) -> None:
        """Follow, or hold still."""
        self._view.set_following(not self._view.is_following)

    def action_level(self) -> None:
        """Show the next higher level and those above; after the highest, everything."""
        lines = self._view.lines
        self._view.set_level(LEVELS[(LEVELS.index(lines.level) + 1) % len(LEVELS)])
        self._write_titles()

    def action_search(self) -> None:
        """Open the field for a search."""
        if not self.has_class("-searching"):
            self._focus_before = self.screen.focused
        self.add_class("-searching")
        field = self.query_one(Input)
        field.focus()
        field.select_all()

    def action_next_match(self) -> None:
        """Go to the next line that was searched for."""
        self._view.go_to_match(1)

    def action_previous_match(self) -> None:
        """Go to the line before that was searched for."""
        self._view.go_to_match(-1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of a search are only the log's while there is one; otherwise they mean what they do elsewhere."""
        if action in ("end_search", "next_match", "previous_match"):
            return self.has_class("-searching")
        return super().check_action(action, parameters)

    def action_end_search(self) -> None:
        """Close the field and unmark what was found; the focus goes back to where it was."""
        if not self.has_class("-searching"):
            return
        self.remove_class("-searching")
        self._view.search("")
        before, self._focus_before = self._focus_before, None
        if before is not None and before.is_attached:
            before.focus()

    @on(Input.Changed)
    def _search_as_typed(self, message: Input.Changed) -> None:
        message.stop()
        self._view.search(message.value)

    @on(Input.Submitted)
    def _search_done(self, message: Input.Submitted) -> None:
        message.stop()
        self._view.focus()

    @on(LogView.Changed)
    def _view_changed(self, message: LogView.Changed) -> None:
        message.stop()
        self._write_titles()

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._drawn_at = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._progress.say(event)
            if event.kind == "finished" and self._was_last(event):
                self._progress.clear()
        self._view.add([event for event in waiting if event.kind != "progress"], self._labels)

    def _was_last(self, event: Event) -> bool:
        """Whether nothing of what is followed goes on after this run has finished, as far as is known."""
        if event.run_id is not None:
            self._finished.add(event.run_id)
        return event.run_id in (None, self._run_id) or self._finished >= set(self._labels)

    def _write_titles(self) -> None:
        state = "following" if self._view.is_following else "held"
        between = f" {glyphs(self.app).dot} "
        subject = [plain(self._title)] if self._title else []
        self.border_title = Content(between.join(["Log", *subject, state]))
        parts = []
        if self._view.unseen:
            parts.append(f"{counted(self._view.unseen, 'new line')} below")
        if self._view.term:
            parts.append(self._view.search_words())
        if self._view.lines.forgotten:
            parts.append(f"{self._view.lines.forgotten:,} older in the database")
        level = self._view.lines.level
        parts.append("errors only" if level == "error" else "everything" if level == "debug" else f"{level} and above")
        self.border_subtitle = Content(between.join(parts))
