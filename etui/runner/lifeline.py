"""Whether a runner is alive: the lock it holds as long as it lives, taken, probed and let go."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from etui import private_files
from etui.errors import EtuiError
from etui.paths import runner_lock_path


class Lifeline:
    """The lock of the runner of one database and installation. The kernel drops it with the process."""

    def __init__(self, database: Path, installation: str) -> None:
        self._path = runner_lock_path(database, installation)
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the lock for this process; False where a runner is alive.

        Raises:
            EtuiError: the state folder cannot be written.
        """
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd
        return True

    def drop(self) -> None:
        """Let the lock go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def runner_is_alive(self) -> bool:
        """Whether some process holds the lock now.

        Raises:
            EtuiError: the state folder cannot be written.
        """
        fd = self._open()
        try:
            # Shared, so that two front ends looking at the same moment do not take each other for a runner.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _open(self) -> int:
        try:
            private_files.make_folder(self._path.parent)
            return private_files.open_lock(self._path)
        except OSError as error:
            raise EtuiError(
                f"cannot open the runner's lock {self._path}: {error.strerror}", "point ETUI_STATE to a writable folder"
            ) from error
