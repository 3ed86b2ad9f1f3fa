"""Execute one analysis of a finished run, of any kind in ``kinds.KINDS``."""

from __future__ import annotations

import asyncio

from etui.errors import EtuiError
from etui.runner.analyses.context import Analysis
from etui.runner.analyses.kinds import KINDS
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.settings import patience_s
from etui.runner.supervise import supervise
from etui.store import QueuedAnalysis, Store


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

    async def execute(_limit: asyncio.Timeout) -> None:
        await KINDS[queued.kind].run(analysis, queued.options)
        analysis.end_all("done", None)

    analysis.outbox.set_analysis_status(queued.id, "running")
    await supervise(
        analysis,
        execute,
        purpose=f"{queued.kind} of {analysis.document.model.name}",
        timeout_s=queued.options.timeout_s,
    )


async def refuse_analysis(store: Store, queued: QueuedAnalysis, error: EtuiError) -> None:
    """Fail an analysis that cannot be started. Raises as ``run_analysis`` does."""
    outbox = Outbox(store, queued.session, queued.run)
    outbox.set_analysis_status(queued.id, "failed", error.without_commands)
    await outbox.delivered(patience_s())
