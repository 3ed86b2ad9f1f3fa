"""The runs table: a virtual list that holds one page of rows and asks for the next before it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import ClassVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from etui.errors import EtuiError
from etui.results import RunSummary
from etui.store import Condition
from etui.tui.actions import bindings
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import BY_NAME, COLUMNS, GAP, Column, fitted, that_fit

PAGE = 200
_GUTTER = 4
_TONES = ("faint", "good", "bad", "warn", "live")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs the table shows and in what order."""

    where: tuple[Condition, ...] = ()
    column: str = "when"
    descending: bool = True

    @property
    def order_by(self) -> str:
        """The database column to sort by."""
        return BY_NAME[self.column].order_by


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A page to be read: ``around`` a run with so many ``before`` it, or from ``offset`` where that run is not there."""

    order: Order
    offset: int
    around: str | None
    before: int
    limit: int = PAGE


Page = tuple[int, int, int | None, list[RunSummary]]
"""How many runs there are, the place of the page's first, that of the run it was read around, and the runs."""


class RunsTable(ScrollView, can_focus=True):
    """Runs from the database. The cursor is a run, not a line: it stays on it whatever arrives above."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("table")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "runs-table--header", "runs-table--sorted", "runs-table--cursor", "runs-table--marked", "runs-table--empty",
        *(f"runs-table--{tone}" for tone in _TONES),
    }  # fmt: skip

    class Highlighted(Message):
        """The cursor is on another run, or on the same one whose figures changed; None where there is none."""

        def __init__(self, run: RunSummary | None) -> None:
            super().__init__()
            self.run = run

    class Opened(Message):
        """The user wants the details of a run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    class Loaded(Message):
        """A page has been read: so many runs meet the filter."""

        def __init__(self, total: int) -> None:
            super().__init__()
            self.total = total

    class Failed(Message):
        """A page could not be read."""

        def __init__(self, error: EtuiError) -> None:
            super().__init__()
            self.error = error

    class Asked(Message):
        """The user wants something of the table that takes a dialog: ``columns`` or ``jump``."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(
        self,
        read: Callable[[Wanted], Page],
        read_ids: Callable[[Sequence[Condition]], list[str]],
        glyphs: Glyphs,
        *,
        columns: Sequence[str] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._read = read
        self._read_ids = read_ids
        self._glyphs = glyphs
        self.order = Order()
        self.total = 0
        self.known = False
        self.cursor = 0
        self.marked: set[str] = set()
        self.baseline: str | None = None
        self.empty_words: list[str] = []
        self._first = 0
        self._rows: list[RunSummary] = []
        self._cursor_id: str | None = None
        self._asked = 0
        self._styles: dict[str, Style] = {}
        self.columns = [BY_NAME[name] for name in columns if name in BY_NAME] or list(COLUMNS)
        self._shown: list[tuple[Column, int]] = []

    # What it shows

    @property
    def run(self) -> RunSummary | None:
        """The run under the cursor, where its row has been read."""
        return self._row(self.cursor)

    @property
    def visible_rows(self) -> int:
        """How many rows there is room for."""
        return max(1, self.size.height - 1)

    @property
    def held(self) -> int:
        """How many rows are in memory."""
        return len(self._rows)

    def loaded_rows(self) -> list[RunSummary]:
        """The page in memory."""
        return list(self._rows)

    def show_columns(self, names: Sequence[str]) -> None:
        """Show these columns in their order, as far as there is room."""
        self.columns = [BY_NAME[name] for name in names if name in BY_NAME] or list(COLUMNS)
        self._lay_out()

    def show_order(self, order: Order, *, keep_cursor: bool = True) -> None:
        """Show other runs or another order; the cursor stays on its run where that is among them."""
        self.order = order
        self._load(0, around=self._cursor_id if keep_cursor else None, jumped=True)

    def reload(self) -> None:
        """Read again what is shown, since the database has changed. Nothing moves unless it changed."""
        self._load(self._first, around=self._cursor_id, before=self.cursor - self._first)

    def go_to(self, run_id: str) -> None:
        """Put the cursor on a run."""
        self._load(0, around=run_id, jumped=True)

    def update_runs(self, runs: Iterable[RunSummary]) -> None:
        """Put the newest figures of live runs in their rows, without reading the page again."""
        newest = {run.id: run for run in runs}
        for index, row in enumerate(self._rows):
            newer = newest.get(row.id)
            if newer is not None and newer != row:
                self._rows[index] = newer
                self._refresh_row(self._first + index)
                if row.id == self._cursor_id:
                    self.post_message(self.Highlighted(newer))

    def keep_marks(self, gone: Collection[str]) -> None:
        """Forget the marks of runs that are no more."""
        self.marked.difference_update(gone)
        if self.baseline in gone:
            self.baseline = None
        self.refresh()

    def chosen_ids(self) -> list[str]:
        """The marked runs, or the one under the cursor, or none."""
        if self.marked:
            return sorted(self.marked)
        return [self.run.id] if self.run else []

    # Reading pages

    def _load(self, offset: int, *, around: str | None, before: int | None = None, jumped: bool = False) -> None:
        self._asked += 1
        limit = max(PAGE, 3 * self.visible_rows)
        wanted = Wanted(
            order=self.order,
            offset=max(0, offset),
            around=around,
            before=limit // 2 if before is None else before,
            limit=limit,
        )
        self.run_worker(self._fetch(wanted, self._asked, jumped), group="page", exclusive=True)

    async def _fetch(self, wanted: Wanted, asked: int, jumped: bool) -> None:
        try:
            page = await asyncio.to_thread(self._read, wanted)
        except EtuiError as error:
            self.post_message(self.Failed(error))
            return
        if asked == self._asked:
            self._take(page, wanted, jumped)

    def _take(self, page: Page, wanted: Wanted, jumped: bool) -> None:
        total, first, place, rows = page
        before, at_top = self.cursor, self.scroll_offset.y == 0
        self.total, self._first, self._rows, self.known = total, first, rows, True
        if place is not None:
            self.cursor = place
        elif wanted.around is not None and jumped:
            self.cursor = 0
        self.cursor = max(0, min(self.cursor, total - 1))
        self._resize()
        moved = self.cursor - before
        if jumped:
            self._scroll_to_cursor()
        elif moved and place is not None and not (at_top and self.cursor < self.visible_rows):
            self._scroll(self.scroll_offset.y + moved)
        run = self.run
        self._cursor_id = run.id if run else None
        self.refresh()
        self.post_message(self.Loaded(total))
        self.post_message(self.Highlighted(run))
        if run is None and total:
            # The rows end above the cursor: what was deleted stood below it.
            self._load(self.cursor - PAGE // 2, around=None)

    def _row(self, index: int) -> RunSummary | None:
        place = index - self._first
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def _want_rows(self) -> None:
        """Read the page around what is seen, before its edge comes into sight."""
        top, height = self.scroll_offset.y, self.visible_rows
        last = self._first + len(self._rows)
        near_top = top - height < self._first and self._first > 0
        near_end = top + 2 * height > last and last < self.total
        if near_top or near_end:
            self._load(top + height // 2 - PAGE // 2, around=None)

    # Moving

    def action_down(self) -> None:
        self._move(self.cursor + 1)

    def action_up(self) -> None:
        self._move(self.cursor - 1)

    def action_top(self) -> None:
        self._move(0)

    def action_bottom(self) -> None:
        self._move(self.total - 1)

    def action_page_down(self) -> None:
        self._move(self.cursor + max(1, self.visible_rows // 2))

    def action_page_up(self) -> None:
        self._move(self.cursor - max(1, self.visible_rows // 2))

    def _move(self, index: int) -> None:
        index = max(0, min(index, self.total - 1))
        if index == self.cursor:
            return
        before, self.cursor = self.cursor, index
        run = self.run
        self._cursor_id = run.id if run else None
        self._refresh_row(before)
        self._refresh_row(index)
        self._scroll_to_cursor()
        self._want_rows()
        if run is not None:
            self.post_message(self.Highlighted(run))

    def _scroll_to_cursor(self) -> None:
        top, height = self.scroll_offset.y, self.visible_rows
        if self.cursor < top:
            self._scroll(self.cursor)
        elif self.cursor >= top + height:
            self._scroll(self.cursor - height + 1)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._want_rows()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a second one opens the run; a click on a heading sorts by it."""
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

    # What its keys do

    def action_details(self) -> None:
        if self.run is not None:
            self.post_message(self.Opened(self.run.id))

    def action_mark(self) -> None:
        if self._cursor_id is not None:
            self.marked ^= {self._cursor_id}
            self._refresh_row(self.cursor)
            self.post_message(self.Loaded(self.total))
            self._move(self.cursor + 1)

    def action_mark_all(self) -> None:
        self.run_worker(self._mark_all(), group="marks", exclusive=True)

    async def _mark_all(self) -> None:
        try:
            self.marked |= set(await asyncio.to_thread(self._read_ids, self.order.where))
        except EtuiError as error:
            self.post_message(self.Failed(error))
        self.refresh()
        self.post_message(self.Loaded(self.total))

    def action_unmark_all(self) -> None:
        self.marked.clear()
        self.refresh()
        self.post_message(self.Loaded(self.total))

    def action_baseline(self) -> None:
        self.baseline = None if self._cursor_id == self.baseline else self._cursor_id
        self.refresh()

    def action_sort(self) -> None:
        shown = [column for column, _ in self._shown]
        names = [column.name for column in shown]
        place = names.index(self.order.column) if self.order.column in names else -1
        self._sort_by(shown[(place + 1) % len(shown)])

    def action_sort_direction(self) -> None:
        self.show_order(msgspec.structs.replace(self.order, descending=not self.order.descending))

    def action_columns(self) -> None:
        self.post_message(self.Asked("columns"))

    def action_jump(self) -> None:
        self.post_message(self.Asked("jump"))

    def _sort_by(self, column: Column) -> None:
        self.show_order(msgspec.structs.replace(self.order, column=column.name, descending=column.descends))

    def _sort_at(self, x: int) -> None:
        left = _GUTTER
        for column, cells in self._shown:
            if left <= x < left + cells + GAP:
                if column.name == self.order.column:
                    self.action_sort_direction()
                else:
                    self._sort_by(column)
            left += cells + GAP

    # Drawing

    def on_mount(self) -> None:
        self._load(0, around=None)

    def on_resize(self) -> None:
        self._lay_out()
        self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = {}

    def _lay_out(self) -> None:
        self._shown = that_fit(self.columns, self.scrollable_content_region.width - _GUTTER)
        self._resize()
        self.refresh()

    def _resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self.total + 1)

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """The heading, a row, or one of the words that say what to do where there is no row."""
        cells = self.scrollable_content_region.width
        if y == 0:
            return self._heading(cells)
        index = y - 1 + self.scroll_offset.y
        if self.known and self.total == 0:
            return self._empty_line(y, cells)
        row = self._row(index)
        if row is None:
            words = self._glyphs.cut if index < self.total else ""
            return Strip([Segment(fitted(words, cells, self._glyphs), self._style("faint"))])
        return self._row_strip(row, index, cells)

    def _heading(self, cells: int) -> Strip:
        header, chosen = self._style("header"), self._style("sorted")
        segments = [Segment(" " * _GUTTER, header)]
        for column, size in self._shown:
            title, style = column.title.replace("×", self._glyphs.times), header
            if column.name == self.order.column:
                arrow = self._glyphs.down if self.order.descending else self._glyphs.up
                # A heading that fills its column gives its last letter for the arrow.
                title = title[: size - 1] + arrow
                style = chosen
            segments.append(Segment(fitted(title, size, self._glyphs, right=column.right), style))
            segments.append(Segment(" " * GAP, header))
        return Strip(segments).adjust_cell_length(cells, header)

    def _row_strip(self, run: RunSummary, index: int, cells: int) -> Strip:
        glyphs = self._glyphs
        here, marked = index == self.cursor, run.id in self.marked
        ground = self._style("cursor") if here else self._style("marked") if marked else self._style("")
        verdict_tone = _tone_of(run)
        segments = [
            Segment(glyphs.cursor if here else " ", ground + self._style("live") if here else ground),
            Segment(
                glyphs.baseline if run.id == self.baseline else glyphs.marked if marked else " ",
                ground + self._style("warn"),
            ),
            Segment(glyphs.of_status(run.status), ground + self._style(verdict_tone)),
            Segment(" ", ground),
        ]
        for column, size in self._shown:
            text, tone = column.cell(run, glyphs)
            style = ground + self._style(tone) if tone else ground
            segments.append(Segment(fitted(text, size, glyphs, right=column.right, clips=column.clips), style))
            segments.append(Segment(" " * GAP, ground))
        return Strip(segments).adjust_cell_length(cells, ground)

    def _empty_line(self, y: int, cells: int) -> Strip:
        top = max(1, (self.size.height - len(self.empty_words)) // 2)
        words = self.empty_words[y - top] if top <= y < top + len(self.empty_words) else ""
        return Strip([Segment(words.center(cells)[:cells], self._style("empty"))])

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            if name in _TONES:
                # Only the colour and weight: the ground is the row's.
                whole = self.get_component_rich_style(f"runs-table--{name}", partial=True)
                style = Style(color=whole.color, bold=whole.bold, dim=whole.dim)
            else:
                style = self.get_component_rich_style(f"runs-table--{name}") if name else self.rich_style
            self._styles[name] = style
        return style


def _tone_of(run: RunSummary) -> str:
    if run.status in ("queued", "preparing", "measuring"):
        return "live"
    if run.status == "done":
        return "good"
    return "faint" if run.status == "cancelled" else "bad"
