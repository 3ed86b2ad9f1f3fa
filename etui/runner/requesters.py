"""The commands that wait for an analysis: a lock that shows the runner whether any of them is still alive.

A command that requests an analysis holds a shared lock on a hidden file next to the database until it ends; the kernel
releases it, however the command ends. If the file exists and nobody holds its lock, the analysis was requested by
commands that are all gone. An analysis without the file, such as one that was requested on the screen, needs nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Collection
from pathlib import Path

from etui.files.locks import Held, LocksUnsupported, is_at, locked
from etui.paths import requester_lock_path, requester_lock_paths

PERIOD_S = 1.0
"""How often a runner checks: each check takes CPU time from the cores that are being timed."""

_ATTEMPTS, _RETRY_S = 5, 0.02
GONE = "the command that requested it is gone"


def wait_for(database: Path, analysis_id: str, *, is_new: bool) -> Held | None:
    """Register this process as one that waits for an analysis, until the lock is released or the process ends. An
    analysis that is not new and needs nobody is not changed. Return None if nothing was registered: it needs nobody, or
    the file system has no locks.
    """
    path = requester_lock_path(database, analysis_id)
    if is_new and (created := _created(path)) is not None:
        return created
    for _ in range(_ATTEMPTS):
        try:
            fd = locked(path, lambda: os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), exclusive=False)
        except (OSError, LocksUnsupported):
            return None
        if fd is not None:
            return Held(path, fd)
        # The runner checks it in this moment.
        time.sleep(_RETRY_S)
    return None


def needs_nobody(database: Path, analysis_id: str) -> None:
    """Let an analysis go on even if the commands that requested it end."""
    with contextlib.suppress(OSError):
        requester_lock_path(database, analysis_id).unlink()


def is_deserted(database: Path, analysis_id: str) -> bool:
    """Whether all commands that requested an analysis are gone; False if it needs nobody."""
    path = requester_lock_path(database, analysis_id)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return is_at(path, fd)
    except OSError:
        return False
    finally:
        os.close(fd)


class DesertionWatch:
    """Checks every ``PERIOD_S`` seconds whether an analysis is deserted; once it is, it remains so."""

    def __init__(self, database: Path, analysis_id: str) -> None:
        self._database, self._analysis_id = database, analysis_id
        self._next = 0.0
        self.deserted = False

    def check(self) -> bool:
        """Return ``deserted``, after checking if it is time for that."""
        now = time.monotonic()
        if not self.deserted and now >= self._next:
            self._next = now + PERIOD_S
            self.deserted = is_deserted(self._database, self._analysis_id)
        return self.deserted


def remove_leftovers(database: Path, live: Collection[str]) -> None:
    """Remove the files of analyses that are not ``live``, which a killed runner left."""
    for analysis_id, path in requester_lock_paths(database):
        if analysis_id not in live:
            with contextlib.suppress(OSError):
                path.unlink()


def _created(path: Path) -> Held | None:
    """Create the file under a lock of this process; None if it exists already or cannot be created."""
    # Under another name at first: a file without a holder would show a requester that is gone.
    part = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
    try:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.link(part, path)
    except OSError:
        os.close(fd)
        return None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return Held(path, fd)
