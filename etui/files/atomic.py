"""Write files so that they appear whole or not at all, and are on the disk when they do."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from pathlib import Path

from etui.errors import UsageError


def copy_file(source: Path, target: Path, *, force: bool) -> None:
    """Copy a file so that it appears whole or not at all; with ``force`` in the place of another.

    Raises:
        FileExistsError: there is one already, and not ``force``.
        UsageError: the target is a device, pipe or socket.
        OSError: it cannot be written.
    """
    if is_special(target):
        raise UsageError(f"{target} is a device, pipe or socket, not a file", "name another file or folder")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        shutil.copyfile(source, part)
        sync(part)
        if force:
            part.replace(target)
            return
        try:
            os.link(part, target)
        except FileExistsError:
            raise
        except OSError:
            # Some file systems have no hard links; there a look before must do.
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether a path leads to a terminal, pipe or the like, such as /dev/stdout: it is written to, and never replaced.
    For root, a file in the place of /dev/null would take that away from everybody."""
    mode = _mode(path)
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def is_special(path: Path) -> bool:
    """Whether a path leads to a device, pipe or socket: no file is put in its place."""
    mode = _mode(path)
    return is_stream(path) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def sync(path: Path) -> None:
    """See that a file's content, or what a folder lists, is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems cannot do it for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)
