"""The lines of a log on the screen: it follows the newest line, or pauses while lines are added below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from rich.text import Text
from textual.message import Message

from etui.events import Event, Level
from etui.text import in_ascii
from etui.tui.terminal import draws_unicode, theme_colour
from etui.tui.widgets.line_view import LineView
from etui.tui.widgets.log_lines import ASCII_GLYPHS, GLYPHS, LogLines, LogStyles

NOTHING = "No log lines yet."


class LogView(LineView):
    """Scrolling up pauses, scrolling to the end follows again."""

    class Changed(Message):
        """The contents of the pane's title changed."""

    def __init__(self, nothing: str = NOTHING) -> None:
        super().__init__()
        self._nothing = nothing
        self.lines = LogLines()
        self.is_following = True
        self.unseen = 0
        self.term = ""
        self._matches: list[int] = []
        self._match = 0
        self._log_styles: LogStyles | None = None
        self._own_scroll = False

    def line_count(self) -> int:
        """Return the number of rows, at least one for the message that the log is empty."""
        return max(1, len(self.lines))

    def line(self, index: int) -> Text:
        """Return a row with the search term marked."""
        if not len(self.lines):
            return Text(self._nothing, self.styles_now.time)
        line = self.lines.text(index, self.styles_now, self.term)
        if self._matches and index == self._matches[self._match]:
            line.stylize("underline")
        return line

    def clear(self) -> None:
        """Remove all lines."""
        self.lines.clear()
        self.unseen = 0
        self._find()
        self._update_rows()

    def add(self, events: Sequence[Event], labels: Mapping[str, str]) -> None:
        """Append events; unless it follows, the visible lines stay."""
        if not events:
            return
        if not draws_unicode(self.app):
            events = [msgspec.structs.replace(event, message=in_ascii(event.message)) for event in events]
        added, dropped = self.lines.add(events, labels)
        if not self.is_following:
            self.unseen += added
        self._find()
        self._update_rows(dropped)
        self.post_message(self.Changed())

    def set_level(self, level: Level) -> None:
        """Show this level and higher ones."""
        self.lines.set_level(level)
        self._find()
        self._update_rows()

    def set_following(self, following: bool) -> None:
        """Follow the newest line, or pause."""
        self.is_following = following
        if following:
            self.unseen = 0
            self._update_rows()
        self.post_message(self.Changed())

    def search(self, term: str) -> None:
        """Mark this term and go to its last match; an empty term ends the search."""
        self.term = term
        self._find()
        self._match = max(0, len(self._matches) - 1)
        self._show_match()

    def go_to_match(self, step: int) -> None:
        """Go to another match, wrapping around."""
        if self._matches:
            self._match = (self._match + step) % len(self._matches)
            self._show_match()

    def search_state(self) -> str:
        """Return the number of matches, and the current one."""
        if not self._matches:
            return "not found"
        return f"match {self._match + 1} of {len(self._matches)}"

    def lay_out(self) -> None:
        """Wrap the lines to the new width."""
        self.lines.set_width(self.scrollable_content_region.width)
        self._find()
        self._update_rows()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Pause when the user scrolls away from the end, follow when they return to it."""
        super().watch_scroll_y(old_value, new_value)
        if self._own_scroll or round(old_value) == round(new_value):
            return
        at_end = round(new_value) >= self.max_scroll_y
        if at_end != self.is_following:
            self.is_following = at_end
            if at_end:
                self.unseen = 0
            self.post_message(self.Changed())

    def _update_rows(self, dropped: int = 0) -> None:
        self._own_scroll = True
        self.rows_changed()
        if self.is_following:
            self._scroll_now(self.max_scroll_y)
        elif dropped:
            self._scroll_now(max(0, self.scroll_offset.y - dropped))
        self._own_scroll = False

    def _scroll_now(self, y: float) -> None:
        self.set_reactive(LogView.scroll_target_y, y)
        self.scroll_y = y

    def _find(self) -> None:
        self._matches = self.lines.matches(self.term) if self.term else []
        self._match = min(self._match, max(0, len(self._matches) - 1))

    def _show_match(self) -> None:
        if self._matches:
            row = self._matches[self._match]
            top, height = self.scroll_offset.y, self.scrollable_content_region.height
            if not top <= row < top + height:
                self.scroll_to(y=max(0, row - height // 2), animate=False)
        self.refresh()
        self.post_message(self.Changed())

    def notify_style_update(self) -> None:
        """Use the colours of the current theme."""
        super().notify_style_update()
        self._log_styles = None

    @property
    def styles_now(self) -> LogStyles:
        """The styles and glyphs for the current theme and terminal."""
        if self._log_styles is None:
            signs = GLYPHS if draws_unicode(self.app) else ASCII_GLYPHS
            error = theme_colour(self.app, "error")
            self._log_styles = LogStyles(
                time=theme_colour(self.app, "faint"),
                stage=theme_colour(self.app, "primary"),
                debug=theme_colour(self.app, "faint"),
                warning=theme_colour(self.app, "warning") or "bold",
                error=f"bold {error}".strip(),
                glyphs=signs,
            )
        return self._log_styles
