"""Execute one analysis of a finished run, of any kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from etui.analysis_kinds.kind import PreparedRun
from etui.analysis_kinds.profile import PROFILE
from etui.catalog.precisions import keeps
from etui.errors import EtuiError
from etui.runner import requesters
from etui.runner.analyses.context import Analysis
from etui.runner.analyses.profile import profile
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.settings import patience_s
from etui.runner.supervise import supervise
from etui.store import QueuedAnalysis, Store
from etui.text import plain

Execute = Callable[[Analysis, Any], Awaitable[None]]

WITH_SEVERAL_JOBS: dict[str, Execute] = {PROFILE.name: profile}
"""The functions that execute kinds of analysis that need more than one job, by the name of the kind. They take the
analysis and its options, and store the result with ``Outbox.save_result``."""


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
        await WITH_SEVERAL_JOBS.get(queued.kind, _do_one_job)(analysis, queued.options)
        analysis.end_all("done", None)

    analysis.outbox.set_analysis_status(queued.id, "running")
    try:
        await supervise(
            analysis,
            execute,
            purpose=f"{queued.kind} of {analysis.document.model.name}",
            timeout_s=queued.options.timeout_s,
        )
    finally:
        requesters.needs_nobody(store.path, queued.id)


async def _do_one_job(analysis: Analysis, options: Any) -> None:
    """Do the job of the analysis's kind and store its result.

    Raises:
        EtuiError: the program is not available, fails, or has no eager model although the kind needs one.
    """
    kind, document = analysis.kind, analysis.document
    if kind.one_shape and document.dynamic:
        raise EtuiError(
            f"the {kind.title} needs a program for one shape, and that of run {document.id} takes a range",
            "analyse the static run of the same shape",
        )
    rebuilt = await analysis.program()
    if kind.eager_needed_for and not rebuilt.bundle.has_eager:
        raise EtuiError(
            f"{plain(document.model.name)} is a finished program without an eager model {kind.eager_needed_for}",
            "run the model it was exported from",
        )
    assert kind.make_job is not None
    run = PreparedRun(
        document=document,
        model=rebuilt.model,
        bundle=rebuilt.bundle.path,
        program=rebuilt.lowered.path,
        program_dir=rebuilt.program_dir,
        calibration_count=rebuilt.origin.calibration_count,
        keep_fp32=keeps(document.precision, rebuilt.origin.keep_fp32),
        threads=analysis.threads,
        cpus=analysis.cpus,
    )
    result = await analysis.do(kind.make_job(run, options))
    analysis.outbox.save_result(document.id, result)
    for line in kind.log_lines(result):
        analysis.say("log", line)


async def refuse_analysis(store: Store, queued: QueuedAnalysis, error: EtuiError) -> None:
    """Fail an analysis that cannot be started. Raises as ``run_analysis`` does."""
    outbox = Outbox(store, queued.session, queued.run)
    outbox.set_analysis_status(queued.id, "failed", error.without_commands)
    await outbox.delivered(patience_s())
