"""File locks (``flock``): released by the kernel when the holding process ends, and valid for all processes of the
machine, across containers and users."""

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
    """The file system does not support locks."""


class Held:
    """A lock that this process holds until ``release``, or until it ends."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd

    def upgrade(self) -> bool:
        """Convert a shared lock to an exclusive one. If another process shares it, keep it shared and return False."""
        assert self._fd is not None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # The kernel may have released the shared lock for the attempt. Exclusive locks are only held briefly.
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            return False
        return True

    def share(self) -> None:
        """Convert an exclusive lock to a shared one."""
        assert self._fd is not None
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def remove(self) -> None:
        """Remove the lock file and release the lock. Requires the exclusive lock."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Release the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def take(path: Path, *, exclusive: bool, patience_s: float = 0.0) -> Held | None:
    """Take the lock on a file, creating it if missing; return None if others hold it for longer than ``patience_s``
    seconds.

    Raises:
        LocksUnsupported: the file system does not support locks.
        OSError: the file cannot be created or opened.
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
    """Return the descriptor of the locked file at this path; None if others hold the lock. ``opened`` opens the file,
    creating it if missing.

    Raises:
        LocksUnsupported: the file system does not support locks.
        OSError: the file cannot be locked; or raised by ``opened``.
    """
    while True:
        fd, is_ours = opened(), False
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            # The last holder may have removed the file after it was opened here.
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
    """Whether an open file is still the one at this path, neither removed nor replaced. Raises OSError."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False
