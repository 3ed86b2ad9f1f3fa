"""Database access of the main screen: one call per query or change, safe to make from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etui.errors import StoreError, UsageError
from etui.events import Event
from etui.facts import RunSummary
from etui.results import RunDocument
from etui.spec import SessionSpec
from etui.store import Condition, QueuedSession, Store
from etui.store.run_pages import Glimpse, Page
from etui.tui.feed import OLD_EVENTS
from etui.tui.widgets.paged_list import Wanted

if TYPE_CHECKING:
    from etui.catalog.find import Model

PAST_RUNS = 200
_TABLE = 48 << 20
"""SQLite page cache of the table's connection, in bytes: filtering 100,000 runs at each keystroke stays in memory."""


class Library:
    """The database, opened on first use and again after ``forget``. Every method may raise EtuiError."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._stores: dict[int | None, Store] = {}
        self._turn = threading.Lock()

    def open(self) -> None:
        """Open the database; create it if it does not exist."""
        with self._turn:
            if _TABLE not in self._stores:
                self._stores[_TABLE] = Store.open(self.database, cache_bytes=_TABLE)

    def forget(self) -> None:
        """Close the file; the next call opens the file that is there then."""
        with self._turn:
            stores, self._stores = self._stores, {}
        for store in stores.values():
            store.close()

    def _opened(self, cache_bytes: int | None = None) -> Store:
        """Return the store with this page cache. The table has a separate one: counting its runs can take a while, and
        other queries must not wait for it."""
        with self._turn:
            if cache_bytes not in self._stores:
                self._stores[cache_bytes] = Store.open(self.database, create=False, cache_bytes=cache_bytes)
            return self._stores[cache_bytes]

    def page(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page:
        """Return a page of the runs table."""
        return self._opened(_TABLE).page(wanted.order.where, wanted.order.sorting, wanted.window, overtaken)

    def glimpse(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page | Glimpse:
        """Return the page, or only its rows if counting all matching runs would take a while."""
        return self._opened(_TABLE).glimpse(wanted.order.where, wanted.order.sorting, wanted.window, overtaken)

    def ids(self, where: Sequence[Condition]) -> list[str]:
        """Return the ids of all runs that match a filter."""
        return self._opened().run_ids(where)

    def values(self, column: str) -> list[str]:
        """Return the distinct values of a column for completion; empty if the database cannot be read."""
        try:
            return self._opened().distinct(column)
        except (StoreError, UsageError):
            return []

    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """Return the summaries of these runs, newest first."""
        return self._opened().summaries([Condition("id", "in", list(run_ids))])

    def run(self, run_id: str) -> tuple[RunDocument, list[RunSummary]]:
        """Return a run's document, and past runs of the same model, precision and delegate, oldest first."""
        store = self._opened()
        document = store.document(run_id)
        same = [
            Condition("model", "=", document.model.name),
            Condition("precision", "=", document.precision),
            Condition("delegate", "=", document.delegate),
        ]
        past = store.summaries(same, limit=PAST_RUNS)
        past.reverse()
        return document, past

    def events(self, session_id: str, run_id: str | None) -> list[Event]:
        """Return the newest events of a session, or of one of its runs."""
        return self._opened().events_after(session_id, run_id=run_id, newest=OLD_EVENTS)

    def submit(self, spec: SessionSpec, model: Model) -> QueuedSession:
        """Queue a session and make sure that a runner is running."""
        from etui.catalog.find import describe
        from etui.services.submit import submit

        return submit(self._opened(), spec, describe(model))

    def cancel(self, run_ids: Sequence[str]) -> list[str]:
        """Request cancellation of live runs, and return those that were live."""
        return self._opened().request_cancel(run_ids)

    def delete(self, run_ids: Sequence[str]) -> int:
        """Delete runs, and return how many existed."""
        return self._opened().delete_runs(run_ids)
