"""The lock that a runner holds while it is alive: acquire, inspect and release it.

The lock is a hidden file next to the database, named after the database's file, the runner's installation and its
host. So every process that sees the database sees the lock, whatever its state folder or container. The kernel releases
it when the process ends. A runner that exits normally removes the file.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import Literal

from etui.errors import EtuiError
from etui.files.locks import LocksUnsupported, is_at, locked
from etui.paths import runner_lock_path

LockState = Literal["held", "free", "missing", "unreadable"]
"""A process holds the lock, no process does, the file is missing, or it cannot be opened."""


class RunnerLock:
    """The lock of the runner of one database, installation and host (this one, unless another is named)."""

    def __init__(self, database: Path, installation: str, host: str | None = None) -> None:
        self._database = database
        self.path = runner_lock_path(database, installation, socket.gethostname() if host is None else host)
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the lock for this process; False if a runner is alive.

        Raises:
            EtuiError: the lock file cannot be created.
        """
        try:
            self._fd = locked(self.path, self._open, exclusive=True)
        except (OSError, LocksUnsupported) as error:
            raise self._failure("lock", error) from error
        if self._fd is None:
            return False
        self._write_pid()
        return True

    def drop(self, *, remove: bool = False) -> None:
        """Release the lock; ``remove`` also deletes the file, if this runner leaves no claims."""
        if self._fd is None:
            return
        if remove:
            self._unlink(self._fd)
        os.close(self._fd)
        self._fd = None

    def state(self) -> LockState:
        """Return the present state of the lock. No file is created."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "unreadable"
        try:
            # Shared, so that two front ends checking at the same moment do not mistake each other for a runner.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "held"
        except OSError:
            return "unreadable"
        finally:
            os.close(fd)
        return "free"

    def runner_is_alive(self) -> bool:
        """Whether a process is known to hold the lock now."""
        return self.state() == "held"

    def holder_pid(self) -> int | None:
        """Return the id of the process that holds the lock, in its own container; None if no process does, or it is not
        readable."""
        if not self.runner_is_alive():
            return None
        try:
            return int(self.path.read_bytes()[:20])
        except (OSError, ValueError):
            return None

    def clear(self) -> None:
        """Remove the file of a killed runner; do nothing if a runner is alive or the file is not accessible."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._unlink(fd)
        except OSError:
            return
        finally:
            os.close(fd)

    def _open(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._failure("open", error) from error
        # Users who may read the database may check its runner.
        try:
            mode = self._database.stat().st_mode & 0o666
            if mode and os.fstat(fd).st_mode & 0o777 != mode:
                os.fchmod(fd, mode)
        except OSError:
            pass  # another user's file, or no database yet: keep 0600
        return fd

    def _write_pid(self) -> None:
        assert self._fd is not None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)
        except OSError:
            return  # on a full disk; the process id is only informative

    def _unlink(self, fd: int) -> None:
        """Remove the file if it still is the locked one."""
        try:
            if is_at(self.path, fd):
                self.path.unlink()
        except OSError:
            return  # a leftover file is harmless: only the lock counts

    def _failure(self, action: str, error: OSError | LocksUnsupported) -> EtuiError:
        reason = error.strerror if isinstance(error, OSError) else error
        return EtuiError(
            f"cannot {action} the runner's lock {self.path}: {reason}",
            "make the database's folder writable, or choose another database with --db or ETUI_DB",
        )
