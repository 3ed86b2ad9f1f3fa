"""What the screens read and change in the database, each in one call that may be made from a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etui.errors import StoreError, UsageError
from etui.events import Event
from etui.results import RunDocument
from etui.spec import SessionSpec
from etui.store import Condition, QueuedSession, Store
from etui.store.run_pages import Glimpse, Page
from etui.summary import RunSummary
from etui.tui.feed import OLD_EVENTS
from etui.tui.widgets.paged_list import Wanted

if TYPE_CHECKING:
    from etui.catalog.find import Model

PAST_RUNS = 200
_TABLE = 48 << 20
"""What a filter looks at of 100,000 runs with each letter stays in memory."""


class Library:
    """The database, opened when it is first needed and again after ``forget``. Every method raises EtuiError."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._stores: dict[int | None, Store] = {}
        self._turn = threading.Lock()

    def open(self) -> None:
        """Open the database, making it where there is none."""
        with self._turn:
            if _TABLE not in self._stores:
                self._stores[_TABLE] = Store.open(self.database, cache_bytes=_TABLE)

    def forget(self) -> None:
        """Close the file; the next call opens the one that is there then."""
        with self._turn:
            stores, self._stores = self._stores, {}
        for store in stores.values():
            store.close()

    def _opened(self, cache_bytes: int | None = None) -> Store:
        """The store with so much memory: one for the table, whose runs may take a while to count, another so that
        nothing else waits for that."""
        with self._turn:
            if cache_bytes not in self._stores:
                self._stores[cache_bytes] = Store.open(self.database, create=False, cache_bytes=cache_bytes)
            return self._stores[cache_bytes]

    def page(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page:
        """A page of the runs table."""
        return self._opened(_TABLE).page(wanted.order.where, wanted.order.sorting, wanted.window, overtaken)

    def glimpse(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page | Glimpse:
        """The page, or only its rows where it would take a while to count how many there are."""
        return self._opened(_TABLE).glimpse(wanted.order.where, wanted.order.sorting, wanted.window, overtaken)

    def ids(self, where: Sequence[Condition]) -> list[str]:
        """The ids of all runs that meet a filter."""
        return self._opened().run_ids(where)

    def values(self, column: str) -> list[str]:
        """What stands in a column, for completion; nothing while the database cannot be read."""
        try:
            return self._opened().distinct(column)
        except (StoreError, UsageError):
            return []

    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """The summaries of these runs, newest first."""
        return self._opened().summaries([Condition("id", "in", list(run_ids))])

    def run(self, run_id: str) -> tuple[RunDocument, list[RunSummary]]:
        """The whole of a run, and the past runs of the same model, precision and delegate, oldest first."""
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
        """The newest events of a session, or of one of its runs."""
        return self._opened().events_after(session_id, run_id=run_id, newest=OLD_EVENTS)

    def submit(self, spec: SessionSpec, model: Model) -> QueuedSession:
        """Queue a session and see that a runner takes it."""
        from etui.catalog.find import describe
        from etui.services.submit import submit

        return submit(self._opened(), spec, describe(model))

    def cancel(self, run_ids: Sequence[str]) -> list[str]:
        """Ask for live runs to be cancelled; returns those that were live."""
        return self._opened().request_cancel(run_ids)

    def delete(self, run_ids: Sequence[str]) -> int:
        """Delete runs and return how many were there."""
        return self._opened().delete_runs(run_ids)
