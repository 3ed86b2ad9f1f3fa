"""The runs of a trend as a table, the newest first; the chart marks the run under its cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.message import Message
from textual.strip import Strip

from etui import text
from etui.analysis.trends import Trend
from etui.tui.glyphs import glyphs_of
from etui.tui.runs_columns import fitted
from etui.tui.terminal import sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.widgets.line_view import LineView
from etui.wording import trend as trend_wording

_COLUMNS = (
    ("when", 16, False), ("median ms", 10, True), ("95 % interval", 16, True), ("MAE", 9, True), ("change", 16, False),
    ("versions changed", 30, False), ("verdict", 8, False), ("flags", 24, False),
)  # fmt: skip
_GAP = 2
_LEAST = 8


class TrendTable(LineView):
    """One line per run below a line of headings."""

    DEFAULT_CSS = """
    TrendTable { border-top: solid $border-blurred; border-title-color: $text-muted; padding: 0 1; }
    TrendTable:focus { border-top: solid $border; border-title-color: $text-accent; }
    """

    class Moved(Message):
        """The cursor moved to another run: its index among the points of the trend."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    class Opened(Message):
        """The run under the cursor was double-clicked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._trend: Trend | None = None
        self._rows: list[list[str]] = []
        self._cursor = 0
        self._styles: Styles | None = None

    @property
    def place(self) -> int | None:
        """The index of the run under the cursor among the points of the trend, which are oldest first."""
        return len(self._rows) - 1 - self._cursor if self._rows else None

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._forget_styles())

    def _forget_styles(self) -> None:
        self._styles = None
        self.refresh()

    def show(self, trend: Trend, run: str) -> None:
        """Show this trend, with the cursor on ``run`` if it is part of it."""
        self._trend = trend
        self._rows = rows(trend)[::-1]
        ids = [point.run for point in reversed(trend.history.points)]
        self._cursor = ids.index(run) if run in ids else 0
        self.border_title = "Runs, newest first"
        self.rows_changed()
        self._scroll_to_cursor()

    def row_count(self) -> int:
        """Return the number of lines: the headings and the runs."""
        return len(self._rows) + 1 if self._rows else 0

    def row(self, index: int) -> Text:
        """Return the headings, or a run."""
        if self._styles is None:
            self._styles = sheet_styles(self.app)
        styles, signs = self._styles, glyphs_of(self)
        cells = [title for title, _, _ in _COLUMNS] if index == 0 else self._rows[index - 1]
        here = index - 1 == self._cursor
        line = Text(no_wrap=True)
        line.append(f"{signs.cursor if here else ' '} ", styles.heading or None)
        room = self.scrollable_content_region.width - 2
        style = styles.muted if index == 0 else styles.strong if here else ""
        for (_, size, right), cell in zip(_COLUMNS, cells, strict=True):
            size = min(size, room)
            if size < _LEAST:
                break
            line.append(fitted(text.plain(cell), size, signs, right=right), style or None)
            line.append(" " * _GAP)
            room -= size + _GAP
        return line

    def move(self, lines: int) -> None:
        """Move the cursor down by this number of runs."""
        place = max(0, min(self._cursor + lines, len(self._rows) - 1))
        if self._rows and place != self._cursor:
            self._cursor = place
            self._scroll_to_cursor()
            self.refresh()
            self.post_message(self.Moved(len(self._rows) - 1 - place))

    def action_scroll_down(self) -> None:
        """Move to the next run: the keys that scroll elsewhere move the cursor here."""
        self.move(1)

    def action_scroll_up(self) -> None:
        """Move to the previous run."""
        self.move(-1)

    def action_scroll_home(self) -> None:
        """Move to the newest run."""
        self.move(-len(self._rows))

    def action_scroll_end(self) -> None:
        """Move to the oldest run."""
        self.move(len(self._rows))

    def action_half_page_down(self) -> None:
        """Move half a page down."""
        self.move(self._half_page())

    def action_half_page_up(self) -> None:
        """Move half a page up."""
        self.move(-self._half_page())

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked run; open it on a double click."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = offset.y + round(self.scroll_offset.y) - 1
        if 0 <= line < len(self._rows):
            self.move(line - self._cursor)
            if event.chain == 2:
                self.post_message(self.Opened())

    def _scroll_to_cursor(self) -> None:
        top, height = round(self.scroll_offset.y), max(1, self.scrollable_content_region.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view; the headings stay at the top."""
        if y or not self._rows:
            return super().render_line(y)
        width = self.scrollable_content_region.width
        return Strip(self.row(0).render(self.app.console)).adjust_cell_length(width).apply_style(self.rich_style)


def rows(trend: Trend) -> list[list[str]]:
    """Return one list of cells per run, oldest first."""
    changes = {change.at: trend_wording.changed(change) for change in trend.changes}
    result = []
    for place, point in enumerate(trend.history.points):
        done = point.status == "done"
        result.append(
            [
                text.local_time(point.at),
                text.number(point.median_ms) if done else point.status,
                text.interval(point.interval_ms) if done else "",
                text.number(point.mae) if point.mae is not None else "",
                changes.get(place, ""),
                ", ".join(f"{item.name} {item.now or 'removed'}" for item in trend.software.get(place, ())),
                point.verdict or "",
                ", ".join(point.flags) if done else point.error or "",
            ]
        )
    return result


def markdown_rows(trend: Trend) -> tuple[Sequence[str], list[list[str]]]:
    """Return headings and rows with the runs' ids, oldest first."""
    ids = [point.run for point in trend.history.points]
    headings = [title for title, _, _ in _COLUMNS]
    return [*headings, "run"], [[*row, run] for row, run in zip(rows(trend), ids, strict=True)]
