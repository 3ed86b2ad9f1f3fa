"""The runs table: sortable columns, as many as fit, marks, a pinned baseline, and its actions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar

import msgspec
from textual.binding import BindingType
from textual.message import Message

from etui.actions import bindings
from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.store.run_pages import Glimpse, Page, Window
from etui.text import width as cells_of
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import BY_NAME, GAP, USUAL, Column, LiveRow, live_cell, sized_columns
from etui.tui.widgets.paged_list import PAGE, Order, PagedList, PageReader, Rows, Wanted
from etui.tui.widgets.row_painter import Cell, Part, Placed
from etui.tui.widgets.virtual_table import VirtualTable
from etui.tui.workers import start


class RunsTable(VirtualTable[RunSummary]):
    """Runs in columns that can be sorted, marked, pinned and opened. The cursor is a run: it stays on it when rows are
    inserted above."""

    DEFAULT_CSS = "RunsTable { background: $background; overflow-y: scroll; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("table")]
    gutter_width: ClassVar[int] = 4

    class Highlighted(Message):
        """The cursor moved to another run, or the figures of its run changed; None if there is no run."""

        def __init__(self, run: RunSummary | None) -> None:
            super().__init__()
            self.run = run

    class Failed(Message):
        """A page could not be read."""

        def __init__(self, error: EtuiError) -> None:
            super().__init__()
            self.error = error

    class Opened(Message):
        """The user requested the details of a run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    class Asked(Message):
        """The user requested a dialog of the table: ``columns``, ``order``, ``jump`` or ``menu``."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    class Current(Message):
        """The rows of a changed filter or order are shown, or cannot be read."""

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
        """``counted`` is called when the number of shown or marked runs may have changed. It is not a message, because
        that would arrive after the rows were drawn and cause a second redraw."""
        self.runs = PagedList()
        super().__init__(self.runs, id=id)
        self._database = source
        self._reader = PageReader(self, source, self._show, self._report)
        self._counted = counted
        self._signs = glyphs
        self.order = Order()
        self.known = False
        self.counting = False
        self.marked: set[str] = set()
        self.baseline: str | None = None
        self.columns = _columns(columns)
        self._jumping: tuple[str | None] | None = None
        self._widest: dict[str, int] = {}
        """The widths of the widest texts read so far in the columns that are shown whole, by column."""
        self._live: dict[str, LiveRow] = {}

    # Contents

    @property
    def run(self) -> RunSummary | None:
        """The run under the cursor; None if its row has not been read."""
        return self.row

    @property
    def total(self) -> int:
        """The number of runs that match the filter."""
        return self.count

    @property
    def is_outdated(self) -> bool:
        """Whether no rows have been read yet, or the filter or the order was changed and the rows that are shown are
        still those before."""
        return self._jumping is not None

    def show_columns(self, names: Sequence[str]) -> None:
        """Show these columns in their order, as far as they fit."""
        self.columns = _columns(names)
        self.lay_out()
        self.post_message(self.Arranged())

    def show_order(self, order: Order, *, keep_cursor: bool = True) -> None:
        """Change the filter or sort order; the cursor stays on its run if it is still shown."""
        self.order = order
        target = self._jumping[0] if self._jumping is not None else self._cursor_key
        self._jump(target if keep_cursor else None)

    def reload(self) -> None:
        """Read the rows again, since the database has changed."""
        if self._jumping is not None:
            # The user's pending request will read current rows.
            self._jump(*self._jumping)
        else:
            self._load(self.runs.first, around=self._cursor_key, before=self.cursor - self.runs.first)

    def go_to(self, run_id: str, order: Order | None = None) -> None:
        """Move the cursor to a run, after changing the order if one is given."""
        self.order = order or self.order
        self._jump(run_id)

    def update_runs(self, runs: Iterable[RunSummary]) -> None:
        """Update the rows of running runs without reading the page again."""
        for index in self.runs.update(runs):
            self.refresh_row(index)
            if index == self.cursor:
                self.cursor_moved()

    def show_live(self, live: Mapping[str, LiveRow]) -> None:
        """Show the figures so far of these runs in their rows."""
        changed = {run_id for run_id in {*live, *self._live} if live.get(run_id) != self._live.get(run_id)}
        self._live = dict(live)
        if changed:
            for place, run in enumerate(self.runs.rows):
                if run.id in changed:
                    self.refresh_row(self.runs.first + place)

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

    def pin(self, run_id: str | None) -> None:
        """Make a run the baseline; None for none."""
        self.baseline = run_id
        self.refresh()
        self.post_message(self.Arranged())

    # Reading pages

    def on_mount(self) -> None:
        """Read the first page."""
        self._jumping = (None,)
        self._load(0, around=None)

    def _jump(self, run_id: str | None) -> None:
        self._jumping = (run_id,)
        self._load(0, around=run_id, at_once=True)

    def _load(self, offset: int, *, around: str | None, before: int | None = None, at_once: bool = False) -> None:
        limit = max(PAGE, 3 * self.visible_rows)
        before = limit // 2 if before is None else before
        window = Window(limit=limit, offset=max(0, offset), around=around, before=before)
        self._reader.request(Wanted(order=self.order, window=window, at_once=at_once))

    def _report(self, error: EtuiError) -> None:
        self._jumping = None
        self.post_message(self.Failed(error))
        self.post_message(self.Current())

    def _show(self, page: Page | Glimpse, wanted: Wanted) -> None:
        jumped, self._jumping = self._jumping is not None, None
        if jumped:
            self.post_message(self.Current())
        if page[0] is None:
            self._show_glimpse(*page[1:])
            return
        total, first, place, rows = page
        before, at_top = self.cursor, self.scroll_offset.y == 0
        self.known, self.counting = True, False
        self.runs.put(total, first, rows)
        if place is not None:
            self.cursor = place
        elif wanted.window.around is not None and jumped:
            self.cursor = 0
        self.cursor = max(0, min(self.cursor, total - 1))
        self.resize()
        moved = self.cursor - before
        if jumped:
            self.scroll_to_cursor()
        elif moved and place is not None and not (at_top and self.cursor < self.visible_rows):
            self.scroll_rows_to(self.scroll_offset.y + moved)
        self._show_rows()
        if self.run is None and total:
            # The page ends above the cursor because runs were deleted.
            self._load(self.cursor - PAGE // 2, around=None)

    def _show_glimpse(self, place: int | None, rows: list[RunSummary]) -> None:
        """Show rows before their position and the total are known, assuming those of the current page. The page with
        the right numbers follows, and the visible rows stay in place."""
        self.known = self.counting = True
        first = 0 if place is None else max(0, self.cursor - place)
        self.cursor = first + (place or 0)
        self.runs.put(max(self.total, first + len(rows)), first, rows)
        self.resize()
        self.scroll_to_cursor()
        self._show_rows()
        self.reload()

    def _note_widths(self) -> None:
        """Widen the columns that are shown whole for the rows of the page."""
        widest = dict(self._widest)
        for column in self.columns:
            if column.whole:
                widths = (cells_of(column.cell(row, self._signs)[0]) for row in self.runs.rows)
                widest[column.name] = max(widths, default=0)
        widest = {name: max(cells, self._widest.get(name, 0)) for name, cells in widest.items()}
        if widest != self._widest:
            self._widest = widest
            self.lay_out()

    def _show_rows(self) -> None:
        self._note_widths()
        self._counted()
        self.refresh()
        self.note_cursor(moved=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Read the page around the visible rows before its edge becomes visible."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) == round(new_value) or self._jumping is not None or self.counting:
            return
        top, height = self.scroll_offset.y, self.visible_rows
        if self.runs.ends_near(top, height):
            self._load(top + height // 2 - PAGE // 2, around=None)

    # Actions

    def cursor_moved(self) -> None:
        """Report the run under the cursor."""
        if self.run is not None or not self.total:
            self.post_message(self.Highlighted(self.run))

    def row_clicked(self, *, was_current: bool, double: bool) -> None:
        """Open the run on a double click."""
        if double:
            self.action_details()

    def action_details(self) -> None:
        """Open the details of the run under the cursor."""
        if self.run is not None:
            self.post_message(self.Opened(self.run.id))

    def action_mark(self) -> None:
        """Mark the run under the cursor, or remove its mark."""
        if self._cursor_key is not None:
            self.marked ^= {self._cursor_key}
            self.refresh_row(self.cursor)
            self._counted()
            self.move_to(self.cursor + 1)

    def action_mark_all(self) -> None:
        """Mark all runs of the filter."""
        start(self, self._mark_all, group="marks", exclusive=True)

    async def _mark_all(self) -> None:
        try:
            self.marked |= set(await asyncio.to_thread(self._database.ids, self.order.where))
        except EtuiError as error:
            self.post_message(self.Failed(error))
        self.refresh()
        self._counted()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable unmarking if nothing is marked."""
        if action == "unmark_all":
            return bool(self.marked)
        return super().check_action(action, parameters)

    def action_unmark_all(self) -> None:
        """Remove all marks."""
        self.marked.clear()
        self.refresh()
        self._counted()

    def action_baseline(self) -> None:
        """Make the run under the cursor the baseline, or no longer."""
        self.pin(None if self._cursor_key == self.baseline else self._cursor_key)

    def action_sort_direction(self) -> None:
        """Reverse the sort order."""
        self.show_order(msgspec.structs.replace(self.order, descending=not self.order.descending))
        self.post_message(self.Arranged())

    def sort_by(self, name: str) -> None:
        """Sort by a column in its default direction."""
        self.show_order(msgspec.structs.replace(self.order, column=name, descending=BY_NAME[name].descends))
        self.post_message(self.Arranged())

    def action_sort_by(self) -> None:
        """Ask for the column to sort by."""
        self.post_message(self.Asked("order"))

    def action_columns(self) -> None:
        """Ask for the choice of columns."""
        self.post_message(self.Asked("columns"))

    def action_menu(self) -> None:
        """Ask for the menu of the run under the cursor."""
        self.post_message(self.Asked("menu"))

    def action_jump(self) -> None:
        """Ask for the run to jump to."""
        self.post_message(self.Asked("jump"))

    # Drawing

    @property
    def sorting(self) -> tuple[str, bool]:
        """The name of the sorted column, and whether it descends."""
        return self.order.column, self.order.descending

    @property
    def visible_columns(self) -> list[str]:
        """The names of the columns that fit the width."""
        return [column.name for column in self._placed]

    @property
    def is_empty(self) -> bool:
        """Whether no run matches, as far as known."""
        return self.known and not self.total

    def place_columns(self, width: int) -> Sequence[Placed[RunSummary]]:
        """Return the columns that fit this number of cells."""
        return [
            Placed(
                width=size,
                cell=partial(self._cell, column, size),
                title=column.title_in(size),
                name=column.name,
                sorts=True,
                right=column.right,
                clips=column.clips,
                middle=column.cuts_middle,
            )
            for column, size in self._sized(width)
        ]

    def _sized(self, width: int) -> list[tuple[Column, int]]:
        placed = sized_columns(self.columns, width, self._widest)
        # The arrow of the sort order follows numbers.
        return sized_columns(self.columns, width - GAP, self._widest) if placed and placed[-1][0].right else placed

    def _cell(self, column: Column, size: int, run: RunSummary) -> Cell:
        live = self._live.get(run.id)
        if live is not None and run.status in LIVE_STATUSES:
            return live_cell(column, run, live, size, self._signs)
        return column.cell(run, self._signs)

    def is_marked(self, row: RunSummary) -> bool:
        """Whether a run is marked."""
        return row.id in self.marked

    def row_signs(self, row: RunSummary) -> Sequence[Part]:
        """Return the signs of the baseline or a mark, and of the status."""
        pinned, marked = row.id == self.baseline, row.id in self.marked
        sign = self._signs.baseline if pinned else self._signs.marked if marked else " "
        return [(sign, "warn"), (self._signs.of_status(row.status), _tone_of(row)), (" ", "")]


def _columns(names: Sequence[str]) -> list[Column]:
    return [BY_NAME[name] for name in names if name in BY_NAME] or list(USUAL)


def _tone_of(run: RunSummary) -> str:
    if run.status in ("queued", "preparing", "measuring"):
        return "live"
    if run.status == "done":
        return "good"
    return "faint" if run.status == "cancelled" else "bad"
