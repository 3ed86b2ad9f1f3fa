"""The rows of the runs table, read from the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from etui.store import Condition
from etui.store.run_pages import Glimpse, Page
from etui.tui.database import Database
from etui.tui.widgets.paged_list import Wanted

_CACHE_BYTES = 48 << 20
"""SQLite page cache of the table's connection: filtering 100,000 runs at each keystroke stays in memory."""


MOST_HIDDEN = 10_000
"""The number of runs that a query can leave out: SQLite limits the values of a statement."""


class RunRows:
    """The rows of the runs table, whose methods are called in a thread.

    They have a separate connection: counting the runs of a filter can take a while, and other operations do not wait
    for it.
    """

    def __init__(self, database: Database) -> None:
        self._hidden: tuple[str, ...] = ()
        self._connection = database.connect(_CACHE_BYTES)

    def hide(self, run_ids: Sequence[str]) -> None:
        """Leave out these runs, at most ``MOST_HIDDEN``, instead of those hidden before."""
        self._hidden = tuple(run_ids)

    def _where(self, where: Sequence[Condition]) -> Sequence[Condition]:
        return (*where, Condition("id", "in", self._hidden, negated=True)) if self._hidden else where

    def page(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page:
        """Return a page of the runs table. Raises Overtaken if ``overtaken`` returns True meanwhile."""
        order = wanted.order
        return self._connection.run(
            lambda store: store.page(self._where(order.where), order.sorting, wanted.window, overtaken)
        )

    def glimpse(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page | Glimpse:
        """Return the page, or only its rows if counting all matching runs would take a while. Raises as ``page``."""
        order = wanted.order
        return self._connection.run(
            lambda store: store.glimpse(self._where(order.where), order.sorting, wanted.window, overtaken)
        )

    def ids(self, where: Sequence[Condition]) -> list[str]:
        """Return the ids of all runs that match a filter."""
        return self._connection.run(lambda store: store.run_ids(self._where(where)))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
