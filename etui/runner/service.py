"""The runner process: execute queued sessions, analyses and trainings in order, and exit after an idle while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from etui.catalog.delegates import OWN_PACKAGES, PACKAGES
from etui.errors import EtuiError, StoreUnavailable
from etui.events import utc_now
from etui.host.installed import Stamp, stamp
from etui.host.interrupts import accept_interrupts, interrupts_blocked
from etui.host.user import user_name
from etui.paths import cache_dir, installation, runner_log_path
from etui.runner import requesters, settings
from etui.runner.abandoned_work import end_abandoned
from etui.runner.analyses.run import refuse_analysis, run_analysis
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import LOCK_WAIT_S
from etui.runner.program_cache import ProgramCache
from etui.runner.runner_lock import RunnerLock
from etui.runner.runner_log import say
from etui.runner.session import refuse, run_session
from etui.runner.training import run_training
from etui.store import Claim, QueuedAnalysis, QueuedSession, RunnerIdentity, Store
from etui.task_training import QueuedTraining

POLL_S = 0.05
UNAVAILABLE_POLL_S, UNAVAILABLE_S = 0.5, 15.0
"""Seconds between attempts while the database is unavailable, and the shortest time to keep trying, whatever
``ETUI_LINGER_S`` is."""

LOCK_ATTEMPTS, LOCK_RETRY_S = 5, 0.02
LOG_CAP_BYTES = 1_000_000


def main(database: Path) -> int:
    """Run until no work is left. Return the exit status; errors are written to the runner's log."""
    packages = stamp((*PACKAGES, *OWN_PACKAGES))
    try:
        settings.check()
        return _main(database, packages)
    except EtuiError as error:
        say(str(error))
        return error.exit_status


def _main(database: Path, packages: Stamp) -> int:
    runner_lock = RunnerLock(database, installation())
    log = runner_log_path(database, installation())
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_CAP_BYTES:
            log.unlink()
    stops: list[int] = []
    while _take(runner_lock):
        outdated = False
        try:
            outdated = asyncio.run(_serve(database, log, packages, stops))
        except asyncio.CancelledError:
            assert stops
        except BaseException:
            # The file stays to show front ends that the runner of the remaining claims is dead.
            runner_lock.drop()
            raise
        runner_lock.drop(remove=_has_no_claims(database))
        if stops:
            # Including a signal that came too late to cancel the work.
            return 0
        if outdated:
            return _restart(database)
        # A front end that queued work just before the lock was released saw a live runner.
        if not database.exists():
            return 0
        with Store.open(database) as store:
            if not store.has_waiting_work(socket.gethostname(), installation()):
                return 0
    return 0


def _has_no_claims(database: Path) -> bool:
    """Whether this installation has no claims on this host. A runner that was stopped while the database was
    unavailable can leave some."""
    if not database.exists():
        return True
    try:
        with Store.open(database) as store:
            claims = [*store.claims(), *store.analysis_claims(), *store.training_claims()]
    except EtuiError:
        return False
    here = (socket.gethostname(), installation())
    return not any((claim.host, claim.installation) == here for claim in claims)


def _take(runner_lock: RunnerLock) -> bool:
    """Take the lock; retry because a front end that checks it holds it for an instant."""
    for _ in range(LOCK_ATTEMPTS):
        if runner_lock.take():
            return True
        time.sleep(LOCK_RETRY_S)
    return False


def _restart(database: Path) -> int:
    """Replace this process by a new runner with the same settings, which imports the packages installed now."""
    try:
        with interrupts_blocked():
            os.execv(sys.executable, [sys.executable, "-m", "etui.runner", str(database)])
    except OSError as error:
        say(f"cannot restart {sys.executable}: {error.strerror}")
        return 1


async def _serve(database: Path, log: Path, packages: Stamp, stops: list[int]) -> bool:
    """Execute the queue; return the result of ``_work``. Signals to stop are appended to ``stops``, including those
    that come when nothing is left to cancel."""
    task = asyncio.current_task()
    assert task is not None

    def stop(number: int) -> None:
        stops.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    accept_interrupts()
    identity = RunnerIdentity(
        pid=os.getpid(),
        host=socket.gethostname(),
        user=user_name(),
        started_at=utc_now(),
        installation=installation(),
    )
    workers = WorkerPool(log, packages)
    with Store.open(database) as store:
        # From here on waiting for a lock would block the event loop; failed writes are retried instead.
        store.wait_for_locks(LOCK_WAIT_S)
        try:
            return await _work(store, workers, identity)
        finally:
            workers.stop()


async def _work(store: Store, workers: WorkerPool, identity: RunnerIdentity) -> bool:
    """Execute the queue until it has been empty for a while. Return whether packages were installed or removed since
    this process started: queued work is then left to a new process.

    Raises:
        StoreError: the database is damaged, or was unavailable for too long.
    """
    linger_s = settings.linger_s()
    seen, recovered, idle_since = -1, False, time.monotonic()
    failing_since: float | None = None
    while True:
        if not store.is_in_place():
            return False
        try:
            if not recovered:
                end_abandoned(store, _own_claim(identity))
                requesters.remove_leftovers(store.path, {analysis.id for analysis in store.live_analyses()})
                recovered = True
            version = store.data_version()
            if version != seen and workers.changed_packages():
                return True
            queued = store.claim_next(identity) if version != seen else None
        except StoreUnavailable as error:
            if failing_since is None:
                failing_since = time.monotonic()
                say(str(error))
            if time.monotonic() - failing_since > max(linger_s, UNAVAILABLE_S):
                raise
            await asyncio.sleep(UNAVAILABLE_POLL_S)
            continue
        failing_since = None
        if queued is not None:
            await _run(store, workers, queued)
            idle_since = time.monotonic()
            continue
        seen = version
        if time.monotonic() - idle_since > linger_s:
            return False
        await asyncio.sleep(POLL_S)


def _own_claim(identity: RunnerIdentity) -> Claim:
    """A claim as this runner makes them. This runner holds the lock, so other claims under it are abandoned."""
    return Claim(
        id="",
        by=identity.key,
        pid=identity.pid,
        host=identity.host,
        user=identity.user,
        installation=identity.installation,
    )


async def _run(store: Store, workers: WorkerPool, queued: QueuedSession | QueuedAnalysis | QueuedTraining) -> None:
    if isinstance(queued, QueuedTraining):
        await run_training(store, workers, queued)
        return
    try:
        cache = ProgramCache(cache_dir())
    except EtuiError as error:
        if isinstance(queued, QueuedAnalysis):
            await refuse_analysis(store, queued, error)
        else:
            await refuse(store, queued, error)
        return
    try:
        if isinstance(queued, QueuedAnalysis):
            await run_analysis(store, workers, cache, queued)
        else:
            await run_session(store, workers, cache, queued)
    finally:
        cache.release()
