"""Folders and files that only their user may read: made with the right mode from the start, whatever the umask.

Everything etui keeps for itself is made here: the database, the cache, locks, logs and state. What a user asked to have
written (an export, a report, a program) follows the umask instead. Folders are 0700 and files 0600; a folder that was
there before and that the user named keeps its mode.
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
    """Make a folder and those above it that are missing. One that is there is closed to other users if it is one of
    etui's default folders, or ``own``: part of what etui makes in a folder that the user named.

    Raises OSError if it cannot be made.
    """
    missing = []
    above = path
    while not above.exists():
        missing.append(above)
        above = above.parent
    for folder in reversed(missing):
        # Another process may make it meanwhile.
        folder.mkdir(FOLDER_MODE, exist_ok=True)
    if not missing and (own or is_default_folder(path)):
        tighten(path)
    if not path.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(path))


def make_file(path: Path) -> None:
    """Make an empty file if there is none, without opening it: closing a file takes away every lock that SQLite holds
    on it in this process.

    Raises OSError if it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        # The file that SQLite would make is the one that a link points to.
        os.mknod(os.path.realpath(path), FILE_MODE | stat.S_IFREG)


def open_to_append(path: Path) -> BinaryIO:
    """Open a file to append to, making it and its folder if needed.

    Raises OSError if it cannot be opened.
    """
    make_folder(path.parent)
    return os.fdopen(_opened(path, os.O_WRONLY | os.O_APPEND), "ab")


def open_lock(path: Path) -> int:
    """The descriptor of a file to lock, open for reading and writing, made if needed.

    Raises OSError if it cannot be opened.
    """
    return _opened(path, os.O_RDWR)


def create(path: Path) -> BinaryIO:
    """Open a new file to write to.

    Raises OSError if it cannot be made, FileExistsError if there is one.
    """
    return os.fdopen(_opened(path, os.O_WRONLY | os.O_EXCL), "wb")


def is_own_file(path: Path) -> bool:
    """Whether a path is a plain file of this user, and no link to one."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def tighten(*paths: Path) -> None:
    """Close to other users what is there of these files and folders and belongs to this user; what is on a read-only
    disk stays as it is, and so does what is neither a plain file nor a folder."""
    for path in paths:
        with contextlib.suppress(OSError):
            found = path.stat()
            if _is_open_to_others(found):
                path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)


def tighten_files_in(folder: Path) -> None:
    """Close to other users every file and folder in a folder that nobody else can enter yet: what libraries wrote there
    follows the umask."""
    tighten(*(path for path in folder.rglob("*") if not path.is_symlink()))


def _opened(path: Path, flags: int) -> int:
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    with contextlib.suppress(OSError):
        if _is_open_to_others(os.fstat(fd)):
            os.fchmod(fd, FILE_MODE)
    return fd


def _is_open_to_others(found: os.stat_result) -> bool:
    """Whether this is a plain file or folder of this user that others may use. A device such as /dev/null, which root
    may name as a database, is everybody's."""
    is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return is_plain and found.st_uid == os.geteuid() and bool(stat.S_IMODE(found.st_mode) & _OTHERS)
