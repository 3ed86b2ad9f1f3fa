"""Process many items in short transactions, so that other writers do not have to wait for all of them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from etui.store.database import Database

HOLD_S = 0.1
"""A transaction that has held the write lock for this long starts no further item."""
REST_S = 0.03
"""How long the write lock is released between two transactions. A waiting writer of SQLite polls it every 1 to 25 ms in
the first 130 ms and at least every 100 ms after that."""

T = TypeVar("T")
R = TypeVar("R")


def in_batches(database: Database, items: Sequence[T], work: Callable[[sqlite3.Connection, T], R]) -> Iterator[list[R]]:
    """Call ``work`` on each item and yield the results of each transaction after it was committed.

    An item is always stored whole. Yielded results remain stored even if a later item fails or the caller stops.
    Raises StoreError, and whatever ``work`` raises.
    """
    done = 0
    while done < len(items):
        results: list[R] = []
        with database.write() as connection:
            started_s = time.monotonic()
            while done + len(results) < len(items) and (not results or time.monotonic() - started_s < HOLD_S):
                results.append(work(connection, items[done + len(results)]))
        done += len(results)
        yield results
        if done < len(items):
            time.sleep(REST_S)
