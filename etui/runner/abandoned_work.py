"""What runners that are gone have left behind: found, ended with the figures of what was measured, and finished.

The runner at its start and every front end that reads the database do this alike, so that a run looks the same whoever
notices first.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from etui.errors import StoreError, StoreUnavailable
from etui.events import utc_now
from etui.host.filesystems import is_network
from etui.host.user import user_name
from etui.results import RunDocument
from etui.runner import unsaved_results as leftover
from etui.runner.runner_lock import RunnerLock
from etui.store import Claim, Store
from etui.store.store import RUNNER_GONE

Owner = Literal["alive", "gone", "unknown"]
"""What can be said of the runner that has claimed something. Of one on another host that shares the database over a
network nothing can be said, nor of one whose lock may not be opened."""

_CLOCK_SLACK_S = 2.0


def settle_left(store: Store, own: Claim | None = None) -> list[str]:
    """End what runners that are gone have left, and store the results they had to put aside; returns the runs that were
    ended. ``own`` is a claim as the calling runner makes them: what others claimed under its lock is left behind.

    Raises:
        StoreError: the database cannot be read or written.
    """
    claims, analysis_claims = store.claims(), store.analysis_claims()
    gone = [claim for claim in claims if judge(store.path, claim, own) == "gone"]
    dropped = [claim for claim in analysis_claims if judge(store.path, claim, own) == "gone"]
    busy = {claim.id for claim in (*claims, *analysis_claims) if claim not in (*gone, *dropped)}
    leftover.take_in(store, busy=busy)
    ended = [run_id for session in store.finished_with_live_runs() for run_id in end_session(store, session)]
    for claim in gone:
        ended += end_session(store, claim.id)
        RunnerLock(store.path, claim.installation, claim.host).clear()
    if dropped:
        store.interrupt_analyses([claim.id for claim in dropped])
        for claim in dropped:
            RunnerLock(store.path, claim.installation, claim.host).clear()
    return ended


def take_over(store: Store, installation: str) -> None:
    """Have this host's runner take what waits for the same installation's runner on a host of another name, if none is
    alive there: a container that is started again has another name.

    A database on a local file system is only used on this machine. Over a network it is another host that may start its
    runner later: nothing is taken over there.

    Raises:
        StoreError: the database cannot be read or written.
    """
    here = socket.gethostname()
    hosts = store.waiting_hosts(installation) - {here}
    if not hosts or is_network(store.path):
        return
    for host in hosts:
        lifeline = RunnerLock(store.path, installation, host)
        if lifeline.look() in ("free", "missing"):
            store.take_over(host, here, installation)
            lifeline.clear()


def end_session(store: Store, session_id: str, error: str = RUNNER_GONE) -> list[str]:
    """End the live runs of a session on which nobody works any more as interrupted, with the figures of the blocks
    they have, and finish the session; returns those runs.

    Raises:
        StoreError: the database cannot be read or written.
    """
    return store.end_left(session_id, list(_as_left(store, session_id, error)), error)


def _as_left(store: Store, session_id: str, error: str) -> Iterable[RunDocument]:
    for run_id in store.live_run_ids(session_id):
        try:
            document = store.document(run_id)
        except StoreUnavailable:
            raise
        except StoreError:
            continue  # damaged: it is ended without figures
        if document.blocks:
            # It brings NumPy, and runs are seldom left behind.
            from etui.runner.build_document import with_figures

            now = utc_now()
            yield with_figures(msgspec.structs.replace(document, status="interrupted", error=error, finished_at=now))


def judge(database: Path, claim: Claim, own: Claim | None = None) -> Owner:
    """Whether the runner that made a claim is alive. Its lock says so whatever host name it had, as long as the
    database is on a file system of this machine: a container that is started again has another name."""
    if own is not None and claim.by == own.by:
        return "alive"
    here = claim.host == socket.gethostname()
    if not here and is_network(database):
        return "unknown"
    held = RunnerLock(database, claim.installation, claim.host).look()
    if held == "held" and own is not None and (claim.installation, claim.host) == (own.installation, own.host):
        held = "free"  # it is this process that holds it
    if held == "held":
        return "alive"
    if here and _is_that_runner(claim):
        # Of an earlier version, which held another lock; or its lock was removed by hand.
        return "alive"
    if held == "free":
        return "gone"
    # Without a lock beside the database the process id is all there is, and it says nothing of another host.
    return "gone" if held == "missing" and here and claim.user == user_name() else "unknown"


def _is_that_runner(claim: Claim) -> bool:
    """Whether the process with the claim's id is a runner that is old enough to have made it: ids are used again."""
    if claim.pid <= 0 or claim.pid == os.getpid():
        return False
    try:
        if b"etui.runner" not in Path(f"/proc/{claim.pid}/cmdline").read_bytes():
            return False
        started = _process_start(claim.pid)
        said = datetime.fromisoformat(claim.started_at).timestamp()
    except (OSError, ValueError):
        return False
    return started is None or started <= said + _CLOCK_SLACK_S


def _process_start(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; None if the system does not tell."""
    try:
        # The name, in parentheses, may hold anything; the start is the 20th field behind it, in ticks since the boot.
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
