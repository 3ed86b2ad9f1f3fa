"""The runner process: take queued sessions and passes in order, stay a while after the last, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from etui.catalog.delegates import PACKAGES
from etui.errors import EtuiError, StoreUnavailable
from etui.events import utc_now
from etui.host.installed import Stamp, stamp
from etui.host.interrupts import accept_interrupts, interrupts_blocked
from etui.host.user import user_name
from etui.paths import cache_dir, installation, runner_log_path
from etui.runner import settings
from etui.runner.abandoned_work import settle_left
from etui.runner.analyses.run import refuse_analysis, run_analysis
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import LOCK_WAIT_S
from etui.runner.program_cache import ProgramCache
from etui.runner.runner_lock import RunnerLock
from etui.runner.runner_log import say
from etui.runner.session import refuse, run_session
from etui.store import Claim, QueuedAnalysis, QueuedSession, RunnerIdentity, Store

POLL_S = 0.05
UNAVAILABLE_POLL_S, UNAVAILABLE_S = 0.5, 15.0
"""How often a database is asked again that cannot be used, and how long at least, whatever ``ETUI_LINGER_S`` says."""

TRIES, TRY_AGAIN_S = 5, 0.02
LOG_CAP_BYTES = 1_000_000


def main(database: Path) -> int:
    """Run until there is nothing left to do. Returns the exit status; what ended it otherwise is said in the log."""
    packages = stamp(PACKAGES)
    try:
        settings.check()
        return _main(database, packages)
    except EtuiError as error:
        say(str(error))
        return error.exit_status


def _main(database: Path, packages: Stamp) -> int:
    lifeline = RunnerLock(database, installation())
    log = runner_log_path(database, installation())
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_CAP_BYTES:
            log.unlink()
    stops: list[int] = []
    while _take(lifeline):
        outdated = False
        try:
            outdated = asyncio.run(_serve(database, log, packages, stops))
        except asyncio.CancelledError:
            assert stops
        except BaseException:
            # The file stays, so that everybody can see that who claimed what is left behind is gone.
            lifeline.drop()
            raise
        lifeline.drop(remove=_leaves_nothing(database))
        if stops:
            # Also one that came after the last moment at which the work could be cancelled.
            return 0
        if outdated:
            return _start_anew(database)
        # A session queued between the last look and dropping the lock saw a runner that was about to leave.
        if not database.exists():
            return 0
        with Store.open(database) as store:
            if not store.has_waiting_work(socket.gethostname(), installation()):
                return 0
    return 0


def _leaves_nothing(database: Path) -> bool:
    """Whether this installation has nothing claimed here, so that nobody will ask whether its runner is alive. One that
    was stopped while the database could not be written may have."""
    if not database.exists():
        return True
    try:
        with Store.open(database) as store:
            claims = [*store.claims(), *store.analysis_claims()]
    except EtuiError:
        return False
    here = (socket.gethostname(), installation())
    return not any((claim.host, claim.installation) == here for claim in claims)


def _take(lifeline: RunnerLock) -> bool:
    """Take the lifeline; a front end that probes at this very moment holds it for an instant."""
    for _ in range(TRIES):
        if lifeline.take():
            return True
        time.sleep(TRY_AGAIN_S)
    return False


def _start_anew(database: Path) -> int:
    """Replace this process by a runner that imports what is installed now, under the same settings."""
    try:
        with interrupts_blocked():
            os.execv(sys.executable, [sys.executable, "-m", "etui.runner", str(database)])
    except OSError as error:
        say(f"cannot start {sys.executable} again: {error.strerror}")
        return 1


async def _serve(database: Path, log: Path, packages: Stamp, stops: list[int]) -> bool:
    """Do what is queued. Returns what ``_work`` does. Signals to stop are added to ``stops``, also those that come when
    there is nothing left to cancel."""
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
    children = WorkerPool(log, packages)
    with Store.open(database) as store:
        # From here on a wait would hold up everything else; what cannot be had at once is tried again.
        store.wait_for_locks(LOCK_WAIT_S)
        try:
            return await _work(store, children, identity)
        finally:
            children.stop()


async def _work(store: Store, children: WorkerPool, identity: RunnerIdentity) -> bool:
    """Do what is queued, and stay a while after the last. Returns whether packages were installed or removed since
    this process started: what is queued then is for a new process to claim.

    Raises:
        StoreError: the database is damaged, or could not be used in all the time that this runner stayed.
    """
    linger_s = settings.linger_s()
    seen, settled, idle_since = -1, False, time.monotonic()
    failing_since: float | None = None
    while True:
        if not store.is_in_place():
            return False
        try:
            if not settled:
                settle_left(store, _own_claim(identity))
                settled = True
            version = store.data_version()
            if version != seen and children.changed_packages():
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
            await _run(store, children, queued)
            idle_since = time.monotonic()
            continue
        seen = version
        if time.monotonic() - idle_since > linger_s:
            return False
        await asyncio.sleep(POLL_S)


def _own_claim(identity: RunnerIdentity) -> Claim:
    """A claim as this runner makes them: it holds the lock now, so whoever made others under it is gone."""
    return Claim(
        id="",
        by=identity.key,
        pid=identity.pid,
        host=identity.host,
        user=identity.user,
        installation=identity.installation,
    )


async def _run(store: Store, children: WorkerPool, queued: QueuedSession | QueuedAnalysis) -> None:
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
            await run_analysis(store, children, cache, queued)
        else:
            await run_session(store, children, cache, queued)
    finally:
        cache.release()
