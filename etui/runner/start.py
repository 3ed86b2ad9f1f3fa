"""Start a runner that is missing, notice when one has died, and end what it left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from etui.errors import EtuiError
from etui.files import private as private_files
from etui.host.interrupts import interrupts_blocked
from etui.host.user import name_of, user_name
from etui.paths import installation, runner_log_path
from etui.runner.abandoned_work import settle_left, take_over
from etui.runner.runner_lock import RunnerLock
from etui.store import Store

START_S, POLL_S = 20.0, 0.02
"""How long a runner that was started may take to begin its work, before it is believed to do so."""

_LOG_END_BYTES = 8_192


class RunnerFailed(EtuiError):
    """No runner could be started, or it ended at once. ``str()`` says why, as the runner's log has it."""


def check_owner(database: Path) -> None:
    """Raise RunnerFailed if the database is another user's: a runner does whatever its queue holds, with the rights of
    who starts it."""
    if not _is_own(database):
        owner = name_of(database.stat().st_uid)
        raise RunnerFailed(
            f"the database {database} belongs to {owner}, whose queue is not worked on as {user_name()}",
            "name another database with --db or ETUI_DB, or work as that user",
        )


def _is_own(database: Path) -> bool:
    try:
        return database.stat().st_uid == os.geteuid()
    except OSError:
        return True


def ensure_runner(database: Path) -> subprocess.Popen[bytes] | None:
    """Start this installation's runner of the database if none is alive, and return it; it outlives this process and
    its terminal.

    Raises:
        RunnerFailed: it cannot be started.
    """
    check_owner(database)
    if RunnerLock(database, installation()).runner_is_alive():
        return None
    # Not needed before a key, and this module is needed for the terminal UI's first paint.
    from etui.host.process_settings import worker_environment

    log = log_of(database)
    try:
        with private_files.open_to_append(log) as out, interrupts_blocked():
            # Nobody waits for it: it is meant to outlive its parent, and the init process reaps it.
            return subprocess.Popen(
                [sys.executable, "-m", "etui.runner", str(database)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd="/",
                env=worker_environment(),
            )
    except OSError as error:
        raise RunnerFailed(
            f"cannot start the runner: {error.strerror}: {error.filename or log}", "point ETUI_STATE to another folder"
        ) from error


def check_started(database: Path, runner: subprocess.Popen[bytes]) -> None:
    """Wait until a runner that was started holds its lock, and so is at work.

    Raises:
        RunnerFailed: it ended instead; why, from its log.
    """
    lifeline, end = RunnerLock(database, installation()), time.monotonic() + START_S
    while time.monotonic() < end and not lifeline.runner_is_alive():
        if status := runner.poll():
            raise failed(database, status)
        if status == 0:
            return  # another one was there first, or has done it all
        time.sleep(POLL_S)


def failed(database: Path, status: int) -> RunnerFailed:
    """The error that says why a runner ended with this exit status as soon as it was started."""
    log = log_of(database)
    why = _last_line(log) or (f"signal {-status}" if status < 0 else f"exit status {status}")
    return RunnerFailed(f"the runner ends as soon as it is started: {why}", f"see {log}")


def log_of(database: Path) -> Path:
    """Where this installation's runner of the database says what went wrong with itself."""
    return runner_log_path(database, installation())


def settle(store: Store) -> list[str]:
    """End the runs and passes that runners which are gone left behind, and return the runs. What waits gets a runner.
    Nothing is done with a read-only database.

    Raises:
        StoreError: the database cannot be read or written.
        RunnerFailed: something waits, and no runner can be started.
    """
    if store.read_only:
        return []
    ended = settle_left(store)
    # In an archive on a read-only disk nothing will ever be measured, and another user's queue is not ours.
    writable = _is_own(store.path) and all(os.access(path, os.W_OK) for path in (store.path, store.path.parent))
    if writable and work_waits(store):
        ensure_runner(store.path)
    return ended


def work_waits(store: Store) -> bool:
    """Whether something waits for this installation's runner on this host; what waits for a host whose name is not used
    any more is taken over, unless the database is another user's.

    Raises:
        StoreError: the database cannot be read or written.
    """
    if _is_own(store.path):
        take_over(store, installation())
    return store.has_waiting_work(socket.gethostname(), installation())


def start_and_check(database: Path) -> None:
    """Start this installation's runner of the database if none is alive, and wait until it is at work.

    Raises:
        RunnerFailed: no runner can be started.
    """
    runner = ensure_runner(database)
    if runner is not None:
        check_started(database, runner)


def _last_line(log: Path) -> str:
    """The last line of a runner's log, without its time; of a traceback that is the error itself."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LOG_END_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    time_of, _, words = last.partition(" ")
    return words if time_of.endswith("Z") and time_of[:4].isdigit() else last
