"""The log pane of a session or a run: it follows new lines or pauses, filters by level, and searches."""

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
from etui.services.progress_state import SessionProgress
from etui.text import counted, plain
from etui.tui.defect_guard import Guarded
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import Footer, Hint
from etui.tui.widgets.log_lines import KEPT, LEVELS
from etui.tui.widgets.log_view import LogView
from etui.tui.widgets.progress_line import ProgressLine

QUIET_REDRAW_S = 0.8
"""During a measurement the screen, which shares the machine, may be redrawn at most once a second. Events that arrive
every second are drawn together with the other changes of that second."""
BRISK_REDRAW_S = 0.2


class LogPane(Guarded, Widget):
    """The log of the session or run set with ``follow``. Implements the actions of scope ``log``."""

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
        self._is_measuring = False
        self._drawn_at = 0.0
        self._timer: Timer | None = None
        self._focus_before: Widget | None = None

    def compose(self) -> ComposeResult:
        """Compose the lines, the progress below them, and the search field."""
        yield self._view
        yield self._progress
        yield Input(placeholder="search the log; Enter, then n and N for matches; Escape to end", compact=True)

    def on_mount(self) -> None:
        """Write the title."""
        self._write_titles()

    def follow(
        self, session_id: str | None, run_id: str | None, title: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Show the log of this session, or of one of its runs; None for neither. Clears the pane if that changed.

        ``labels`` are prefixes such as ``int8/xnnpack`` for the lines of a session's runs.
        """
        if (session_id, run_id) != (self._session_id, self._run_id):
            self.show([])
            self._view.is_following = True
        self._session_id, self._run_id, self._title = session_id, run_id, title
        self._labels = {} if run_id is not None else (labels or {})
        self._write_titles()

    def show(self, events: Sequence[Event]) -> None:
        """Replace the events."""
        self._waiting.clear()
        self._is_measuring = False
        self._view.clear()
        self.add(events)
        self._draw()

    def add(self, events: Sequence[Event]) -> None:
        """Append events. If one run is followed, those of other runs are skipped."""
        own = [event for event in events if self._run_id is None or event.run_id in (None, self._run_id)]
        if not own:
            return
        self._waiting += own
        del self._waiting[:-KEPT]
        for event in own:
            if event.stage is not None:
                self._is_measuring = event.stage == "measure"
        wait = QUIET_REDRAW_S if self._is_measuring else BRISK_REDRAW_S
        left = self._drawn_at + wait - time.monotonic()
        if left <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(left, self._draw)

    def show_progress(self, progress: SessionProgress | None) -> None:
        """Show the progress of the session below its log; None for none."""
        self._progress.show(progress)

    def footer(self) -> Footer:
        """Return the keys of the log, or of its search field."""
        if isinstance(self.screen.focused, Input):
            return Footer([Hint("enter", "go to matches"), "search.end_search"])
        if self.has_class("-searching"):
            return Footer(["search.next_match", "search.previous_match", "search.end_search"])
        return Footer(["log.pause", "log.level", "log.search"])

    @property
    def is_following(self) -> bool:
        """Whether new lines scroll into view."""
        return self._view.is_following

    def focus(self, scroll_visible: bool = True) -> LogPane:
        """Focus the lines."""
        self._view.focus(scroll_visible)
        return self

    def action_pause(self) -> None:
        """Follow new lines, or pause."""
        self._view.set_following(not self._view.is_following)

    def action_level(self) -> None:
        """Raise the minimum level; after the highest, show everything."""
        lines = self._view.lines
        self._view.set_level(LEVELS[(LEVELS.index(lines.level) + 1) % len(LEVELS)])
        self._write_titles()

    def action_search(self) -> None:
        """Open the search field."""
        if not self.has_class("-searching"):
            self._focus_before = self.screen.focused
        self.add_class("-searching")
        field = self.query_one(Input)
        field.focus()
        field.select_all()

    def action_next_match(self) -> None:
        """Go to the next match."""
        self._view.go_to_match(1)

    def action_previous_match(self) -> None:
        """Go to the previous match."""
        self._view.go_to_match(-1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable the search keys only during a search; otherwise other panes use them."""
        if action in ("end_search", "next_match", "previous_match"):
            return self.has_class("-searching")
        return super().check_action(action, parameters)

    def action_end_search(self) -> None:
        """Close the search field, unmark the matches, and restore the focus."""
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
        self._view.add([event for event in waiting if event.kind != "progress"], self._labels)

    def _write_titles(self) -> None:
        state = "following" if self._view.is_following else "paused"
        between = f" {glyphs(self.app).dot} "
        subject = [plain(self._title)] if self._title else []
        self.border_title = Content(between.join(["Log", *subject, state]))
        parts = []
        if self._view.unseen:
            parts.append(f"{counted(self._view.unseen, 'new line')} below")
        if self._view.term:
            parts.append(self._view.search_state())
        if self._view.lines.forgotten:
            parts.append(f"{self._view.lines.forgotten:,} older lines in the database")
        level = self._view.lines.level
        parts.append("errors only" if level == "error" else "all levels" if level == "debug" else f"{level} and above")
        self.border_subtitle = Content(between.join(parts))
