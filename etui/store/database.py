"""One connection to the SQLite file: transactions, and detection of changes the connection cannot see."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from etui.errors import StoreError
from etui.store.sqlite_errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_TIMEOUT_S = 10.0

_PROGRESS_INTERVAL = 20_000
"""Instructions of SQLite's virtual machine between two calls of ``overtaken``: about a millisecond."""

FilesState = tuple[tuple[int, int, int, int] | None, ...]
"""The state of a database on disk: device, inode, size and modification time of its file, its WAL and its journal; a
change means that another process wrote to it."""


class Link(NamedTuple):
    """A connection and its properties.

    ``read_only`` is the reason why the file cannot be written, empty if it can. ``snapshot`` is what ``look`` returned
    when the connection was opened, for a connection that cannot notice changes of the file itself. ``is_copy`` is
    whether it reads a private copy.
    """

    connection: sqlite3.Connection
    is_wal: bool = False
    read_only: str = ""
    look: Callable[[], FilesState] | None = None
    snapshot: FilesState = ()
    is_copy: bool = False

    @property
    def is_outdated(self) -> bool:
        """Whether the file has changed without the connection seeing it."""
        return self.look is not None and self.look() != self.snapshot


class Overtaken(Exception):
    """A read was interrupted because its result is no longer needed."""


class Database:
    """A connection on which every operation is a short transaction. Threads of one process may share it; a lock
    serializes them.

    ``connect`` opens the file at ``path``. It is called again if the file has changed without the connection seeing it.
    """

    def __init__(self, path: Path, connect: Callable[[], Link]) -> None:
        self.path = path
        self._connect = connect
        self._turn = threading.RLock()
        self._times_replaced = self._times_written = 0
        self._use(connect())
        self._file = _file_at(path)

    def _use(self, link: Link) -> None:
        self._link, self._connection = link, link.connection

    @property
    def read_only(self) -> str:
        """Why the database cannot be written, such as "its file system is mounted read-only"; empty if it can."""
        return self._link.read_only

    @contextmanager
    def read(self, overtaken: Callable[[], bool] | None = None) -> Iterator[sqlite3.Connection]:
        """Open a transaction that sees one state of the database throughout.

        ``overtaken`` is called about every millisecond of a query; when it returns True, the query is interrupted and
        Overtaken is raised. Raises StoreError.
        """
        with self._transaction("BEGIN") as connection, _interruptible(connection, overtaken):
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Open a transaction that holds the write lock from its start and is stored whole or not at all.

        When a ``durable`` transaction has ended, its changes and all earlier ones are on the disk. The changes of
        another one survive the end of every process, but possibly not a power failure. Raises StoreError.
        """
        with self._turn:
            if self._link.read_only:
                raise StoreError(
                    f"the database {self.path} is read-only: {self._link.read_only}",
                    "copy it to a writable folder and select the copy with --db or ETUI_DB",
                )
            with self._synced(durable), self._transaction("BEGIN IMMEDIATE") as connection:
                yield connection
            self._times_written += 1

    @contextmanager
    def _synced(self, durable: bool) -> Iterator[None]:
        # Without WAL a power failure could damage the file itself, so every transaction is synchronized.
        if durable or not self._link.is_wal:
            yield
            return
        with translated(self.path):
            self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            with translated(self.path):
                self._connection.execute("PRAGMA synchronous = EXTRA")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._turn:
            self._refresh()
            link = self._link
            with translated(self.path, is_copy=link.is_copy):
                link.connection.execute(begin)
                try:
                    yield link.connection
                    link.connection.execute("COMMIT")
                finally:
                    # A failed COMMIT leaves the transaction open; some errors end it.
                    if link.connection.in_transaction:
                        link.connection.execute("ROLLBACK")
                    if link.is_outdated:
                        # The transaction may have read a mixture of the old and the new state.
                        raise StoreError(f"the database {self.path} was changed while it was read", "try again")

    def _refresh(self) -> None:
        if self._link.is_outdated:
            file = _file_at(self.path)
            link = self._connect()
            self._connection.close()
            self._use(link)
            self._file = file
            self._times_replaced += 1

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed a change. Raises StoreError."""
        with self._turn, translated(self.path):
            self._refresh()
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            return (self._times_replaced << 32) + version

    def version(self) -> int:
        """Return a number that changes with each commit, of another connection or of this one. Raises StoreError."""
        return self.data_version() + self._times_written

    def wait_for_locks(self, longest_s: float) -> None:
        """Set the longest wait in seconds for a lock of another process before an operation fails. Raises
        StoreError."""
        with self._turn, translated(self.path):
            self._connection.execute(f"PRAGMA busy_timeout = {round(longest_s * 1000)}")

    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that was opened, so that changes are not written to a removed
        file."""
        return _file_at(self.path) == self._file

    def close(self) -> None:
        """Close the connection. May be called more than once."""
        with self._turn, translated(self.path):
            self._connection.close()


@contextmanager
def _interruptible(connection: sqlite3.Connection, overtaken: Callable[[], bool] | None) -> Iterator[None]:
    """Interrupt a query and raise Overtaken when ``overtaken`` returns True."""
    if overtaken is None:
        yield
        return
    connection.set_progress_handler(overtaken, _PROGRESS_INTERVAL)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise Overtaken from error
    finally:
        connection.set_progress_handler(None, 0)


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
