"""All runs of the database as the rows of a table, of which one page is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec
from textual.dom import DOMNode

from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.store import Condition
from etui.store.database import Overtaken
from etui.store.run_pages import Glimpse, Page, Sorting, Window
from etui.tui.runs_columns import BY_NAME
from etui.tui.workers import start

PAGE = 120


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The filter and sort order of the table."""

    where: tuple[Condition, ...] = ()
    column: str = "when"
    descending: bool = True

    @property
    def sorting(self) -> Sorting:
        """What to sort by, and the direction: by what the column shows."""
        return Sorting(column=BY_NAME[self.column].order_by, descending=self.descending, as_shown=True)


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


class PagedList:
    """The rows of one page, at their places among ``total`` runs."""

    def __init__(self) -> None:
        self.total = 0
        self.first = 0
        self.rows: list[RunSummary] = []

    def put(self, total: int, first: int, rows: list[RunSummary]) -> None:
        """Replace the page; ``first`` is the index of its first row."""
        self.total, self.first, self.rows = total, first, rows

    def __len__(self) -> int:
        return self.total

    def at(self, index: int) -> RunSummary | None:
        """Return a run; None if it is not on the page."""
        place = index - self.first
        return self.rows[place] if 0 <= place < len(self.rows) else None

    def key(self, row: RunSummary) -> str:
        """Return the id of a run."""
        return row.id

    def index_of(self, key: str) -> int | None:
        """Return the index of a run; None if it is not on the page."""
        return next((self.first + place for place, row in enumerate(self.rows) if row.id == key), None)

    def update(self, runs: Iterable[RunSummary]) -> list[int]:
        """Replace the rows of these runs, and return the indices of those that changed."""
        newest = {run.id: run for run in runs}
        changed = [place for place, row in enumerate(self.rows) if newest.get(row.id, row) != row]
        for place in changed:
            self.rows[place] = newest[self.rows[place].id]
        return [self.first + place for place in changed]

    def ends_near(self, top: int, height: int) -> bool:
        """Whether the page ends within a screen of ``height`` rows from the rows that are visible from ``top`` on."""
        last = self.first + len(self.rows)
        return (top - height < self.first and self.first > 0) or (top + 2 * height > last and last < self.total)


class PageReader:
    """Reads pages in a worker of a widget. Of the requests that arrive meanwhile only the last is read: a filter typed
    fast requests more pages than can be read."""

    def __init__(
        self,
        widget: DOMNode,
        source: Rows,
        show: Callable[[Page | Glimpse, Wanted], None],
        report: Callable[[EtuiError], None],
    ) -> None:
        """``show`` is called with each page, ``report`` with an error, after which all requests are dropped."""
        self._widget = widget
        self._source = source
        self._show = show
        self._report = report
        self._wanted: Wanted | None = None
        self._reading = False
        self._has_shown = False

    def request(self, wanted: Wanted) -> None:
        """Read a page, unless another one is requested before."""
        self._wanted = wanted
        if not self._reading:
            self._reading = True
            start(self._widget, self._read, group="page")

    async def _read(self) -> None:
        try:
            while (wanted := self._wanted) is not None:
                self._wanted = None
                read = self._source.glimpse if wanted.at_once else self._source.page
                try:
                    page = await asyncio.to_thread(read, wanted, partial(self._is_overtaken, wanted.order))
                except Overtaken:
                    continue
                # Outdated rows are not shown, except as the first ones, while the table is empty.
                if self._wanted is None or not (self._has_shown or self._wanted.order != wanted.order):
                    self._has_shown = True
                    self._show(page, wanted)
        except EtuiError as error:
            self._wanted = None
            self._report(error)
        finally:
            self._reading = False

    def _is_overtaken(self, order: Order) -> bool:
        """Whether another filter or order was requested meanwhile; called from the reading thread."""
        wanted = self._wanted
        return self._has_shown and wanted is not None and wanted.order != order
