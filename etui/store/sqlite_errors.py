"""sqlite3's errors as StoreErrors that say what is wrong, and on which file system, and what to do."""

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

OTHER_FILE = "name another file with --db or ETUI_DB"
_PERMISSIONS = "check the permissions of the file, its folder and the files beside it (-wal, -shm)"


@contextmanager
def translated(path: Path, *, is_copy: bool = False) -> Iterator[None]:
    """Turn errors of SQLite and of the JSON in it into a StoreError that says what to do. Mistakes in etui's own SQL
    pass as they are. ``is_copy`` tells that a private copy of the file is used, which SQLite keeps in the temporary
    folder."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise _kind(error)(*_words(error, path, is_copy)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # sqlite3 also fails to decode its own message about a table whose name is no longer text.
        raise StoreError(
            f"the database {path} is damaged ({error})", "restore a copy, or move it away and start afresh"
        ) from error
    except UnicodeEncodeError as error:
        # A file's name whose bytes are not UTF-8 arrives as lone surrogates, which neither JSON nor SQLite takes.
        raise StoreError("a name or message is not valid UTF-8 and cannot be stored", "rename the file") from error


def primary_code(error: sqlite3.Error) -> int:
    """The error's code without its extension; 0 if it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip
"""Failures that may be over a moment later, with nothing done to the database itself."""


def _kind(error: sqlite3.DatabaseError) -> type[StoreError]:
    return StoreUnavailable if primary_code(error) in _PASSING else StoreError


def temporary_folder() -> Path:
    """Where SQLite puts temporary files: the first folder of its list that can be used."""
    chosen = [os.environ.get(name) for name in ("SQLITE_TMPDIR", "TMPDIR")]
    for folder in [*chosen, "/var/tmp", "/usr/tmp", "/tmp"]:
        if folder and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    return Path()


def free_bytes(folder: Path) -> int | None:
    """The space that this user can still take of a folder's file system; None if that cannot be told."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def _words(error: sqlite3.DatabaseError, path: Path, is_copy: bool) -> tuple[str, str]:
    code = primary_code(error)
    name = getattr(error, "sqlite_errorname", "")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the database {path} is locked by another process", "try again, or end the process that holds it"
    if name == "SQLITE_READONLY_DBMOVED":
        return f"the database {path} was removed or replaced while it was open", "run the command again"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return f"the database {path} cannot be written", _PERMISSIONS
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"the database {path} cannot be opened", _PERMISSIONS
    if code == sqlite3.SQLITE_FULL and is_copy:
        folder = temporary_folder()
        message = f"no space is left in the temporary folder {folder}{_free(folder)} for a copy of the database {path}"
        return message, "free some space there, or set TMPDIR to another folder"
    if code == sqlite3.SQLITE_FULL:
        # SQLite writes nowhere else: what is temporary is kept in memory.
        message = f"no space is left on the file system of the database {path}{_free(path.parent)}"
        return message, f"free some space on the file system of {path.parent} and try again"
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a database", OTHER_FILE
    if code == sqlite3.SQLITE_CORRUPT:
        return f"the database {path} is damaged ({error})", "restore a copy, or move it away and start afresh"
    if name in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_TRUNCATE"):
        message = f"the database {path} cannot be written ({error}, {name})"
        return message, f"check the disk of {path.parent}, your quota on it and the limit on file sizes (ulimit -f)"
    if name in ("SQLITE_IOERR_LOCK", "SQLITE_IOERR_UNLOCK", "SQLITE_IOERR_RDLOCK", "SQLITE_IOERR_CHECKRESERVEDLOCK"):
        message = f"the file system of the database {path} does not lock files ({error}, {name})"
        return message, "name a file on a local disk with --db or ETUI_DB"
    if code == sqlite3.SQLITE_IOERR:
        message = f"the database {path} cannot be read or written ({error}, {name or 'SQLITE_IOERR'})"
        return message, f"check the disk of {path.parent}"
    return f"the database {path} refused: {error}", "see the traceback with --debug"


def _free(folder: Path) -> str:
    from etui.text import size

    free = free_bytes(folder)
    return "" if free is None else f" ({size(free)} free)"
