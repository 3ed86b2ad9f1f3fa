"""One connection to the SQLite file: opening, migrating, transactions, and sqlite3's errors in words."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

from etui import private_files
from etui.errors import StoreError
from etui.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT_S = 10.0

_BESIDE = ("-wal", "-shm", "-journal")
_OTHER_FILE = "name another file with --db or ETUI_DB"


class Database:
    """A connection whose every use is a short transaction. Threads of one process may share it: they take turns."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._file = _file_at(path)
        self._connection = connection
        self._turn = threading.RLock()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the database throughout. Raises StoreError."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start: all of it is stored or none. Raises StoreError."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._turn, translated(self.path):
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                # A failed COMMIT leaves the transaction open; some errors have ended it already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def data_version(self) -> int:
        """A number that changes when another connection has committed something. Raises StoreError."""
        with self._turn, translated(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def is_in_place(self) -> bool:
        """Whether the file is still the one that was opened; what is written to a removed one, nobody would read."""
        return _file_at(self.path) == self._file

    def close(self) -> None:
        """Close the connection; closing twice does no harm."""
        with self._turn, translated(self.path):
            self._connection.close()


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_database(path: Path, *, create: bool, cache_bytes: int | None = None) -> Database:
    """Open the file, creating it (where ``create``) and bringing its schema up to date.

    Raises StoreError where the file is missing and may not be created, is no etui database, comes from a newer etui,
    or cannot be opened, read or written; a file that is refused is left as it was.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a database", _OTHER_FILE)
    if not path.exists():
        if not create:
            raise StoreError(f"there is no database at {path}", "start a run first, or " + _OTHER_FILE)
        try:
            private_files.make_folder(path.parent)
        except OSError as error:
            raise StoreError(f"cannot create the folder {path.parent} ({error.strerror})", _OTHER_FILE) from error
        # SQLite would make it by the umask; what it cannot be made for, SQLite says. Its other files get its mode.
        with contextlib.suppress(OSError):
            private_files.make_file(path)
    else:
        private_files.make_folder(path.parent)
        private_files.tighten(path, *(path.with_name(path.name + ending) for ending in _BESIDE))
    with translated(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            version = _checked_version(connection, path)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            if cache_bytes is not None:
                connection.execute(f"PRAGMA cache_size = -{cache_bytes // 1024}")
            if version < schema.VERSION:
                _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return Database(connection, path)


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version the file carries; StoreError where it is not ours or newer than this code."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != schema.APPLICATION_ID and not (is_empty and version == 0 and owner == 0):
        raise StoreError(f"{path} is a database of another program", _OTHER_FILE)
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer etui (schema {version}, this one knows {schema.VERSION})",
            "update etui, or " + _OTHER_FILE,
        )
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated the file while this one waited for the lock.
        if _checked_version(connection, path) < schema.VERSION:
            schema.migrate(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors into a StoreError that says what to do; mistakes in etui's own SQL pass as they are."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise StoreError(*_words(error, path)) from error
    except UnicodeEncodeError as error:
        # A file's name whose bytes are not UTF-8 arrives as lone surrogates, which neither JSON nor SQLite takes.
        raise StoreError("a name or message is not valid UTF-8 and cannot be stored", "rename the file") from error


def _words(error: sqlite3.DatabaseError, path: Path) -> tuple[str, str]:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the database {path} is locked by another process", "try again, or end the process that holds it"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return f"the database {path} cannot be written", "check the permissions of the file and its folder"
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"the database {path} cannot be opened", "check the permissions of the file and its folder"
    if code == sqlite3.SQLITE_FULL:
        return f"no space is left for the database {path}", "free some disk space and try again"
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a database", _OTHER_FILE
    if code == sqlite3.SQLITE_CORRUPT:
        return f"the database {path} is damaged ({error})", "restore a copy, or move it away and start afresh"
    if code == sqlite3.SQLITE_IOERR:
        return f"the database {path} cannot be read or written ({error})", "check the disk it lies on"
    return f"the database {path} refused: {error}", "see the traceback with --debug"
