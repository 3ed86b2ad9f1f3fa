"""A list of all runs of the database that keeps one page of rows in memory, read ahead of scrolling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView

from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.store import Condition
from etui.store.database import Overtaken
from etui.store.run_pages import Glimpse, Page, Sorting, Window
from etui.tui.defect_guard import Guarded
from etui.tui.runs_columns import BY_NAME
from etui.tui.widgets.line_view import set_length
from etui.tui.workers import start

PAGE = 120


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The filter and sort order of the table."""

    where: tuple[Condition, ...] = ()
    column: str = "when"
    descending: bool = True

    @property
    def sorting(self) -> Sorting:
        """The database column and direction to sort by."""
        return Sorting(column=BY_NAME[self.column].order_by, descending=self.descending)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request for rows. With ``at_once`` they may be shown before the total is known."""

    order: Order
    window: Window
    at_once: bool = False


class Rows(Protocol):
    """The source of rows. Every method may be slow, is called in a thread, and raises EtuiError."""

    def page(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page:
        """Return a page. Raises Overtaken as soon as ``overtaken`` returns True."""

    def glimpse(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page | Glimpse:
        """Return the page, or only its rows if counting would be slow. Raises as ``page``."""

    def ids(self, where: Sequence[Condition]) -> list[str]:
        """Return the ids of all runs that match a filter."""


class PagedList(Guarded, ScrollView, can_focus=True):
    """Rows from the database below one heading. The cursor is a run: it stays on it when rows are inserted above."""

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

    def __init__(self, source: Rows, counted: Callable[[], None], *, id: str | None = None) -> None:
        """``counted`` is called when the number of shown or marked runs may have changed. It is not a message, because
        that would arrive after the rows were drawn and cause a second redraw."""
        super().__init__(id=id)
        self._source = source
        self._counted = counted
        self.order = Order()
        self.total = 0
        self.known = False
        self.counting = False
        self.cursor = 0
        self._first = 0
        self._rows: list[RunSummary] = []
        self._cursor_id: str | None = None
        self._wanted: Wanted | None = None
        self._reading = False
        self._jumping: tuple[str | None] | None = None

    # Contents

    @property
    def run(self) -> RunSummary | None:
        """The run under the cursor; None if its row has not been read."""
        return self._row(self.cursor)

    @property
    def visible_rows(self) -> int:
        """The number of rows that fit."""
        return max(1, self.size.height - 1)

    @property
    def held(self) -> int:
        """The number of rows in memory."""
        return len(self._rows)

    def loaded_rows(self) -> list[RunSummary]:
        """Return the rows in memory."""
        return list(self._rows)

    def show_order(self, order: Order, *, keep_cursor: bool = True) -> None:
        """Change the filter or sort order; the cursor stays on its run if it is still shown."""
        self.order = order
        target = self._jumping[0] if self._jumping is not None else self._cursor_id
        self._jump(target if keep_cursor else None)

    def reload(self) -> None:
        """Read the rows again, since the database has changed."""
        if self._jumping is not None:
            # The user's pending request will read current rows.
            self._jump(*self._jumping)
        else:
            self._load(self._first, around=self._cursor_id, before=self.cursor - self._first)

    def go_to(self, run_id: str, order: Order | None = None) -> None:
        """Move the cursor to a run, after changing the order if one is given."""
        self.order = order or self.order
        self._jump(run_id)

    def _jump(self, run_id: str | None) -> None:
        self._jumping = (run_id,)
        self._load(0, around=run_id, at_once=True)

    def update_runs(self, runs: Iterable[RunSummary]) -> None:
        """Update the rows of running runs without reading the page again."""
        newest = {run.id: run for run in runs}
        for index, row in enumerate(self._rows):
            newer = newest.get(row.id)
            if newer is not None and newer != row:
                self._rows[index] = newer
                self._refresh_row(self._first + index)
                if row.id == self._cursor_id:
                    self.post_message(self.Highlighted(newer))

    # Reading pages

    def _load(self, offset: int, *, around: str | None, before: int | None = None, at_once: bool = False) -> None:
        limit = max(PAGE, 3 * self.visible_rows)
        before = limit // 2 if before is None else before
        window = Window(limit=limit, offset=max(0, offset), around=around, before=before)
        self._wanted = Wanted(order=self.order, window=window, at_once=at_once)
        if not self._reading:
            self._reading = True
            start(self, self._fetch, group="page")

    async def _fetch(self) -> None:
        """Read the last requested page. Of the requests that arrive meanwhile only the last is read: a filter typed
        fast requests more pages than can be read."""
        try:
            while (wanted := self._wanted) is not None:
                self._wanted = None
                read = self._source.glimpse if wanted.at_once else self._source.page
                try:
                    page = await asyncio.to_thread(read, wanted, partial(self._is_overtaken, wanted.order))
                except Overtaken:
                    continue
                # Outdated rows are not shown, except as the first ones, while the table is empty.
                if self._wanted is not None and (self.known or self._wanted.order != wanted.order):
                    continue
                if page[0] is None:
                    self._take_glimpse(*page[1:])
                else:
                    self._take(page, wanted)
        except EtuiError as error:
            self._wanted = self._jumping = None
            self.post_message(self.Failed(error))
        finally:
            self._reading = False

    def _is_overtaken(self, order: Order) -> bool:
        """Whether another filter or order was requested meanwhile; called from the reading thread."""
        wanted = self._wanted
        return self.known and wanted is not None and wanted.order != order

    def _take_glimpse(self, place: int | None, rows: list[RunSummary]) -> None:
        """Show rows before their position and the total are known, assuming those of the current page. The page with
        the right numbers follows, and the visible rows stay in place."""
        self._jumping = None
        self.known = self.counting = True
        self._rows = rows
        self._first = 0 if place is None else max(0, self.cursor - place)
        self.cursor = self._first + (place or 0)
        self.total = max(self.total, self._first + len(rows))
        self._resize()
        self._scroll_to_cursor()
        self._show_rows()
        self.reload()

    def _take(self, page: Page, wanted: Wanted) -> None:
        jumped, self._jumping = self._jumping is not None, None
        self.counting = False
        total, first, place, rows = page
        before, at_top = self.cursor, self.scroll_offset.y == 0
        self.total, self._first, self._rows, self.known = total, first, rows, True
        if place is not None:
            self.cursor = place
        elif wanted.window.around is not None and jumped:
            self.cursor = 0
        self.cursor = max(0, min(self.cursor, total - 1))
        self._resize()
        moved = self.cursor - before
        if jumped:
            self._scroll_to_cursor()
        elif moved and place is not None and not (at_top and self.cursor < self.visible_rows):
            self._scroll(self.scroll_offset.y + moved)
        self._show_rows()
        if self.run is None and total:
            # The page ends above the cursor because runs were deleted.
            self._load(self.cursor - PAGE // 2, around=None)

    def _show_rows(self) -> None:
        run = self.run
        self._cursor_id = run.id if run else None
        self._counted()
        self.refresh()
        self.post_message(self.Highlighted(run))

    def _row(self, index: int) -> RunSummary | None:
        place = index - self._first
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def _want_rows(self) -> None:
        """Read the page around the visible rows before its edge becomes visible."""
        top, height = self.scroll_offset.y, self.visible_rows
        last = self._first + len(self._rows)
        if self._jumping is not None or self.counting:
            return
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

    # Layout

    def on_mount(self) -> None:
        self._load(0, around=None)

    def _resize(self) -> None:
        set_length(self, Size(self.scrollable_content_region.width, self.total + 1))

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))
