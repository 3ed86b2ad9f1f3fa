"""Start a runner if none is alive, detect a dead one, and end its abandoned work."""

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
from etui.runner.abandoned_work import end_abandoned, take_over
from etui.runner.runner_lock import RunnerLock
from etui.store import Store

START_S, POLL_S = 20.0, 0.02
"""How long to wait for a started runner to take its lock before assuming that it works, and how often to check."""

_LOG_END_BYTES = 8_192


class RunnerFailed(EtuiError):
    """No runner could be started, or it ended at once. The message has the cause from the runner's log."""


def check_owner(database: Path) -> None:
    """Raise RunnerFailed if the database belongs to another user: a runner executes its queue with the permissions of
    the user who starts it."""
    if not _is_own(database):
        owner = name_of(database.stat().st_uid)
        raise RunnerFailed(
            f"the database {database} belongs to {owner}; its queue is not executed as {user_name()}",
            "choose another database with --db or ETUI_DB, or run etui as that user",
        )


def _is_own(database: Path) -> bool:
    try:
        return database.stat().st_uid == os.geteuid()
    except OSError:
        return True


def ensure_runner(database: Path) -> subprocess.Popen[bytes] | None:
    """Start this installation's runner of the database if none is alive, and return its process, which outlives this
    process and its terminal.

    Raises:
        RunnerFailed: the runner cannot be started.
    """
    check_owner(database)
    if RunnerLock(database, installation()).runner_is_alive():
        return None
    # Imported late: this module is needed for the screen's first paint, and that one is not.
    from etui.host.process_settings import worker_environment

    log = log_of(database)
    try:
        with private_files.open_to_append(log) as out, interrupts_blocked():
            # Not waited for: it outlives its parent, and the init process reaps it.
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
            f"cannot start the runner: {error.strerror}: {error.filename or log}", "set ETUI_STATE to another folder"
        ) from error


def check_started(database: Path, runner: subprocess.Popen[bytes]) -> None:
    """Wait until a started runner holds its lock.

    Raises:
        RunnerFailed: it ended instead; with the cause from its log.
    """
    runner_lock, end = RunnerLock(database, installation()), time.monotonic() + START_S
    while time.monotonic() < end and not runner_lock.runner_is_alive():
        if status := runner.poll():
            raise failed(database, status)
        if status == 0:
            return  # another runner was first, or has finished the work
        time.sleep(POLL_S)


def failed(database: Path, status: int) -> RunnerFailed:
    """Return the error for a runner that ended with this exit status right after its start."""
    log = log_of(database)
    cause = _last_line(log) or (f"signal {-status}" if status < 0 else f"exit status {status}")
    return RunnerFailed(f"the runner exits right after starting: {cause}", f"see {log}")


def log_of(database: Path) -> Path:
    """The log file of this installation's runner of the database."""
    return runner_log_path(database, installation())


def recover(store: Store) -> list[str]:
    """End the abandoned runs and analyses of dead runners, and start a runner if work is queued; return the ended runs.
    Does nothing with a read-only database.

    Raises:
        StoreError: the database cannot be read or written.
        RunnerFailed: work is queued and no runner can be started.
    """
    if store.read_only:
        return []
    ended = end_abandoned(store)
    # Nothing is measured in an archive on a read-only disk, or from another user's queue.
    writable = _is_own(store.path) and all(os.access(path, os.W_OK) for path in (store.path, store.path.parent))
    if writable and work_waits(store):
        ensure_runner(store.path)
    return ended


def work_waits(store: Store) -> bool:
    """Whether work waits for this installation's runner on this host; work that waits for a former name of this host is
    taken over, unless the database is another user's.

    Raises:
        StoreError: the database cannot be read or written.
    """
    if _is_own(store.path):
        take_over(store, installation())
    return store.has_waiting_work(socket.gethostname(), installation())


def start_and_check(database: Path) -> None:
    """Start this installation's runner of the database if none is alive, and wait until it holds its lock.

    Raises:
        RunnerFailed: no runner can be started.
    """
    runner = ensure_runner(database)
    if runner is not None:
        check_started(database, runner)


def _last_line(log: Path) -> str:
    """The last line of a runner's log without its timestamp; for a traceback that is the error."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LOG_END_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    timestamp, _, message = last.partition(" ")
    return message if timestamp.endswith("Z") and timestamp[:4].isdigit() else last
