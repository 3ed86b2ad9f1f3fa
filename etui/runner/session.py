"""Execute one session: prepare, wait for a quiet machine, measure, and end its runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from etui.catalog.delegates import PACKAGES
from etui.catalog.find import find_model
from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.host.environment import read_environment
from etui.runner.evaluate import evaluate
from etui.runner.fork_servers import WorkerPool
from etui.runner.measure import measure, run_accuracy_and_memory
from etui.runner.outbox import Outbox
from etui.runner.prepare import export_programs, make_bundles, prepare, start_fork_servers
from etui.runner.prepare_duel import prepare_duel
from etui.runner.program_cache import ProgramCache
from etui.runner.session_context import Session
from etui.runner.settings import patience_s
from etui.runner.supervise import supervise
from etui.runner.wait_for_idle import wait_until_quiet
from etui.store import QueuedSession, Store
from etui.text import seconds


async def run_session(store: Store, workers: WorkerPool, cache: ProgramCache, queued: QueuedSession) -> None:
    """Execute a session; afterwards none of its runs is live.

    Raises:
        StoreError: the database is gone, or did not take the results for longer than ``settings.patience_s``.
        asyncio.CancelledError: the runner is being stopped; the runs are interrupted.
    """
    try:
        session = Session(store, workers, cache, queued, find_model(queued.spec.model))
    except EtuiError as error:
        await refuse(store, queued, error)
        return
    await supervise(
        session,
        lambda limit: _execute(session, limit),
        purpose=f"measuring {session.model.name}",
        timeout_s=session.spec.timeout_s,
    )


async def refuse(store: Store, queued: QueuedSession, error: EtuiError) -> None:
    """Fail all runs of a session that cannot be started. Raises as ``run_session`` does."""
    outbox = Outbox(store, queued.id)
    for run_id, _ in queued.runs:
        outbox.set_status(run_id, "failed", error.without_commands)
    outbox.finish_session()
    await outbox.delivered(patience_s())


async def _execute(session: Session, limit: asyncio.Timeout) -> None:
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
            await make_bundles(session, cache)
            await prepare(session, cache)
        if spec.export_only_dir is not None:
            export_programs(session, Path(spec.export_only_dir))
        elif session.live():
            await _wait_until_quiet(session, limit)
            await measure(session)
            await run_accuracy_and_memory(session)
            await evaluate(session)
        session.end_all("done", None)
    finally:
        if cache is session.cache:
            cache.sweep()
        else:
            cache.remove()


async def _wait_until_quiet(session: Session, limit: asyncio.Timeout) -> None:
    """Wait until other programs leave the cores idle, up to the session's limit, and keep the observed load.

    The session's time limit is suspended meanwhile, as it is while another session holds the machine.
    """
    if not session.spec.wait_quiet_min:
        return
    await session.workers.idle()

    def progress(message: str, done_s: float, total_s: float) -> None:
        left_s = total_s - done_s
        session.report(
            Event(
                kind="progress", message=message, at=utc_now(), stage="wait", done=done_s, total=total_s, left_s=left_s
            )
        )

    start, deadline = time.monotonic(), limit.when()
    limit.reschedule(None)
    quiet = await wait_until_quiet(
        60 * session.spec.wait_quiet_min,
        say=lambda message: session.say("stage", message, stage="wait", level="warning"),
        progress=progress,
        cpus=session.cpus,
    )
    if deadline is not None:
        limit.reschedule(deadline + time.monotonic() - start)
    session.results.quiet = quiet
    if not quiet.calm:
        session.say(
            "warning",
            f"the machine is still busy after {seconds(quiet.waited_s)}; measuring anyway, with the flag 'busy start'",
            stage="wait",
            level="warning",
        )
    elif quiet.waited_s:
        session.say("log", f"the machine became quiet after {seconds(quiet.waited_s)}", stage="wait")
