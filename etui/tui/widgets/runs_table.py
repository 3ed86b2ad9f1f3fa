"""The runs table: sortable columns, as many as fit, marks, a pinned baseline, and its actions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from etui.actions import bindings
from etui.errors import EtuiError
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import BY_NAME, COLUMNS, Column, fitted, sized_columns
from etui.tui.widgets.paged_list import PagedList, Rows
from etui.tui.widgets.row_painter import GUTTER, Shown, column_at, heading, row
from etui.tui.workers import start

_TONES = ("faint", "good", "bad", "warn", "live")


class RunsTable(PagedList):
    """Runs in columns that can be sorted, marked, pinned and opened."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("table")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "runs-table--header", "runs-table--sorted", "runs-table--cursor", "runs-table--marked", "runs-table--empty",
        *(f"runs-table--{tone}" for tone in _TONES),
    }  # fmt: skip

    class Opened(Message):
        """The user requested the details of a run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    class Asked(Message):
        """The user requested a dialog of the table: ``columns`` or ``jump``."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    class Arranged(Message):
        """The columns, the sort order or the baseline changed."""

    def __init__(
        self,
        source: Rows,
        counted: Callable[[], None],
        glyphs: Glyphs,
        *,
        columns: Sequence[str] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(source, counted, id=id)
        self._glyphs = glyphs
        self.marked: set[str] = set()
        self.baseline: str | None = None
        self.empty_words: list[str] = []
        self._styles: dict[str, Style] = {}
        self.columns = [BY_NAME[name] for name in columns if name in BY_NAME] or list(COLUMNS)
        self._shown: Shown = []

    # Contents

    def show_columns(self, names: Sequence[str]) -> None:
        """Show these columns in their order, as far as they fit."""
        self.columns = [BY_NAME[name] for name in names if name in BY_NAME] or list(COLUMNS)
        self._lay_out()
        self.post_message(self.Arranged())

    def keep_marks(self, gone: Collection[str]) -> None:
        """Remove the marks of runs that were deleted."""
        self.marked.difference_update(gone)
        if self.baseline in gone:
            self.pin(None)
        self.refresh()

    def chosen_ids(self) -> list[str]:
        """Return the marked runs, else the one under the cursor, else none."""
        if self.marked:
            return sorted(self.marked)
        return [self.run.id] if self.run else []

    def on_click(self, event: events.Click) -> None:
        """Move the cursor on click, open the run on a double click, and sort on a click on a heading."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._sort_at(offset.x)
            return
        index = offset.y - 1 + self.scroll_offset.y
        if index < self.total:
            self._move(index)
            if event.chain == 2:
                self.action_details()

    # Actions

    def action_details(self) -> None:
        if self.run is not None:
            self.post_message(self.Opened(self.run.id))

    def action_mark(self) -> None:
        if self._cursor_id is not None:
            self.marked ^= {self._cursor_id}
            self._refresh_row(self.cursor)
            self._counted()
            self._move(self.cursor + 1)

    def action_mark_all(self) -> None:
        start(self, self._mark_all, group="marks", exclusive=True)

    async def _mark_all(self) -> None:
        try:
            self.marked |= set(await asyncio.to_thread(self._source.ids, self.order.where))
        except EtuiError as error:
            self.post_message(self.Failed(error))
        self.refresh()
        self._counted()

    def action_unmark_all(self) -> None:
        self.marked.clear()
        self.refresh()
        self._counted()

    def action_baseline(self) -> None:
        self.pin(None if self._cursor_id == self.baseline else self._cursor_id)

    def pin(self, run_id: str | None) -> None:
        """Make a run the baseline; None for none."""
        self.baseline = run_id
        self.refresh()
        self.post_message(self.Arranged())

    def action_sort(self) -> None:
        shown = [column for column, _ in self._shown]
        names = [column.name for column in shown]
        place = names.index(self.order.column) if self.order.column in names else -1
        self._sort_by(shown[(place + 1) % len(shown)])

    def action_sort_direction(self) -> None:
        self.show_order(msgspec.structs.replace(self.order, descending=not self.order.descending))
        self.post_message(self.Arranged())

    def action_columns(self) -> None:
        self.post_message(self.Asked("columns"))

    def action_jump(self) -> None:
        self.post_message(self.Asked("jump"))

    def _sort_by(self, column: Column) -> None:
        self.show_order(msgspec.structs.replace(self.order, column=column.name, descending=column.descends))
        self.post_message(self.Arranged())

    def _sort_at(self, x: int) -> None:
        column = column_at(self._shown, x)
        if column is not None and column.name == self.order.column:
            self.action_sort_direction()
        elif column is not None:
            self._sort_by(column)

    # Drawing

    def on_resize(self) -> None:
        self._lay_out()
        self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = {}

    def _lay_out(self) -> None:
        self._shown = sized_columns(self.columns, self.scrollable_content_region.width - GUTTER)
        self._resize()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the heading, a row, or a line of the text for an empty table."""
        cells = self.scrollable_content_region.width
        if y == 0:
            line = heading(self._shown, self.order.column, self.order.descending, self._glyphs, self._style)
            return line.adjust_cell_length(cells, self._style("header"))
        index = y - 1 + self.scroll_offset.y
        if self.known and self.total == 0:
            return self._empty_line(y, cells)
        run = self._row(index)
        if run is None:
            text = self._glyphs.cut if index < self.total else ""
            return Strip([Segment(fitted(text, cells, self._glyphs), self._style("") + self._style("faint"))])
        here, marked = index == self.cursor, run.id in self.marked
        pinned = run.id == self.baseline
        line = row(run, self._shown, self._glyphs, self._style, here=here, marked=marked, pinned=pinned)
        return line.adjust_cell_length(cells, self._style("cursor" if here else "marked" if marked else ""))

    def _empty_line(self, y: int, cells: int) -> Strip:
        top = max(1, (self.size.height - len(self.empty_words)) // 2)
        text = self.empty_words[y - top] if top <= y < top + len(self.empty_words) else ""
        return Strip([Segment(text.center(cells)[:cells], self._style("") + self._style("empty"))])

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            if name in _TONES:
                # Only the colour and weight: the background is the row's.
                whole = self.get_component_rich_style(f"runs-table--{name}", partial=True)
                style = Style(color=whole.color, bold=whole.bold, dim=whole.dim)
            else:
                style = self.get_component_rich_style(f"runs-table--{name}") if name else self.rich_style
            self._styles[name] = style
        return style
