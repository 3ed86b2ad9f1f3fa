"""One connection to the SQLite file: transactions, and whether what it reads is still what the file holds."""

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

_ASK_AFTER = 20_000
"""So many steps of SQLite's machine take about a millisecond."""

FilesState = tuple[tuple[int, int, int, int] | None, ...]
"""What tells whether somebody wrote to a database: device, inode, size and time of its file and of those beside it."""


class Link(NamedTuple):
    """A connection, and what can be done with it.

    ``read_only`` says why the file cannot be written; it is empty if it can. ``snapshot`` is what ``look`` returned
    when the connection was made, for one that does not notice by itself that the file changes. ``is_copy`` tells that
    it reads a private copy.
    """

    connection: sqlite3.Connection
    is_wal: bool = False
    read_only: str = ""
    look: Callable[[], FilesState] | None = None
    snapshot: FilesState = ()
    is_copy: bool = False

    @property
    def is_outdated(self) -> bool:
        """Whether the file has changed and the connection cannot show it."""
        return self.look is not None and self.look() != self.snapshot


class Overtaken(Exception):
    """A reading was given up, for its result is not wanted any more."""


class Database:
    """A connection whose every use is a short transaction. Threads of one process may share it: they take turns.

    ``connect`` opens the file at ``path``. It is called again if the file has changed and the connection cannot show
    that.
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
        """A transaction that sees one state of the database throughout. Raises StoreError; Overtaken as soon as
        ``overtaken``, which is asked about every millisecond of a query, says so."""
        with self._transaction("BEGIN") as connection, _given_up(connection, overtaken):
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start: all of it is stored or none. Raises StoreError.

        What a ``durable`` one wrote, and all that was written before it, is on the disk when it has ended. What another
        one wrote survives the end of every process, but perhaps not a power cut.
        """
        with self._turn:
            if self._link.read_only:
                raise StoreError(
                    f"the database {self.path} is read-only: {self._link.read_only}",
                    "copy it to a folder that you can write to, and name the copy with --db or ETUI_DB",
                )
            with self._synced(durable), self._transaction("BEGIN IMMEDIATE") as connection:
                yield connection
            self._times_written += 1

    @contextmanager
    def _synced(self, durable: bool) -> Iterator[None]:
        # Without WAL a power cut could damage the file itself, so everything is synchronized there.
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
                    # A failed COMMIT leaves the transaction open; some errors have ended it already.
                    if link.connection.in_transaction:
                        link.connection.execute("ROLLBACK")
                    if link.is_outdated:
                        # What was read may be half of the old and half of the new.
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
        """A number that changes when another connection has committed something. Raises StoreError."""
        with self._turn, translated(self.path):
            self._refresh()
            seen = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            return (self._times_replaced << 32) + seen

    def version(self) -> int:
        """Return a number that changes with each commit, of another connection or of this one. Raises StoreError."""
        return self.data_version() + self._times_written

    def wait_for_locks(self, longest_s: float) -> None:
        """Wait this long at most for another process's lock before a use fails. Raises StoreError."""
        with self._turn, translated(self.path):
            self._connection.execute(f"PRAGMA busy_timeout = {round(longest_s * 1000)}")

    def is_in_place(self) -> bool:
        """Whether the file is still the one that was opened; what is written to a removed one, nobody would read."""
        return _file_at(self.path) == self._file

    def close(self) -> None:
        """Close the connection; closing twice does no harm."""
        with self._turn, translated(self.path):
            self._connection.close()


@contextmanager
def _given_up(connection: sqlite3.Connection, overtaken: Callable[[], bool] | None) -> Iterator[None]:
    """End a query with Overtaken as soon as ``overtaken`` says so."""
    if overtaken is None:
        yield
        return
    connection.set_progress_handler(overtaken, _ASK_AFTER)
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
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
