"""Create folders and files that only their user can read, with the right mode from the start, whatever the umask.

Used for all of etui's own files: the database, the cache, locks, logs and state. Files that a user requested (an
export, a report, a program) follow the umask instead. Folders are 0700 and files 0600; an existing folder that the user
named keeps its mode.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from etui.paths import is_default_folder

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = 0o077


def make_folder(path: Path, *, own: bool = False) -> None:
    """Create a folder and its missing parents. An existing folder is made private if it is one of etui's default
    folders, or ``own``: created by etui in a folder that the user named.

    Raises OSError if it cannot be created.
    """
    missing = []
    above = path
    while not above.exists():
        missing.append(above)
        above = above.parent
    for folder in reversed(missing):
        # Another process may create it meanwhile.
        folder.mkdir(FOLDER_MODE, exist_ok=True)
    if not missing and (own or is_default_folder(path)):
        tighten(path)
    if not path.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(path))


def make_file(path: Path) -> None:
    """Create an empty file if it is missing, without opening it: closing a file would release all locks that SQLite
    holds on it in this process.

    Raises OSError if it cannot be created.
    """
    with contextlib.suppress(FileExistsError):
        # SQLite would create the target of a symbolic link.
        os.mknod(os.path.realpath(path), FILE_MODE | stat.S_IFREG)


def open_to_append(path: Path) -> BinaryIO:
    """Open a file for appending, creating it and its folder if needed.

    Raises OSError if it cannot be opened.
    """
    make_folder(path.parent)
    return os.fdopen(_opened(path, os.O_WRONLY | os.O_APPEND), "ab")


def create(path: Path) -> BinaryIO:
    """Open a new file for writing.

    Raises OSError if it cannot be created, FileExistsError if it exists.
    """
    return os.fdopen(_opened(path, os.O_WRONLY | os.O_EXCL), "wb")


def is_own_file(path: Path) -> bool:
    """Whether a path is a regular file of this user, not a link."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def tighten(*paths: Path) -> None:
    """Make existing files and folders of this user private; others, special files, and those on a read-only disk are
    left unchanged."""
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            if _is_open_to_others(status):
                path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def tighten_files_in(folder: Path) -> None:
    """Make all files and folders in a private folder private: files written by libraries follow the umask."""
    tighten(*(path for path in folder.rglob("*") if not path.is_symlink()))


def _opened(path: Path, flags: int) -> int:
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    with contextlib.suppress(OSError):
        if _is_open_to_others(os.fstat(fd)):
            os.fchmod(fd, FILE_MODE)
    return fd


def _is_open_to_others(status: os.stat_result) -> bool:
    """Whether this is a regular file or folder of this user that others can access. Devices such as /dev/null, which
    root could name as a database, are excluded."""
    is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return is_plain and status.st_uid == os.geteuid() and bool(stat.S_IMODE(status.st_mode) & _OTHERS)
