"""Upgrade of a database to the current schema, with a copy of the file that is kept until the upgrade has succeeded."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import time
from typing import TYPE_CHECKING

from etui.errors import StoreError
from etui.store import schema
from etui.store.sqlite_errors import OTHER_FILE, free_bytes, primary_code, translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 1_200.0
"""How long to wait for a process that upgrades the same file: a database of a million runs (7.6 GB) took 5 minutes on a
busy machine with two cores."""

_LARGE_BYTES = 200_000_000
"""From this size on an upgrade takes more than a few seconds, and its progress is printed."""

_LONGEST_STEM_BYTES = 200
"""A longer file name of a database would make the name of its copy too long."""

_SPARE_BYTES = 1 << 20
_GROWTH = 0.5
"""The most that an upgrade adds to a file as a share of its size: new indexes and their journal together."""


def checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of the file, 0 for an empty one. Raises StoreError if the file is not an etui database
    or its schema is newer than this code."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != schema.APPLICATION_ID and not (is_empty and version == 0 and owner == 0):
        raise StoreError(f"{path} is a database of another program", OTHER_FILE)
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer version of etui (schema {version}; this one knows {schema.VERSION})",
            "update etui, or " + OTHER_FILE,
        )
    return version


def kept_copies(file: Path) -> list[Path]:
    """Return the copies next to a database that upgrades in progress, failed or killed upgrades have left."""
    return [copy for version in range(1, schema.VERSION) if (copy := _copy_path(file, version)).exists()]


def upgrade(connection: sqlite3.Connection, path: Path, file: Path, read: Callable[[], sqlite3.Connection]) -> None:
    """Upgrade the schema in one transaction, waiting for another process that does the same.

    ``file`` is the file itself if ``path`` is a link to it. Before a file that is not empty is changed, it is copied to
    the same folder through another connection, which ``read`` opens. The copy is removed when the upgraded database has
    passed SQLite's checks. Raises StoreError if there is not enough space or the upgrade fails; the file is not changed
    then, and the copy is kept.
    """
    _begin(connection, file)
    try:
        version = checked_version(connection, path)
        if version == 0:
            schema.migrate(connection)
            connection.execute("COMMIT")
        elif version < schema.VERSION:
            _report(file, f"upgrading the database {path} to schema {schema.VERSION}: copying the file")
            copy = _keep_copy(connection, path, _copy_path(file, version), read)
            try:
                with translated(path):
                    _report(file, "copied; changing the schema")
                    schema.migrate(connection)
                    _report(file, "changed; checking the database")
                    _check(connection)
                    connection.execute("COMMIT")
            except Exception as error:
                raise StoreError(
                    f"the database {path} could not be upgraded from schema {version} to {schema.VERSION} and was not"
                    f" changed: {error}",
                    f"a copy of the file is {copy}; see the traceback with --debug",
                ) from error
            except BaseException:
                # Ctrl-C: there is nothing wrong with the file.
                copy.unlink(missing_ok=True)
                raise
            copy.unlink(missing_ok=True)
            _report(file, "upgraded")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _report(file: Path, message: str) -> None:
    """Print the progress of the upgrade of a large file to stderr."""
    if file.stat().st_size >= _LARGE_BYTES:
        from etui.text import plain

        sys.stderr.write(f"etui: {plain(message)}\n")
        sys.stderr.flush()


def _copy_path(file: Path, version: int) -> Path:
    name = os.fsencode(file.name)
    stem = file.name if len(name) <= _LONGEST_STEM_BYTES else hashlib.sha256(name).hexdigest()[:16]
    return file.with_name(f"{stem}.before-upgrade-from-schema-{version}")


def _partial_path(copy: Path) -> Path:
    return copy.with_name(copy.name + ".part")


def _begin(connection: sqlite3.Connection, file: Path) -> None:
    """Begin a write transaction, waiting for another process that upgrades the file. The wait is in several attempts
    because sqlite3 handles Ctrl-C only between them."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or not _is_upgraded(file) or time.monotonic() > deadline:
                raise
        else:
            return


def _is_upgraded(file: Path) -> bool:
    """Whether another process is probably upgrading the file."""
    copies = [_copy_path(file, version) for version in range(1, schema.VERSION)]
    return any(copy.exists() or _partial_path(copy).exists() for copy in copies)


def _keep_copy(connection: sqlite3.Connection, path: Path, copy: Path, read: Callable[[], sqlite3.Connection]) -> Path:
    """Copy the database, whole or not at all. The caller's transaction prevents changes in the meantime."""
    from etui.text import size

    pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    needed = int(pages * page_bytes * (1 + _GROWTH)) + _SPARE_BYTES
    free = free_bytes(copy.parent)
    if free is not None and free < needed:
        raise StoreError(
            f"upgrading the database {path} needs {size(needed)} in {copy.parent}, which has {size(free)} free",
            "free some space there, or copy the database elsewhere and select the copy with --db or ETUI_DB",
        )
    partial = _partial_path(copy)
    try:
        partial.unlink(missing_ok=True)
        # Created here so that only the owner can read it, whatever the umask. SQLite treats an empty file as a new
        # database.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with translated(partial):
                _back_up(read, partial)
            partial.replace(copy)
            _sync_folder(copy.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"the database {path} was not upgraded: its copy {copy} cannot be written ({error.strerror or error})",
            "check the folder and its free space",
        ) from error
    return copy


def _back_up(read: Callable[[], sqlite3.Connection], target: Path) -> None:
    source = read()
    try:
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous = EXTRA")
            source.backup(copy)
        finally:
            copy.close()
    finally:
        source.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection) -> None:
    """Raise StoreError if the database fails SQLite's integrity checks."""
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    problems += [f"a row of {row[0]} refers to a missing one" for row in connection.execute("PRAGMA foreign_key_check")]
    if problems:
        raise StoreError(f"it does not pass SQLite's integrity check: {problems[0]}")
