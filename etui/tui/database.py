"""The database of the screen: the only place in this process that opens the file.

``EtuiApp`` creates one ``Database`` and gives it to everything that reads or writes runs. An operation is a function of
a ``Store``::

    document = await database.read(lambda store: store.document(run_id))
    await database.write(lambda store: store.delete_runs(ids))

It runs in a thread, on a connection that no other thread uses meanwhile. A connection is opened when it is needed, kept
for the next operation, and opened again if its file was removed or replaced, or if an operation on it failed: a
connection to such a file never recovers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from etui.errors import StoreError
from etui.store import Store

T = TypeVar("T")
Operation = Callable[[Store], T]

_MOST_IDLE = 2
"""Connections that are kept open between operations; more are only needed for a moment."""


class Connection:
    """One connection to the database. Operations on it run one after the other.

    It is for callers that need the same connection each time, because it has its own page cache or because they compare
    its ``data_version``; all others use the methods of ``Database``.
    """

    def __init__(self, database: Database, cache_bytes: int | None = None) -> None:
        self._database = database
        self._cache_bytes = cache_bytes
        self._store: Store | None = None
        self._opening = 0
        self._is_closed = False
        self._turn = threading.Lock()

    def run(self, operation: Operation[T], *, create: bool = False) -> T:
        """Execute an operation in this thread. The same ``Store`` is passed each time unless it had to be opened again.

        Raises StoreError if the file cannot be opened; unless ``create``, also if it does not exist. Also raises what
        the operation raises.
        """
        with self._turn:
            try:
                return operation(self._opened(create))
            except StoreError:
                self._close()
                raise
            finally:
                if self._is_closed:
                    self._close()

    async def read(self, operation: Operation[T]) -> T:
        """Execute an operation in a thread and return its result. Raises as ``run``."""
        return await asyncio.to_thread(self.run, operation)

    def close(self) -> None:
        """Close the connection, or let the operation in progress close it. A later operation opens it for itself."""
        self._is_closed = True
        if self._turn.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._turn.release()

    def _opened(self, create: bool) -> Store:
        store, opening = self._store, self._database.opening
        if store is not None and (self._opening != opening or not store.is_in_place()):
            self._close()
        if self._store is None:
            self._store, self._opening = self._database.open_store(self._cache_bytes, create=create), opening
        return self._store

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()


class Database:
    """The database at a path. Every method may be called from any thread, ``read`` and ``write`` in the event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opening = 0
        """Increased by ``forget``; a connection opened before is not used again."""
        self._was_opened = False
        self._closed = False
        self._idle: list[Connection] = []
        self._turn = threading.Lock()
        self._listeners: list[Callable[[], object]] = []

    # Operations

    async def read(self, operation: Operation[T]) -> T:
        """Execute an operation that reads, in a thread, and return its result.

        Raises StoreError if the database is missing or cannot be opened, and what the operation raises. If the awaiting
        task is cancelled, the operation still ends in its thread and its result is dropped.
        """
        return await asyncio.to_thread(self.run, operation)

    async def write(self, operation: Operation[T], *, create: bool = False, announce: bool = True) -> T:
        """Execute an operation that changes the database, in a thread, and return its result.

        With ``create`` a missing file is created. Unless ``announce`` is False, the listeners are called afterwards.
        Raises as ``read``.
        """
        result = await asyncio.to_thread(self.run, operation, create=create)
        if announce:
            for listener in self._listeners:
                listener()
        return result

    def run(self, operation: Operation[T], *, create: bool = False) -> T:
        """Execute an operation in this thread, for callers that are in a thread already. Raises as ``read``."""
        with self._turn:
            connection = self._idle.pop() if self._idle else Connection(self)
        try:
            return connection.run(operation, create=create)
        finally:
            with self._turn:
                is_kept = not self._closed and len(self._idle) < _MOST_IDLE
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                connection.close()

    def connect(self, cache_bytes: int | None = None) -> Connection:
        """Return a separate connection, which its user closes; ``cache_bytes`` is the size of its page cache."""
        return Connection(self, cache_bytes)

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call ``listener`` in the event loop after each announced change made here, until the function that this
        returns is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # The file

    def open(self) -> None:
        """Open the file, creating it or upgrading its schema if necessary. Raises StoreError."""
        self.run(lambda store: store.path, create=True)

    def forget(self) -> None:
        """Use no connection that is open now again, because another file may have been written over this one."""
        self.opening += 1

    def close(self) -> None:
        """Close all connections that no operation uses; the others are closed when their operation ends."""
        with self._turn:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def open_store(self, cache_bytes: int | None, *, create: bool) -> Store:
        """Open the file for a ``Connection``. Raises StoreError."""
        if self._was_opened and not create and not self.path.exists():
            raise StoreError(f"the database {self.path} is gone", "restore the file, or restart etui")
        store = Store.open(self.path, create=create, cache_bytes=cache_bytes)
        self._was_opened = True
        return store
