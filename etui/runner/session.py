"""One session from claimed to ended: hold the box, do the work in order, hear cancels, keep the time limit."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from etui.catalog.delegates import PACKAGES
from etui.catalog.find import find_model
from etui.errors import EtuiError, StoreError, StoreUnavailable
from etui.events import Event, utc_now
from etui.host.environment import read_environment
from etui.runner.fork_servers import WorkerPool
from etui.runner.machine_lock import WaitedTooLong, hold
from etui.runner.measure import measure, run_accuracy_and_memory
from etui.runner.outbox import Outbox
from etui.runner.prepare import export_programs, make_bundle, prepare, start_fork_servers
from etui.runner.prepare_duel import prepare_duel
from etui.runner.program_cache import ProgramCache
from etui.runner.session_context import Session
from etui.runner.settings import patience_s
from etui.runner.wait_for_idle import wait_until_calm
from etui.store import QueuedSession, Store
from etui.text import seconds

CANCEL_POLL_S = 0.2

STOP_PATIENCE_S = 5.0
"""How long a runner that is being stopped waits for the database: who stops it may kill it soon."""


async def run_session(store: Store, children: WorkerPool, cache: ProgramCache, queued: QueuedSession) -> None:
    """Do a session to whatever end; afterwards none of its runs is live.

    Raises:
        StoreError: the database is gone, or did not take the results for longer than ``settings.patience_s``.
        asyncio.CancelledError: the runner is being stopped; the runs are interrupted.
    """
    try:
        session = Session(store, children, cache, queued, find_model(queued.spec.model))
    except EtuiError as error:
        await refuse(store, queued, error)
        return
    main = asyncio.current_task()
    assert main is not None
    watcher = asyncio.create_task(_watch_cancels(session, main))
    patience = patience_s()
    try:
        async with hold(f"measuring {session.model.name}", lambda words: session.say("stage", words, stage="wait")):
            try:
                async with asyncio.timeout(session.spec.timeout_s) as limit:
                    await _do(session, limit)
            except TimeoutError:
                session.end_all("timed out", f"stopped after {session.spec.timeout_s:g} s, the session's time limit")
    except WaitedTooLong as error:
        session.end_all("timed out", str(error))
    except EtuiError as error:
        for run in session.live():
            session.fail(run, error)
    except asyncio.CancelledError:
        # Who stops the runner cancels this task too; only what the watcher did is taken back.
        if not watcher.done() or main.uncancel() > 0:
            session.end_all("interrupted", "the runner was stopped")
            patience = min(patience, STOP_PATIENCE_S)
            raise
        watcher.result()
        session.end_all("cancelled", None)
    finally:
        watcher.cancel()
        session.end_all("failed", "the runner came upon an error of its own; its log has it")
        # The machine is free for others by now, however long the database has to be waited for.
        await session.close(patience)


async def refuse(store: Store, queued: QueuedSession, error: EtuiError) -> None:
    """Fail all runs of a session that cannot be begun. Raises as ``run_session`` does."""
    outbox = Outbox(store, queued.id)
    for run_id, _ in queued.runs:
        outbox.set_status(run_id, "failed", str(error))
    outbox.finish_session()
    await outbox.delivered(patience_s())


async def _do(session: Session, limit: asyncio.Timeout) -> None:
    spec = session.spec
    session.results.environment = read_environment(delegate_packages=PACKAGES)
    for run in session.live():
        run.started_at = utc_now()
        session.outbox.set_status(run.id, "preparing")
    session.cache.sweep()
    cache = session.cache if spec.use_cache else session.cache.scratch(session.queued.id)
    try:
        if session.is_duel:
            await prepare_duel(session, cache)
            for run in session.live():
                session.keep(run)
        else:
            start_fork_servers(session, cache)
            bundle = await make_bundle(session, cache)
            for run in session.runs:
                run.bundle = bundle
                session.keep(run)
            await prepare(session, cache, bundle)
        if spec.export_only_dir is not None:
            export_programs(session, Path(spec.export_only_dir))
        elif session.live():
            await _wait_until_calm(session, limit)
            await measure(session)
            await run_accuracy_and_memory(session)
        session.end_all("done", None)
    finally:
        if cache is session.cache:
            cache.sweep()
        else:
            cache.remove()


async def _wait_until_calm(session: Session, limit: asyncio.Timeout) -> None:
    """Wait for other programs to leave the cores alone, as long as the session may, and keep how the machine looked.
    The session's time limit does not run meanwhile, as it does not while another session has the machine."""
    if not session.spec.wait_quiet_min:
        return
    await session.children.idle()

    def progress(words: str, done_s: float, total_s: float) -> None:
        left_s = total_s - done_s
        session.report(
            Event(kind="progress", message=words, at=utc_now(), stage="wait", done=done_s, total=total_s, left_s=left_s)
        )

    start, deadline = time.monotonic(), limit.when()
    limit.reschedule(None)
    quiet = await wait_until_calm(
        60 * session.spec.wait_quiet_min,
        say=lambda words: session.say("stage", words, stage="wait", level="warning"),
        progress=progress,
        cpus=session.cpus,
    )
    if deadline is not None:
        limit.reschedule(deadline + time.monotonic() - start)
    session.results.quiet = quiet
    if not quiet.calm:
        session.say(
            "warning",
            f"the machine is still busy after {seconds(quiet.waited_s)}: measuring anyway, flagged as busy start; "
            "`--wait-quiet MIN` waits longer",
            stage="wait",
            level="warning",
        )
    elif quiet.waited_s:
        session.say("log", f"the machine calmed down after {seconds(quiet.waited_s)}", stage="wait")


async def _watch_cancels(session: Session, main: asyncio.Task[object]) -> None:
    """Cancel the runs that somebody wants cancelled; with the last of them, the session's own work, and that too if
    the database was removed or is damaged. One that cannot be read just now is asked again.

    Raises:
        StoreError: the database is gone, or damaged.
    """
    seen = -1
    try:
        while True:
            if not session.store.is_in_place():
                raise StoreError(f"the database {session.store.path} was removed or replaced", "run it again")
            try:
                # Whatever is done here is taken from the cores that are being timed: only a look if nobody wrote.
                version = session.store.data_version()
                wanted = session.store.cancel_requested(session.queued.id) if version != seen else set()
                seen = version
            except StoreUnavailable:
                wanted = set()
            for run in session.live():
                # One side of a duel alone answers nothing.
                if not run.cancelled and (run.id in wanted or (wanted and session.is_duel)):
                    session.cancel(run)
            cancelled = any(run.cancelled for run in session.runs)
            if cancelled and not any(run.live and not run.cancelled for run in session.runs):
                main.cancel()
                return
            await asyncio.sleep(CANCEL_POLL_S)
    except StoreError:
        main.cancel()
        raise
