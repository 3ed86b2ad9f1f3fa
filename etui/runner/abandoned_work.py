"""Find the work of runners that no longer exist, and end it with the figures of the blocks that were measured.

The runner at its start and every front end that reads the database use this module, so that the result does not depend
on which process notices first.
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
from etui.runner import unsaved_results
from etui.runner.runner_lock import RunnerLock
from etui.store import Claim, Store
from etui.store.store import RUNNER_GONE

Owner = Literal["alive", "gone", "unknown"]
"""The state of the runner that made a claim. It is unknown for a runner on another host that shares the database over a
network, and for one whose lock cannot be opened."""

_CLOCK_SLACK_S = 2.0


def end_abandoned(store: Store, own: Claim | None = None) -> list[str]:
    """End the sessions, analyses and trainings of dead runners, and store the results that they kept in files.

    Returns the ids of the runs that were ended. ``own`` is a claim as the calling runner makes them: another claim
    under the same lock belongs to a dead runner.

    Raises:
        StoreError: the database cannot be read or written.
    """
    claims, analysis_claims = store.claims(), store.analysis_claims()
    gone = [claim for claim in claims if owner_state(store.path, claim, own) == "gone"]
    gone_analyses = [claim for claim in analysis_claims if owner_state(store.path, claim, own) == "gone"]
    busy = {claim.id for claim in (*claims, *analysis_claims) if claim not in (*gone, *gone_analyses)}
    unsaved_results.store_unsaved(store, busy=busy)
    ended = [run_id for session in store.finished_with_live_runs() for run_id in end_session(store, session)]
    for claim in gone:
        ended += end_session(store, claim.id)
        RunnerLock(store.path, claim.installation, claim.host).clear()
    if gone_analyses:
        store.interrupt_analyses([claim.id for claim in gone_analyses])
        for claim in gone_analyses:
            RunnerLock(store.path, claim.installation, claim.host).clear()
    gone_trainings = [claim for claim in store.training_claims() if owner_state(store.path, claim, own) == "gone"]
    if gone_trainings:
        store.interrupt_trainings([claim.id for claim in gone_trainings])
        for claim in gone_trainings:
            RunnerLock(store.path, claim.installation, claim.host).clear()
    return ended


def take_over(store: Store, installation: str) -> None:
    """Assign work that waits for this installation on a host of another name to this host, if no runner is alive there.

    A container has another host name after a restart. Nothing is taken over in a database on a network file system:
    another host may still start its runner.

    Raises:
        StoreError: the database cannot be read or written.
    """
    here = socket.gethostname()
    hosts = store.waiting_hosts(installation) - {here}
    if not hosts or is_network(store.path):
        return
    for host in hosts:
        runner_lock = RunnerLock(store.path, installation, host)
        if runner_lock.state() in ("free", "missing"):
            store.take_over(host, here, installation)
            runner_lock.clear()


def end_session(store: Store, session_id: str, error: str = RUNNER_GONE) -> list[str]:
    """End the live runs of an abandoned session as interrupted, with the figures of their blocks; return their ids.

    Raises:
        StoreError: the database cannot be read or written.
    """
    return store.end_left(session_id, list(_interrupted_documents(store, session_id, error)), error)


def _interrupted_documents(store: Store, session_id: str, error: str) -> Iterable[RunDocument]:
    for run_id in store.live_run_ids(session_id):
        try:
            document = store.document(run_id)
        except StoreUnavailable:
            raise
        except StoreError:
            continue  # damaged: the run is ended without figures
        if document.blocks:
            # Imports NumPy, which is rarely needed here.
            from etui.runner.build_document import with_figures

            now = utc_now()
            yield with_figures(msgspec.structs.replace(document, status="interrupted", error=error, finished_at=now))


def owner_state(database: Path, claim: Claim, own: Claim | None = None) -> Owner:
    """Return whether the runner that made a claim is alive.

    Its lock shows that whatever its host name, if the database is on a file system of this machine: a container has
    another host name after a restart.
    """
    if own is not None and claim.by == own.by:
        return "alive"
    here = claim.host == socket.gethostname()
    if not here and is_network(database):
        return "unknown"
    state = RunnerLock(database, claim.installation, claim.host).state()
    if state == "held" and own is not None and (claim.installation, claim.host) == (own.installation, own.host):
        state = "free"  # held by this process
    if state == "held":
        return "alive"
    if here and _is_that_runner(claim):
        # Earlier versions held another lock; or the lock file was removed by hand.
        return "alive"
    if state == "free":
        return "gone"
    # Without a lock file only the process id is left, which is meaningless for another host.
    return "gone" if state == "missing" and here and claim.user == user_name() else "unknown"


def _is_that_runner(claim: Claim) -> bool:
    """Whether the process with the claim's id is a runner old enough to have made it: process ids are reused."""
    if claim.pid <= 0 or claim.pid == os.getpid():
        return False
    try:
        if b"etui.runner" not in Path(f"/proc/{claim.pid}/cmdline").read_bytes():
            return False
        started = _process_start(claim.pid)
        claimed_at = datetime.fromisoformat(claim.started_at).timestamp()
    except (OSError, ValueError):
        return False
    return started is None or started <= claimed_at + _CLOCK_SLACK_S


def _process_start(pid: int) -> float | None:
    """The start time of a process in seconds since 1970; None if it is not readable."""
    try:
        # The name, in parentheses, may contain anything; the start is the 20th field after it, in ticks since boot.
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
