"""What a front end needs of the runner: queue a session, see that a runner is alive, and notice when one has died."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from etui.errors import EtuiError
from etui.paths import installation, runner_log_path
from etui.results import ModelInfo
from etui.runner.lifeline import Lifeline
from etui.spec import SessionSpec
from etui.store import QueuedSession, Store
from etui.user import user_name


def submit(store: Store, spec: SessionSpec, model: ModelInfo) -> QueuedSession:
    """Queue a session and see that a runner is there to take it.

    Raises:
        EtuiError: the database or the runner's state folder cannot be written.
    """
    queued = store.add_session(spec, model=model, box=socket.gethostname(), installation=installation())
    ensure_runner(store.path)
    return queued


def ensure_runner(database: Path) -> subprocess.Popen[bytes] | None:
    """Start this installation's runner of the database if none is alive, and return it; it outlives this process and
    its terminal.

    Raises:
        EtuiError: it cannot be started.
    """
    if Lifeline(database, installation()).runner_is_alive():
        return None
    log = log_of(database)
    try:
        with log.open("ab") as out:
            # Nobody waits for it: it is meant to outlive its parent, and the init process reaps it.
            return subprocess.Popen(
                [sys.executable, "-m", "etui.runner", str(database)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise EtuiError(f"cannot start the runner: {error.strerror}", f"see {log}") from error


def log_of(database: Path) -> Path:
    """Where this installation's runner of the database says what went wrong with itself."""
    return runner_log_path(database, installation())


def settle(store: Store) -> list[str]:
    """Mark the runs of runners that have died as interrupted, and return them. What they left waiting gets a runner.

    Raises:
        EtuiError: the database cannot be written, or no runner can be started.
    """
    gone = [
        session_id
        for session_id, by, pid in store.claimed_sessions(socket.gethostname(), user_name())
        if not Lifeline(store.path, by).runner_is_alive() and not _is_runner(pid)
    ]
    interrupted = store.interrupt(gone) if gone else []
    if interrupted and store.has_waiting_sessions(socket.gethostname(), installation()):
        ensure_runner(store.path)
    return interrupted


def _is_runner(pid: int) -> bool:
    """Whether that process is a runner: one that was started with another state folder holds another lock."""
    try:
        return b"etui.runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
