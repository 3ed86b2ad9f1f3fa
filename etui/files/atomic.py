"""Write files atomically and durably."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from etui.errors import StoreError, UsageError
from etui.files import private as private_files

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def copy_file(source: Path, target: Path, *, force: bool) -> None:
    """Copy a file atomically; ``force`` replaces an existing target.

    Raises:
        FileExistsError: the target exists, and not ``force``.
        UsageError: the target is a device, pipe or socket.
        OSError: it cannot be written.
    """
    if is_special(target):
        raise UsageError(f"{target} is a device, pipe or socket, not a file", "choose another file or folder")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        shutil.copyfile(source, part)
        sync(part)
        _give_name(part, target, force=force)
    finally:
        part.unlink(missing_ok=True)


def write_whole(target: Path, pieces: Iterable[bytes], *, force: bool, private: bool = False) -> None:
    """Write a file atomically; ``force`` replaces an existing target. A ``private`` file is readable only by its user.
    The pieces are written as they come, so that the content need not fit into memory.

    Raises:
        FileExistsError: the target exists, and not ``force``.
        OSError: it cannot be written.
    """
    # Without the target's name, which may already have the maximum length.
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


def write_file(path: Path, data: bytes | Iterable[bytes], *, force: bool, private: bool = False) -> None:
    """Write a file whole or not at all. A ``private`` file can only be read by its user. ``data`` can be an iterable of
    pieces.

    A stream, such as /dev/stdout, is written to directly, with or without ``force``.

    Raises UsageError if the file exists and ``force`` is not set, or if it is a disk or a socket; BrokenPipeError if it
    is the standard output of this process, such as /dev/stdout, and its reader has closed it; StoreError on any other
    failure.
    """
    pieces = [data] if isinstance(data, bytes) else data
    if not private and is_stream(path):
        _write_stream(path, pieces)
        return
    if is_special(path):
        raise UsageError(f"{path} is a disk or a socket, not a file", "select another path with -o")
    try:
        if private:
            private_files.make_folder(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create the folder {path.parent} ({error.strerror})", "select another with -o"
        ) from error
    try:
        write_whole(path, pieces, force=force, private=private)
    except FileExistsError as error:
        raise UsageError(
            f"{path} already exists",
            "select another path with -o, or overwrite it with --force",
            screen_hint="choose another file",
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot write {path} ({error.strerror or error})", "check the folder and its free space"
        ) from error


def _write_stream(path: Path, pieces: Iterable[bytes]) -> None:
    descriptor = descriptor_of(path)
    try:
        # Use the descriptor itself: opening the path again would truncate a file that it was redirected to.
        with path.open("wb", buffering=0) if descriptor is None else os.fdopen(os.dup(descriptor), "wb", 0) as stream:
            for piece in pieces:
                remaining = memoryview(piece)
                while remaining:
                    remaining = remaining[stream.write(remaining) or 0 :]
    except BrokenPipeError as error:
        if descriptor is not None:
            raise  # the reader has closed the output, which is handled as for all other output of a command
        raise StoreError(f"{path} was closed by its reader", "write again") from error
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror or error})", "select another path with -o") from error


def _give_name(part: Path, target: Path, *, force: bool) -> None:
    """Rename a complete file to its target; without ``force`` fail if the target exists, without a race."""
    if force:
        part.replace(target)
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no hard links; check before renaming there.
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        part.replace(target)


def refuse_existing(path: Path | None, *, force: bool) -> None:
    """Raise UsageError if an existing file would be overwritten, unless ``force``. Streams are not checked."""
    if path is None or force or is_stream(path):
        return
    if os.path.exists(path):  # noqa: PTH110 - Path.exists raises
        raise UsageError(
            f"{path} already exists",
            "choose another path, or overwrite it with --force",
            screen_hint="choose another path",
        )


def descriptor_of(path: Path) -> int | None:
    """Return the file descriptor of this process that a path such as /dev/stdout names; None if it names none."""
    text = os.path.normpath(path)
    match = _DESCRIPTOR.fullmatch(text)
    return int(match[1]) if match else _STANDARD.get(text)


def is_stream(path: Path) -> bool:
    """Whether a path is a terminal, pipe or character device, or names a descriptor such as /dev/stdout. A stream is
    written to and never replaced: root replacing /dev/null would break it for all users."""
    mode = _mode(path)
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or descriptor_of(path) is not None


def is_special(path: Path) -> bool:
    """Whether a path is a device, pipe or socket, which is never replaced by a file."""
    mode = _mode(path)
    return is_stream(path) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems do not support this for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)
