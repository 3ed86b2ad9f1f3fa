"""Opening the database file: writable or read-only, on local or network file systems, of this or an older schema."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from etui.errors import StoreError
from etui.files import private as private_files
from etui.host.filesystems import is_network
from etui.store import database, schema
from etui.store.database import Database, Link
from etui.store.sqlite_errors import OTHER_FILE, primary_code, temporary_folder, translated
from etui.store.upgrade import checked_version, upgrade

if TYPE_CHECKING:
    from etui.store.database import FilesState

SNAPSHOT_TRIES = 3

_JOURNALS = ("-wal", "-journal")
"""Suffixes of the files next to a database that have to be read with it."""

_CANNOT_SHARE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR})
"""The errors of SQLite if it would have to write a file before it can read."""


def open_database(path: Path, *, create: bool, cache_bytes: int | None = None) -> Database:
    """Open the file, creating it (if ``create``) and upgrading its schema.

    A file that cannot be written is opened for reading; if it also has an older schema, it is read through a private
    copy. On a network file system a rollback journal is used instead of WAL, whose shared memory works on one host
    only. ``cache_bytes`` is the size of SQLite's page cache; None keeps the default.

    Raises StoreError if the file is missing and may not be created, is not an etui database, was written by a newer
    etui, or cannot be opened, read or upgraded; the file is not changed then.
    """
    try:
        if path.is_dir():
            raise StoreError(f"{path} is a folder, not a database", OTHER_FILE)
        exists = path.exists()
    except OSError as error:
        # The folder can belong to another user.
        raise StoreError(f"the database {path} is not accessible ({error.strerror or error})", OTHER_FILE) from error
    if exists:
        _restrict_to_owner(path)
    elif create:
        try:
            private_files.make_folder(path.parent)
        except OSError as error:
            raise StoreError(f"cannot create the folder {path.parent} ({error.strerror})", OTHER_FILE) from error
        # SQLite would create it with the umask, and gives its other files the same mode. If this fails, SQLite reports
        # why.
        with contextlib.suppress(OSError):
            private_files.make_file(path)
    return Database(path, partial(_connect, path, create, cache_bytes))


def _restrict_to_owner(path: Path) -> None:
    """Remove the permissions of other users that earlier versions of etui left on the database, its folder, and the
    files of SQLite next to it."""
    with contextlib.suppress(OSError):
        private_files.make_folder(path.parent)
    private_files.tighten(path, *(Path(f"{path}{suffix}") for suffix in (*_JOURNALS, "-shm")))


def _connect(path: Path, create: bool, cache_bytes: int | None) -> Link:
    if not create and not path.exists():
        raise StoreError(f"there is no database at {path}", "start a run first, or " + OTHER_FILE)
    # SQLite resolves links too, and keeps its other files next to the target. Path.resolve raises for a loop of links.
    file = Path(os.path.realpath(path))
    with translated(path):
        reason = _why_read_only(file)
        if not reason:
            link = _writable(path, file, create)
        elif file.exists():
            link = _read_only(path, file, reason)
        else:
            raise StoreError(f"the database {path} cannot be created: {reason}", OTHER_FILE)
        if cache_bytes is not None:
            link.connection.execute(f"PRAGMA cache_size = -{cache_bytes // 1024}")
    return link


def _why_read_only(file: Path) -> str:
    """Return why the database cannot be written; empty if it can. SQLite also writes its journal to the folder."""
    for target in (file, file.parent):
        if target.exists() and not os.access(target, os.W_OK):
            if os.statvfs(target).f_flag & os.ST_RDONLY:
                return "its file system is mounted read-only"
            return f"you do not have permission to write to {target}"
    return ""


def _sqlite(name: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name, timeout=database.BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=uri
    )
    connection.row_factory = sqlite3.Row
    # So that a full or missing temporary folder does not lose a result.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _sqlite_file(file: Path, options: str) -> sqlite3.Connection:
    return _sqlite(f"file:{quote(os.fsencode(file))}?{options}", uri=True)


def _writable(path: Path, file: Path, create: bool) -> Link:
    connection = _sqlite_file(file, "mode=rwc" if create else "mode=rw")
    try:
        if is_network(file):
            _use_rollback_journal(connection, path)
        elif checked_version(connection, path) == 0:
            # An existing file with a rollback journal keeps it: another host may have mounted its file system.
            connection.execute("PRAGMA journal_mode = WAL")
        # After the checks, because it reads the file.
        connection.execute("PRAGMA synchronous = EXTRA")
        if checked_version(connection, path) < schema.VERSION:
            upgrade(connection, path, file, partial(_sqlite_file, file, "mode=ro"))
        is_wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    except BaseException:
        connection.close()
        raise
    return Link(connection, is_wal=is_wal)


def _use_rollback_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Switch the file from WAL to a rollback journal. With an exclusive lock this does not need shared memory.

    Raises StoreError if another process uses the file.
    """
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        checked_version(connection, path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = NORMAL")
        # The next read releases the lock.
        checked_version(connection, path)
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_BUSY:
            raise
        raise StoreError(
            f"the database {path} is on a network file system and another process has locked it, possibly"
            " because it uses WAL mode, which is only safe on one host",
            "stop the other etui processes, or select a file on a local disk with --db or ETUI_DB",
        ) from error


def _read_only(path: Path, file: Path, reason: str) -> Link:
    """Return a connection to a file that cannot be written.

    It sees the changes of other processes that have the file open. If SQLite would have to create files for that, the
    file is opened as ``immutable``, and Database checks whether it has changed. If a killed process left a journal, or
    the schema is older, a private copy is read.
    """
    for _ in range(SNAPSHOT_TRIES):
        snapshot, shared_files = _state(file), _identity(file)
        is_copy = False
        connection = _shared(path, file)
        is_shared = connection is not None
        if connection is None and any(snapshot[1:]):
            connection, is_copy = _recovered_copy(path, file), True
        elif connection is None:
            connection = _sqlite_file(file, "immutable=1")
        try:
            if checked_version(connection, path) < schema.VERSION:
                connection, is_copy = _upgraded_copy(path, connection), True
        except BaseException:
            connection.close()
            raise
        if is_shared and not is_copy:
            return Link(
                connection, is_wal=False, read_only=reason, look=partial(_identity, file), snapshot=shared_files
            )
        if _state(file) == snapshot:
            return Link(
                connection,
                is_wal=False,
                read_only=reason,
                look=partial(_state, file),
                snapshot=snapshot,
                is_copy=is_copy,
            )
        connection.close()
    raise StoreError(f"another process is changing the database {path}", "try again")


def _shared(path: Path, file: Path) -> sqlite3.Connection | None:
    """Return a read-only connection that sees the changes of other processes; None if SQLite would have to write
    files."""
    in_use = all(Path(f"{file}{suffix}").exists() for suffix in ("-wal", "-shm"))
    if not in_use and os.access(file.parent, os.W_OK):
        # SQLite would create both files, which a user who may write the database might not be able to write.
        return None
    connection = _sqlite_file(file, "mode=ro")
    try:
        if is_network(file):
            # Fails with WAL, as required; with a rollback journal it is equivalent to any other connection.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        checked_version(connection, path)
        connection.execute("PRAGMA locking_mode = NORMAL")
        checked_version(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        if primary_code(error) in _CANNOT_SHARE:
            return None
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _state(file: Path) -> FilesState:
    """Return the state by which a change of the database is detected: of its file and of each journal that is not
    empty."""
    states: list[tuple[int, int, int, int] | None] = []
    for suffix in ("", *_JOURNALS):
        try:
            status = Path(f"{file}{suffix}").stat()
        except OSError:
            states.append(None)
            continue
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        states.append(state if not suffix or status.st_size else None)
    return tuple(states)


def _identity(file: Path) -> FilesState:
    """Return which files a shared connection uses: if they are replaced, it would continue to read the old ones."""
    states: list[tuple[int, int, int, int] | None] = []
    for suffix in ("", "-shm"):
        try:
            status = Path(f"{file}{suffix}").stat()
        except OSError:
            states.append(None)
            continue
        states.append((status.st_dev, status.st_ino, 0, 0))
    return tuple(states)


def _recovered_copy(path: Path, file: Path) -> sqlite3.Connection:
    """Return a private copy of the database that includes the changes in its journal."""
    # Imported here because they are rarely needed and every command imports this module.
    import shutil
    from tempfile import TemporaryDirectory

    try:
        with TemporaryDirectory(prefix="etui-", dir=temporary_folder()) as folder:
            copy = Path(folder) / "etui.db"
            for suffix in ("", *_JOURNALS):
                if Path(f"{file}{suffix}").exists():
                    shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
            with translated(path, is_copy=True):
                source = _sqlite(copy)
                try:
                    return _private_copy(path, source)
                finally:
                    source.close()
    except OSError as error:
        raise StoreError(
            f"the database {path} was not closed properly and can only be read through a copy in {temporary_folder()},"
            f" which cannot be written ({error.strerror or error})",
            "free some space there, or set TMPDIR to another folder",
        ) from error


def _upgraded_copy(path: Path, source: sqlite3.Connection) -> sqlite3.Connection:
    """Return a private copy of the database with an upgraded schema. The source is closed."""
    try:
        copy = _private_copy(path, source)
    finally:
        source.close()
    try:
        with translated(path, is_copy=True):
            copy.execute("BEGIN")
            schema.migrate(copy)
            copy.execute("COMMIT")
    except BaseException:
        copy.close()
        raise
    return copy


def _private_copy(path: Path, source: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy that only this connection sees: in memory, or in an unnamed temporary file if it is large."""
    copy = _sqlite("")
    try:
        with translated(path, is_copy=True):
            source.backup(copy)
    except BaseException:
        copy.close()
        raise
    return copy
