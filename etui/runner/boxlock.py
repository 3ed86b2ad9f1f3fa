"""The box's lock: one a machine, whatever database or user, so that two measurements never overlap."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from etui.errors import EtuiError
from etui.events import utc_now
from etui.paths import box_lock_path
from etui.user import user_name

POLL_S = 0.2


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the box: what ``waiting for the box`` names."""

    pid: int
    user: str
    doing: str
    since: str

    def words(self) -> str:
        """Who it is, in a few words."""
        return f"{self.doing} (pid {self.pid}, user {self.user}, since {self.since[11:19]} UTC)"


class BoxLock:
    """An advisory lock on one well-known file. The kernel drops it with its process, however that ends."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or box_lock_path()
        self._fd: int | None = None

    def acquire(self, doing: str) -> bool:
        """Take the lock if it is free; False where another process has it.

        Raises:
            EtuiError: the lock file cannot be opened.
        """
        fd = _open_shared(self._path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        holder = Holder(pid=os.getpid(), user=user_name(), doing=doing, since=utc_now())
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(holder), 0)
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the box back."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def holder(self) -> Holder | None:
        """Who has the box now, as far as the file tells."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return None


@asynccontextmanager
async def hold(doing: str, waiting: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the box while in here; ``waiting`` is told in words whom we wait for, each time that is somebody else.

    Raises:
        EtuiError: the lock file cannot be opened.
    """
    lock = BoxLock()
    said = ""
    while not lock.acquire(doing):
        holder = lock.holder()
        words = holder.words() if holder else "another process"
        if words != said:
            waiting(f"waiting for the box: {words}")
            said = words
        await asyncio.sleep(POLL_S)
    try:
        yield
    finally:
        lock.release()


def _open_shared(path: Path) -> int:
    """Open the lock file for every user. Linux refuses ``O_CREAT`` on another user's file in a sticky folder
    (fs.protected_regular), so an existing file is opened plainly first."""
    try:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            with contextlib.suppress(PermissionError):
                os.fchmod(fd, 0o666)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EtuiError(f"cannot open the box's lock {path}: {reason}", "make it writable or remove it") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise EtuiError(f"the box's lock {path} is no plain file", "remove it")
    return fd
