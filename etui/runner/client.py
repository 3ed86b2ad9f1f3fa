"""What a front end needs of the runner: queue a session, see that a runner is alive, and notice when one has died."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from etui import private_files
from etui.errors import EtuiError
from etui.paths import installation, runner_log_path
from etui.results import ModelInfo
from etui.runner.lifeline import Lifeline
from etui.spec import PassOptions, SessionSpec
from etui.store import QueuedPass, QueuedSession, Store
from etui.user import name_of, user_name


def submit(store: Store, spec: SessionSpec, model: ModelInfo) -> QueuedSession:
    """Queue a session and see that a runner is there to take it.

    Raises:
        EtuiError: the database or the runner's state folder cannot be written.
    """
    check_owner(store.path)
    queued = store.add_session(spec, model=model, box=socket.gethostname(), installation=installation())
    ensure_runner(store.path)
    return queued


def submit_pass(store: Store, run_id: str, options: PassOptions) -> QueuedPass:
    """Queue a pass on a finished run (a profile, say) and see that a runner is there to take it.

    Raises:
        UsageError: the run is live, its program cannot be had any more, or it was imported and names a file that
            ``options`` do not allow; the reason and what to do.
        EtuiError: the database or the runner's state folder cannot be written.
    """
    check_owner(store.path)
    # The terminal UI needs this module for its first paint, and that one never before a key.
    from etui.runner.again import Trust, check_again

    trust = Trust(imported=store.is_imported(run_id), files=options.trusted_files)
    check_again(store.document(run_id, operators=False), trust)
    # The same pass under a runner that is dead would be taken for one under way.
    settle(store)
    queued = store.add_pass(run_id, options, box=socket.gethostname(), installation=installation())
    ensure_runner(store.path)
    return queued


def check_owner(database: Path) -> None:
    """Raise EtuiError if the database is another user's: a runner does whatever its queue holds, with the rights of
    who starts it."""
    try:
        owner = database.stat().st_uid
    except OSError:
        return
    if owner != os.geteuid():
        raise EtuiError(
            f"the database {database} belongs to {name_of(owner)}, whose queue is not worked on as {user_name()}",
            "name another database with --db or ETUI_DB, or work as that user",
        )


def ensure_runner(database: Path) -> subprocess.Popen[bytes] | None:
    """Start this installation's runner of the database if none is alive, and return it; it outlives this process and
    its terminal.

    Raises:
        EtuiError: it cannot be started, or the database is another user's.
    """
    check_owner(database)
    if Lifeline(database, installation()).runner_is_alive():
        return None
    # Not needed before a key, and this module is needed for the terminal UI's first paint.
    from etui.process_settings import child_environment

    log = log_of(database)
    try:
        with private_files.open_to_append(log) as out:
            # Nobody waits for it: it is meant to outlive its parent, and the init process reaps it.
            return subprocess.Popen(
                [sys.executable, "-m", "etui.runner", str(database)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd="/",
                env=child_environment(),
            )
    except OSError as error:
        raise EtuiError(f"cannot start the runner: {error.strerror}", f"see {log}") from error


def log_of(database: Path) -> Path:
    """Where this installation's runner of the database says what went wrong with itself."""
    return runner_log_path(database, installation())


def settle(store: Store) -> list[str]:
    """Mark the runs and passes of runners that have died as interrupted, and return the runs. What waits gets a runner.

    Raises:
        EtuiError: the database cannot be written, or no runner can be started.
    """
    gone = [
        session_id
        for session_id, by, pid in store.claimed_sessions(socket.gethostname(), user_name())
        if not Lifeline(store.path, by).runner_is_alive() and not _is_runner(pid)
    ]
    interrupted = store.interrupt(gone) if gone else []
    for run_id in interrupted:
        document = store.document(run_id)
        if document.blocks:
            from etui.runner.document import with_figures  # which brings NumPy, and runs are seldom left behind

            store.save_document(with_figures(document))
    dropped = [
        pass_id
        for pass_id, by, pid in store.claimed_passes(socket.gethostname(), user_name())
        if not Lifeline(store.path, by).runner_is_alive() and not _is_runner(pid)
    ]
    if dropped:
        store.interrupt_passes(dropped)
    if (interrupted or dropped) and store.has_waiting_work(socket.gethostname(), installation()):
        ensure_runner(store.path)
    return interrupted


def _is_runner(pid: int) -> bool:
    """Whether that process is a runner: one that was started with another state folder holds another lock."""
    try:
        return b"etui.runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
