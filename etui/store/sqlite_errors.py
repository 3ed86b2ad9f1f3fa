"""Translation of sqlite3 errors to StoreErrors that name the cause, the file and the next step."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from etui.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_FILE = "select another file with --db or ETUI_DB"
_PERMISSIONS = "check the permissions of the file, its folder and the files next to it (-wal, -shm)"


@contextmanager
def translated(path: Path, *, is_copy: bool = False) -> Iterator[None]:
    """Translate errors of SQLite and of the JSON in it to a StoreError with a hint. Errors in etui's own SQL are raised
    unchanged. ``is_copy`` is whether a private copy of the file is used, which SQLite keeps in the temporary folder."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise _error_type(error)(*_message_and_hint(error, path, is_copy)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # sqlite3 also fails to decode its own message about a table whose name is damaged.
        raise StoreError(
            f"the database {path} is damaged ({error})",
            "restore a backup, or move the file away and start with a new one",
        ) from error
    except UnicodeEncodeError as error:
        # A file name that is not valid UTF-8 contains lone surrogates, which neither JSON nor SQLite accepts.
        raise StoreError("a name or message is not valid UTF-8 and cannot be stored", "rename the file") from error


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code of the error; 0 if it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_TRANSIENT = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip
"""Failures that can disappear without a change of the database itself, so that a later attempt may succeed."""


def _error_type(error: sqlite3.DatabaseError) -> type[StoreError]:
    return StoreUnavailable if primary_code(error) in _TRANSIENT else StoreError


def temporary_folder() -> Path:
    """Return the folder SQLite uses for temporary files: the first usable one of its list."""
    configured = [os.environ.get(name) for name in ("SQLITE_TMPDIR", "TMPDIR")]
    for folder in [*configured, "/var/tmp", "/usr/tmp", "/tmp"]:
        if folder and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    return Path()


def free_bytes(folder: Path) -> int | None:
    """Return the free space in bytes for this user on the file system of a folder; None if it cannot be determined."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def _message_and_hint(error: sqlite3.DatabaseError, path: Path, is_copy: bool) -> tuple[str, str]:
    code = primary_code(error)
    name = getattr(error, "sqlite_errorname", "")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the database {path} is locked by another process", "try again, or stop the process that holds the lock"
    if name == "SQLITE_READONLY_DBMOVED":
        return f"the database {path} was removed or replaced while it was open", "try again"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return f"the database {path} cannot be written", _PERMISSIONS
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"the database {path} cannot be opened", _PERMISSIONS
    if code == sqlite3.SQLITE_FULL and is_copy:
        folder = temporary_folder()
        message = f"no space is left in the temporary folder {folder}{_free(folder)} for a copy of the database {path}"
        return message, "free some space there, or set TMPDIR to another folder"
    if code == sqlite3.SQLITE_FULL:
        # It is this file system, since temporary data is kept in memory.
        message = f"no space is left on the file system of the database {path}{_free(path.parent)}"
        return message, f"free some space on the file system of {path.parent} and try again"
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a database", OTHER_FILE
    if code == sqlite3.SQLITE_CORRUPT:
        return (
            f"the database {path} is damaged ({error})",
            "restore a backup, or move the file away and start with a new one",
        )
    if name in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_TRUNCATE"):
        message = f"the database {path} cannot be written ({error}, {name})"
        return message, f"check the disk of {path.parent}, your quota on it and the limit on file sizes (ulimit -f)"
    if name in ("SQLITE_IOERR_LOCK", "SQLITE_IOERR_UNLOCK", "SQLITE_IOERR_RDLOCK", "SQLITE_IOERR_CHECKRESERVEDLOCK"):
        message = f"the file system of the database {path} does not support file locks ({error}, {name})"
        return message, "select a file on a local disk with --db or ETUI_DB"
    if code == sqlite3.SQLITE_IOERR:
        message = f"the database {path} cannot be read or written ({error}, {name or 'SQLITE_IOERR'})"
        return message, f"check the disk of {path.parent}"
    return f"SQLite error in the database {path}: {error}", "see the traceback with --debug"


def _free(folder: Path) -> str:
    from etui.text import size

    free = free_bytes(folder)
    return "" if free is None else f" ({size(free)} free)"
