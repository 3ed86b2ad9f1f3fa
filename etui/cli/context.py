"""What every command is given: which database, and how to open it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etui.errors import EtuiError, StoreError, UsageError

if TYPE_CHECKING:
    from etui.store import Store

NOTHING_YET = "there are no runs yet"
WHAT_TO_START = "start one with: etui run mobilenet_v2"


@dataclass(frozen=True)
class Settings:
    """The options that stand before the command. ``chosen`` is the value of --db."""

    chosen: str | None = None
    debug: bool = False

    @property
    def database(self) -> Path:
        """The database file, whether or not it exists."""
        from etui.paths import database_path

        return database_path(self.chosen)

    def open_store(self) -> Store:
        """The store, made where there is none. Raises StoreError."""
        from etui.store import Store

        return Store.open(self.database)

    def existing_store(self) -> Store | None:
        """The store, or None where nothing was ever stored: reading makes no file. Raises StoreError.

        Runs and passes whose runner has died are marked as interrupted first, as far as the database can be written.
        """
        from etui.store import Store

        try:
            if not self.database.exists():
                return None
        except OSError as error:
            # The folder may be another user's.
            reason = error.strerror or error
            raise StoreError(
                f"the database {self.database} cannot be reached ({reason})", "name another file with --db or ETUI_DB"
            ) from error
        store = Store.open(self.database, create=False)
        if store.live_run_ids() or store.live_passes():
            from etui.runner.client import settle

            with contextlib.suppress(EtuiError):
                settle(store)
        return store

    def store_with_runs(self) -> Store:
        """The store, for a command that is about runs. Raises UsageError where there is none, StoreError."""
        store = self.existing_store()
        if store is None:
            raise UsageError(f"{NOTHING_YET} in {self.database}", WHAT_TO_START)
        return store
