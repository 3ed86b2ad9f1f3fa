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

from etui.errors import EtuiError
from etui.events import utc_now
from etui.installed import Stamp, stamp
from etui.paths import cache_dir, installation, runner_log_path
from etui.runner.cache import ProgramCache
from etui.runner.children import Children
from etui.runner.client import settle
from etui.runner.lifeline import Lifeline
from etui.runner.passes import run_pass
from etui.runner.session import run_session
from etui.store import QueuedPass, QueuedSession, RunnerIdentity, Store
from etui.user import user_name

LINGER_S = 60.0
"""How long the runner stays after its last session, so that the next one finds the zygote warm."""

POLL_S = 0.05
TRIES, TRY_AGAIN_S = 5, 0.02
LOG_CAP_BYTES = 1_000_000


def main(database: Path) -> int:
    """Run until there is nothing left to do. Returns the exit status."""
    packages = stamp()
    lifeline = Lifeline(database, installation())
    log = runner_log_path(database, installation())
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_CAP_BYTES:
            log.unlink()
    stops: list[int] = []
    while _take(lifeline):
        try:
            outdated = asyncio.run(_serve(database, log, packages, stops))
        except asyncio.CancelledError:
            return 0
        except EtuiError as error:
            print(f"{utc_now()} {error}", file=sys.stderr)
            return error.exit_status
        finally:
            lifeline.drop()
        if stops:
            # It came after the last moment at which the work could be cancelled.
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


def _take(lifeline: Lifeline) -> bool:
    """Take the lifeline; a front end that probes at this very moment holds it for an instant."""
    for _ in range(TRIES):
        if lifeline.take():
            return True
        time.sleep(TRY_AGAIN_S)
    return False


def _start_anew(database: Path) -> int:
    """Replace this process by a runner that imports what is installed now, under the same settings."""
    try:
        os.execv(sys.executable, [sys.executable, "-m", "etui.runner", str(database)])
    except OSError as error:
        print(f"{utc_now()} cannot start {sys.executable} again: {error.strerror}", file=sys.stderr)
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
    identity = RunnerIdentity(
        pid=os.getpid(),
        host=socket.gethostname(),
        user=user_name(),
        started_at=utc_now(),
        installation=installation(),
    )
    children = Children(log, packages)
    with Store.open(database) as store:
        # The lifeline is this process's now, so whoever claimed these under this installation is gone.
        claimed = store.claimed_sessions(identity.host, identity.user)
        store.interrupt(session for session, by, _ in claimed if by == identity.installation)
        passes = store.claimed_passes(identity.host, identity.user)
        store.interrupt_passes(one for one, by, _ in passes if by == identity.installation)
        settle(store)
        try:
            return await _work(store, children, identity)
        finally:
            children.stop()


async def _work(store: Store, children: Children, identity: RunnerIdentity) -> bool:
    """Do what is queued, and stay a while after the last. Returns whether packages were installed or removed since
    this process started: what is queued then is for a new process to claim."""
    linger_s = float(os.environ.get("ETUI_LINGER_S") or LINGER_S)
    seen, idle_since = -1, time.monotonic()
    while True:
        if not store.is_in_place():
            return False
        version = store.data_version()
        if version != seen and children.changed_packages():
            return True
        queued = store.claim_next(identity) if version != seen else None
        if queued is not None:
            await _run(store, children, queued)
            idle_since = time.monotonic()
            continue
        seen = version
        if time.monotonic() - idle_since > linger_s:
            return False
        await asyncio.sleep(POLL_S)


async def _run(store: Store, children: Children, queued: QueuedSession | QueuedPass) -> None:
    try:
        cache = ProgramCache(cache_dir())
    except EtuiError as error:
        if isinstance(queued, QueuedPass):
            store.set_pass_status(queued.id, "failed", str(error))
            return
        for run_id, _ in queued.runs:
            store.set_status(run_id, "failed", str(error))
        store.finish_session(queued.id)
        return
    try:
        if isinstance(queued, QueuedPass):
            await run_pass(store, children, cache, queued)
        else:
            await run_session(store, children, cache, queued)
    finally:
        cache.release()
