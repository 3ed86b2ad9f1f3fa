"""Execute one analysis of a finished run, of any kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from etui.errors import EtuiError, StoreError, StoreUnavailable
from etui.events import Level
from etui.results import AnalysisStatus
from etui.runner.analyses.context import Analysis
from etui.runner.analyses.gap import measure_gap
from etui.runner.analyses.profile import profile
from etui.runner.fork_servers import WorkerPool
from etui.runner.machine_lock import WaitedTooLong, hold
from etui.runner.outbox import Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.session import STOP_PATIENCE_S
from etui.runner.settings import patience_s
from etui.runner.worker import WorkerFailed
from etui.store import QueuedAnalysis, Store

CANCEL_POLL_S = 0.2


_KINDS: dict[str, Callable[[Analysis], Awaitable[None]]] = {"profile": profile, "gap": measure_gap}


async def run_analysis(store: Store, workers: WorkerPool, cache: ProgramCache, queued: QueuedAnalysis) -> None:
    """Execute an analysis; afterwards it is not live.

    Raises:
        StoreError: the database is gone, or did not take the result for longer than ``settings.patience_s``.
        asyncio.CancelledError: the runner is being stopped; the analysis is interrupted.
    """
    try:
        analysis = Analysis(store, workers, cache, queued)
    except EtuiError as error:
        await refuse_analysis(store, queued, error)
        return
    main = asyncio.current_task()
    assert main is not None
    watcher = asyncio.create_task(_watch(analysis, main))
    doing = f"{queued.kind} of {analysis.document.model.name}"
    patience = patience_s()
    try:
        analysis.outbox.set_analysis_status(queued.id, "running")
        async with hold(doing, lambda message: analysis.say("stage", message)):
            try:
                async with asyncio.timeout(queued.options.timeout_s):
                    await _KINDS[queued.kind](analysis)
            except TimeoutError:
                _end(analysis, "timed out", f"stopped after {queued.options.timeout_s:g} s, its time limit")
        _end(analysis, "done", None)
    except WaitedTooLong as error:
        _end(analysis, "timed out", str(error))
    except EtuiError as error:
        if isinstance(error, WorkerFailed) and error.traceback:
            analysis.say("log", error.traceback.rstrip(), level="debug")
        _end(analysis, "failed", str(error))
    except asyncio.CancelledError:
        # Stopping the runner cancels this task too; only a cancellation by the watcher is handled here.
        if not watcher.done() or main.uncancel() > 0:
            _end(analysis, "interrupted", "the runner was stopped")
            patience = min(patience, STOP_PATIENCE_S)
            raise
        watcher.result()
        _end(analysis, "cancelled", None)
    finally:
        watcher.cancel()
        _end(analysis, "failed", "internal runner error; see the runner log")
        await analysis.outbox.delivered(patience)


async def refuse_analysis(store: Store, queued: QueuedAnalysis, error: EtuiError) -> None:
    """Fail an analysis that cannot be started. Raises as ``run_analysis`` does."""
    outbox = Outbox(store, queued.session, queued.run)
    outbox.set_analysis_status(queued.id, "failed", str(error))
    await outbox.delivered(patience_s())


def _end(analysis: Analysis, status: AnalysisStatus, error: str | None) -> None:
    """End an analysis that has not ended yet, and report that in the run's log."""
    queued = analysis.queued
    if analysis.ended:
        return
    analysis.ended = True
    if not _exists(analysis):
        return
    level: Level = "info" if status == "done" else "error" if status == "failed" else "warning"
    analysis.say("finished", f"{queued.kind}: {status}" + (f": {error}" if error else ""), level=level)
    analysis.outbox.set_analysis_status(queued.id, status, error)


def _exists(analysis: Analysis) -> bool:
    """Whether the analysis and its run are still in the database; True if that cannot be read now."""
    store, queued = analysis.store, analysis.queued
    try:
        return store.is_in_place() and any(live.id == queued.id for live in store.live_analyses(queued.run))
    except StoreUnavailable:
        return True


async def _watch(analysis: Analysis, main: asyncio.Task[object]) -> None:
    """Cancel the analysis on request, or if the database is gone or damaged. A database that is temporarily unavailable
    is polled again.

    Raises:
        StoreError: the database is gone, or damaged.
    """
    store, seen = analysis.store, -1
    try:
        while True:
            if not store.is_in_place():
                raise StoreError(f"the database {store.path} was removed or replaced", "run the command again")
            try:
                version = store.data_version()
                if version != seen and store.analysis_cancel_requested(analysis.queued.id):
                    main.cancel()
                    return
                seen = version
            except StoreUnavailable:
                pass
            await asyncio.sleep(CANCEL_POLL_S)
    except StoreError:
        main.cancel()
        raise
