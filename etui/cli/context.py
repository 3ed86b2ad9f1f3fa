"""The settings that every command receives: which database to use, and how to open it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etui.errors import EtuiError, StoreError, UsageError
from etui.text import plain

if TYPE_CHECKING:
    from etui.store import Store

NOTHING_YET = "there are no runs yet"
WHAT_TO_START = "start one with: etui run mobilenet_v2"


@dataclass(frozen=True)
class Settings:
    """The global options. ``chosen`` is the value of --db."""

    chosen: str | None = None
    debug: bool = False

    @property
    def database(self) -> Path:
        """The database file, whether or not it exists."""
        from etui.paths import database_path

        return database_path(self.chosen)

    def open_store(self) -> Store:
        """Open the store, creating it if needed. Raises StoreError."""
        from etui.store import Store

        return Store.open(self.database)

    def existing_store(self) -> Store | None:
        """Open the store, or return None if it does not exist. Raises StoreError.

        If the database is writable, runs of lost runners are ended first, and a runner is started for queued work.
        """
        from etui.store import Store

        try:
            if not self.database.exists():
                return None
        except OSError as error:
            # The folder may be another user's.
            reason = error.strerror or error
            raise StoreError(
                f"the database {self.database} cannot be accessed ({reason})", "use another file with --db or ETUI_DB"
            ) from error
        store = Store.open(self.database, create=False)
        _settle(store)
        return store

    def store_with_runs(self) -> Store:
        """Open the store for a command about runs. Raises UsageError if it does not exist, StoreError."""
        store = self.existing_store()
        if store is None:
            raise UsageError(f"{NOTHING_YET} in {self.database}", WHAT_TO_START)
        return store


def _settle(store: Store) -> None:
    from etui.runner.unsaved_results import has_unsaved

    if not (store.has_live_work() or has_unsaved(store.path)):
        return
    from etui.runner.start import RunnerFailed, recover

    try:
        recover(store)
    except RunnerFailed as error:
        # The command itself can still be answered.
        print(f"etui: queued work is waiting: {plain(str(error))}", file=sys.stderr)
    except EtuiError:
        return
