"""Upgrading a database to this etui's schema, with a copy of the file kept until the upgrade has worked."""

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
"""How long to wait for a process that upgrades the same file: with a million runs, 7.6 GB, that took 5 minutes on a
busy machine of two cores."""

_LARGE_BYTES = 200_000_000
"""What is done to a file from this size on takes more than a few seconds, and is said."""

_LONGEST_STEM_BYTES = 200
"""A longer name of a database would leave no room for what its copy's name adds."""

_SPARE_BYTES = 1 << 20
_GROWTH = 0.5
"""The share of a file's size that an upgrade adds at most, new indexes and their journal together."""


def checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version the file carries, 0 for an empty one; StoreError if it is not ours or newer than this code."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != schema.APPLICATION_ID and not (is_empty and version == 0 and owner == 0):
        raise StoreError(f"{path} is a database of another program", OTHER_FILE)
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer etui (schema {version}, this one knows {schema.VERSION})",
            "update etui, or " + OTHER_FILE,
        )
    return version


def kept_copies(file: Path) -> list[Path]:
    """The copies beside a database that its upgrades have left: they go on, have failed, or were killed."""
    return [copy for version in range(1, schema.VERSION) if (copy := _copy_path(file, version)).exists()]


def upgrade(connection: sqlite3.Connection, path: Path, file: Path, read: Callable[[], sqlite3.Connection]) -> None:
    """Bring the schema up to date in one transaction; another process that does the same is waited for.

    ``file`` is the file itself if ``path`` is a link to it. Before one that holds something is changed, a copy is made
    beside it, through another connection, which ``read`` opens. It is removed when the upgraded database has passed
    SQLite's checks. Raises StoreError if there is no space for that or the upgrade fails; the file then is as it was,
    and the copy is kept.
    """
    _begin(connection, file)
    try:
        version = checked_version(connection, path)
        if version == 0:
            schema.migrate(connection)
            connection.execute("COMMIT")
        elif version < schema.VERSION:
            _tell(file, f"upgrading the database {path} to schema {schema.VERSION}: copying it")
            copy = _keep_copy(connection, path, _copy_path(file, version), read)
            try:
                with translated(path):
                    _tell(file, "copied; changing it")
                    schema.migrate(connection)
                    _tell(file, "changed; checking it")
                    _check(connection)
                    connection.execute("COMMIT")
            except Exception as error:
                raise StoreError(
                    f"the database {path} could not be upgraded from schema {version} to {schema.VERSION} and is as it"
                    f" was: {error}",
                    f"a copy from before is {copy}; see the traceback with --debug",
                ) from error
            except BaseException:
                # Somebody pressed Ctrl-C: nothing is wrong with the file.
                copy.unlink(missing_ok=True)
                raise
            copy.unlink(missing_ok=True)
            _tell(file, "upgraded")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _tell(file: Path, words: str) -> None:
    """Say on stderr how far the upgrade of a large file is."""
    if file.stat().st_size >= _LARGE_BYTES:
        from etui.text import plain

        sys.stderr.write(f"etui: {plain(words)}\n")
        sys.stderr.flush()


def _copy_path(file: Path, version: int) -> Path:
    name = os.fsencode(file.name)
    stem = file.name if len(name) <= _LONGEST_STEM_BYTES else hashlib.sha256(name).hexdigest()[:16]
    return file.with_name(f"{stem}.before-upgrade-from-schema-{version}")


def _partial_path(copy: Path) -> Path:
    return copy.with_name(copy.name + ".part")


def _begin(connection: sqlite3.Connection, file: Path) -> None:
    """Begin to write. A process that upgrades the file holds its lock for longer than others, and is waited for.
    sqlite3 only hears Ctrl-C between two attempts."""
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
    """Whether a process probably upgrades the file now."""
    copies = [_copy_path(file, version) for version in range(1, schema.VERSION)]
    return any(copy.exists() or _partial_path(copy).exists() for copy in copies)


def _keep_copy(connection: sqlite3.Connection, path: Path, copy: Path, read: Callable[[], sqlite3.Connection]) -> Path:
    """Copy the database, whole or not at all. The caller's transaction keeps others from changing it meanwhile."""
    from etui.text import size

    pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    needed = int(pages * page_bytes * (1 + _GROWTH)) + _SPARE_BYTES
    free = free_bytes(copy.parent)
    if free is not None and free < needed:
        raise StoreError(
            f"upgrading the database {path} needs {size(needed)} in {copy.parent}, where {size(free)} are free",
            "free some space there, or copy the database elsewhere and name the copy with --db or ETUI_DB",
        )
    partial = _partial_path(copy)
    try:
        partial.unlink(missing_ok=True)
        # Only the owner may read it, whatever the umask. SQLite takes an empty file for a new database.
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
            f"the database {path} is not upgraded: its copy {copy} cannot be written ({error.strerror or error})",
            "check the folder and its space",
        ) from error
    return copy


def _back_up(read: Callable[[], sqlite3.Connection], target: Path) -> None:
    source = read()
    try:
        copied = sqlite3.connect(target, isolation_level=None)
        try:
            copied.execute("PRAGMA synchronous = EXTRA")
            source.backup(copied)
        finally:
            copied.close()
    finally:
        source.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection) -> None:
    """Raise StoreError if the database does not hold together."""
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    problems += [f"a row of {row[0]} refers to a missing one" for row in connection.execute("PRAGMA foreign_key_check")]
    if problems:
        raise StoreError(f"it does not pass SQLite's check: {problems[0]}")
