"""Write files so that they appear whole or not at all, and are on the disk when they do."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from etui.errors import UsageError
from etui.files import private as private_files

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


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
        _give_name(part, target, force=force)
    finally:
        part.unlink(missing_ok=True)


def write_whole(target: Path, pieces: Iterable[bytes], *, force: bool, private: bool = False) -> None:
    """Write a file so that it appears whole or not at all; with ``force`` in the place of another. ``private`` is for
    one that only its user may read. The pieces are written as they come, so that they need not fit into memory.

    Raises:
        FileExistsError: there is one already, and not ``force``.
        OSError: it cannot be written.
    """
    # Without the file's name, which may be as long as names can be.
    part = target.with_name(f".etui-{secrets.token_hex(8)}.part")
    try:
        with private_files.create(part) if private else part.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        _give_name(part, target, force=force)
    finally:
        part.unlink(missing_ok=True)


def _give_name(part: Path, target: Path, *, force: bool) -> None:
    """Give a finished file its name, failing where that is taken, even if it was taken a moment ago."""
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


def refuse_existing(path: Path | None, *, force: bool) -> None:
    """Raise UsageError if a file exists that would be overwritten, unless ``force``. Streams are not checked."""
    if path is None or force or is_stream(path):
        return
    if os.path.exists(path):  # noqa: PTH110 - Path.exists raises
        raise UsageError(
            f"{path} already exists",
            "choose another path, or overwrite it with --force",
            screen_hint="choose another path",
        )


def descriptor_of(path: Path) -> int | None:
    """The file descriptor of this process that a path such as /dev/stdout names; None if it names none."""
    text = os.path.normpath(path)
    found = _DESCRIPTOR.fullmatch(text)
    return int(found[1]) if found else _STANDARD.get(text)


def is_stream(path: Path) -> bool:
    """Whether a path leads to a terminal, pipe or the like, or is /dev/stdout, whatever that is connected to: it is
    written to, and never replaced. For root, a file in the place of /dev/null would take that away from everybody."""
    mode = _mode(path)
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or descriptor_of(path) is not None


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
