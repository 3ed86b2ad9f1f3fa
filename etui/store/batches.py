"""Long work on the database in short transactions, so that it keeps no other writer waiting."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from etui.store.database import Database

HOLD_S = 0.1
"""No further item is begun in a transaction that has held the write lock for so long."""
REST_S = 0.03
"""So long the write lock is free between two transactions. A writer that waits looks for it every 1 to 25 ms in its
first 130 ms and at least every 100 ms from then on, so it soon finds it free."""

T = TypeVar("T")
R = TypeVar("R")


def in_batches(database: Database, items: Sequence[T], work: Callable[[sqlite3.Connection, T], R]) -> Iterator[list[R]]:
    """Do the work on each item and yield what came of those that have just been stored together.

    An item is always stored whole. What was yielded stays, also if a later item fails or the caller stops.
    Raises StoreError, and whatever the work raises.
    """
    done = 0
    while done < len(items):
        results: list[R] = []
        with database.write() as connection:
            begun = time.monotonic()
            while done + len(results) < len(items) and (not results or time.monotonic() - begun < HOLD_S):
                results.append(work(connection, items[done + len(results)]))
        done += len(results)
        yield results
        if done < len(items):
            time.sleep(REST_S)
