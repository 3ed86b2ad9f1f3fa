"""Locks on files, held by the kernel: they end with the process that holds them, and count for every process of the
machine, whatever container or user it belongs to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from etui.files import private as private_files

_POLL_S = 0.05
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


class LocksUnsupported(Exception):
    """The file system has no locks."""


class Held:
    """A lock that this process holds until ``release``, or until it ends."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd

    def upgrade(self) -> bool:
        """Make a shared lock an exclusive one. If somebody shares it, it stays as it is, and the answer is False."""
        assert self._fd is not None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # The kernel may have given up the shared lock for the attempt. Nobody holds an exclusive one for long.
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            return False
        return True

    def share(self) -> None:
        """Make an exclusive lock a shared one."""
        assert self._fd is not None
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def remove(self) -> None:
        """Remove the lock's file and let go. Only for a holder of the exclusive lock."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def take(path: Path, *, exclusive: bool, patience_s: float = 0.0) -> Held | None:
    """Take the lock on a file, which is made where it is missing; None if others hold it for longer than
    ``patience_s``.

    Raises:
        LocksUnsupported: the file system has none.
        OSError: the file cannot be made or opened.
    """
    end = time.monotonic() + patience_s
    private_files.make_folder(path.parent, own=True)

    def opened() -> int:
        # Network file systems lock only files that are open for writing.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    while (fd := locked(path, opened, exclusive=exclusive)) is None:
        if time.monotonic() >= end:
            return None
        time.sleep(_POLL_S)
    return Held(path, fd)


def locked(path: Path, opened: Callable[[], int], *, exclusive: bool) -> int | None:
    """The descriptor of the file at this path, with its lock; None if others hold that. ``opened`` opens the file,
    making it if it is missing.

    Raises:
        LocksUnsupported: the file system has none.
        OSError: the file cannot be locked, or what ``opened`` raises.
    """
    while True:
        fd, is_ours = opened(), False
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            # Its last holder may have removed the file after it was opened here.
            if is_ours := is_at(path, fd):
                return fd
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                raise LocksUnsupported(error.strerror) from error
            raise
        finally:
            if not is_ours:
                os.close(fd)


def is_at(path: Path, fd: int) -> bool:
    """Whether an open file still is the one at this path, neither removed nor replaced. Raises OSError if the system
    does not tell."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False
