"""One pass on a finished run from claimed to ended: hold the box, do what its kind does, hear a cancel, keep the limit.

A kind of pass is a function from a ``Pass`` under way that stores its result itself, through its ``outbox``; ``_KINDS``
has them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from etui.errors import EtuiError, StoreError, StoreUnavailable
from etui.events import Level
from etui.results import AnalysisStatus
from etui.runner.analyses.context import Analysis
from etui.runner.analyses.gap import find_gap
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


_KINDS: dict[str, Callable[[Analysis], Awaitable[None]]] = {"profile": profile, "gap": find_gap}


async def run_analysis(store: Store, children: WorkerPool, cache: ProgramCache, queued: QueuedAnalysis) -> None:
    """Do a pass to whatever end; afterwards it is not live.

    Raises:
        StoreError: the database is gone, or did not take the result for longer than ``settings.patience_s``.
        asyncio.CancelledError: the runner is being stopped; the pass is interrupted.
    """
    try:
        under_way = Analysis(store, children, cache, queued)
    except EtuiError as error:
        await refuse_analysis(store, queued, error)
        return
    main = asyncio.current_task()
    assert main is not None
    watcher = asyncio.create_task(_watch(under_way, main))
    doing = f"{queued.kind} of {under_way.document.model.name}"
    patience = patience_s()
    try:
        under_way.outbox.set_analysis_status(queued.id, "running")
        async with hold(doing, lambda words: under_way.say("stage", words)):
            try:
                async with asyncio.timeout(queued.options.timeout_s):
                    await _KINDS[queued.kind](under_way)
            except TimeoutError:
                _end(under_way, "timed out", f"stopped after {queued.options.timeout_s:g} s, its time limit")
        _end(under_way, "done", None)
    except WaitedTooLong as error:
        _end(under_way, "timed out", str(error))
    except EtuiError as error:
        if isinstance(error, WorkerFailed) and error.traceback:
            under_way.say("log", error.traceback.rstrip(), level="debug")
        _end(under_way, "failed", str(error))
    except asyncio.CancelledError:
        # Who stops the runner cancels this task too; only what the watcher did is taken back.
        if not watcher.done() or main.uncancel() > 0:
            _end(under_way, "interrupted", "the runner was stopped")
            patience = min(patience, STOP_PATIENCE_S)
            raise
        watcher.result()
        _end(under_way, "cancelled", None)
    finally:
        watcher.cancel()
        _end(under_way, "failed", "the runner came upon an error of its own; its log has it")
        await under_way.outbox.delivered(patience)


async def refuse_analysis(store: Store, queued: QueuedAnalysis, error: EtuiError) -> None:
    """Fail a pass that cannot be begun. Raises as ``run_pass`` does."""
    outbox = Outbox(store, queued.session, queued.run)
    outbox.set_analysis_status(queued.id, "failed", str(error))
    await outbox.delivered(patience_s())


def _end(under_way: Analysis, status: AnalysisStatus, error: str | None) -> None:
    """End a pass that has not ended yet, and say so in the run's log."""
    queued = under_way.queued
    if under_way.ended:
        return
    under_way.ended = True
    if not _is_there(under_way):
        return
    level: Level = "info" if status == "done" else "error" if status == "failed" else "warning"
    under_way.say("finished", f"{queued.kind}: {status}" + (f": {error}" if error else ""), level=level)
    under_way.outbox.set_analysis_status(queued.id, status, error)


def _is_there(under_way: Analysis) -> bool:
    """Whether the pass and its run are still in the database, as far as that can be read."""
    store, queued = under_way.store, under_way.queued
    try:
        return store.is_in_place() and any(one.id == queued.id for one in store.live_analyses(queued.run))
    except StoreUnavailable:
        return True


async def _watch(under_way: Analysis, main: asyncio.Task[object]) -> None:
    """Cancel the pass's work when somebody wants that, or when the database was removed or is damaged. One that cannot
    be read just now is asked again.

    Raises:
        StoreError: the database is gone, or damaged.
    """
    store, seen = under_way.store, -1
    try:
        while True:
            if not store.is_in_place():
                raise StoreError(f"the database {store.path} was removed or replaced", "run it again")
            try:
                version = store.data_version()
                if version != seen and store.analysis_cancel_requested(under_way.queued.id):
                    main.cancel()
                    return
                seen = version
            except StoreUnavailable:
                pass
            await asyncio.sleep(CANCEL_POLL_S)
    except StoreError:
        main.cancel()
        raise
