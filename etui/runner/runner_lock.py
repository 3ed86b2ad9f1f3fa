"""Whether a runner is alive: the lock that it holds as long as it lives, taken, looked at and let go.

The lock is a hidden file beside the database, named after the database's file, the runner's installation and its host.
So whoever sees the database sees the lock, with whatever state folder, in whatever container. The kernel drops it with
the process. A runner that leaves in order removes the file.
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

Held = Literal["held", "free", "missing", "unreadable"]
"""What a look at a lock finds: somebody holds it, nobody does, there is no such file, or it may not be opened."""


class RunnerLock:
    """The lock of the runner of one database, installation and host (this one, unless another is named)."""

    def __init__(self, database: Path, installation: str, host: str | None = None) -> None:
        self._database = database
        self.path = runner_lock_path(database, installation, socket.gethostname() if host is None else host)
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the lock for this process; False if a runner is alive.

        Raises:
            EtuiError: the lock's file cannot be made.
        """
        try:
            self._fd = locked(self.path, self._open, exclusive=True)
        except (OSError, LocksUnsupported) as error:
            raise self._cannot("lock", error) from error
        if self._fd is None:
            return False
        self._sign()
        return True

    def drop(self, *, remove: bool = False) -> None:
        """Let the lock go; with ``remove`` the file goes too, since this runner leaves nothing that is to be judged."""
        if self._fd is None:
            return
        if remove:
            self._unlink(self._fd)
        os.close(self._fd)
        self._fd = None

    def look(self) -> Held:
        """Whether some process holds the lock now. No file is made."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "unreadable"
        try:
            # Shared, so that two front ends looking at the same moment do not take each other for a runner.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "held"
        except OSError:
            return "unreadable"
        finally:
            os.close(fd)
        return "free"

    def runner_is_alive(self) -> bool:
        """Whether some process holds the lock now, as far as can be seen."""
        return self.look() == "held"

    def clear(self) -> None:
        """Remove the file that a runner left behind which was killed; nothing if one is alive or it may not be."""
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
            raise self._cannot("open", error) from error
        # Who may read the database may see whether its runner is alive.
        try:
            mode = self._database.stat().st_mode & 0o666
            if mode and os.fstat(fd).st_mode & 0o777 != mode:
                os.fchmod(fd, mode)
        except OSError:
            pass  # another user's file, or no database yet: 0600 does
        return fd

    def _sign(self) -> None:
        assert self._fd is not None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)
        except OSError:
            return  # on a full disk; the process id is only there to be read by people

    def _unlink(self, fd: int) -> None:
        """Remove the file, if it still is the one that is locked."""
        try:
            if is_at(self.path, fd):
                self.path.unlink()
        except OSError:
            return  # it says nothing by being there: it is the lock that counts

    def _cannot(self, what: str, error: OSError | LocksUnsupported) -> EtuiError:
        reason = error.strerror if isinstance(error, OSError) else error
        return EtuiError(
            f"cannot {what} the runner's lock {self.path}: {reason}",
            "the folder of the database must be writable; name another database with --db or ETUI_DB",
        )
