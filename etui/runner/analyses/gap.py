"""The numeric gap of a run's program: its per-layer error against FP32 eager, measured in a worker."""

from __future__ import annotations

from etui.catalog.precisions import keeps
from etui.errors import EtuiError
from etui.jobs import GapJob
from etui.runner.analyses.context import Analysis
from etui.spec import GapOptions
from etui.text import counted, plain

BUDGET_S = 60.0
"""Limit in seconds for each of: comparing layers, running the program, and trying layers one by one."""


async def measure_gap(analysis: Analysis, options: GapOptions) -> None:
    """Measure the numeric gap of the analysis's run and store it in its document.

    Raises:
        EtuiError: the program is not available, fails, or has no eager model to compare with.
    """
    document = analysis.document
    analysis.say("stage", "numeric gap: preparing the program")
    rebuilt = await analysis.program()
    if not rebuilt.bundle.has_eager:
        raise EtuiError(
            f"{plain(document.model.name)} is a finished program without an eager model to compare with",
            "run the model it was exported from",
        )
    gap = await analysis.do(
        GapJob(
            bundle=rebuilt.bundle.path,
            model=rebuilt.model,
            program_dir=rebuilt.program_dir,
            precision=document.precision,
            delegate=document.delegate,
            arithmetic=document.arithmetic,
            calibration_count=rebuilt.origin.calibration_count,
            keep_fp32=keeps(document.precision, rebuilt.origin.keep_fp32),
            inputs=options.inputs,
            threshold_db=options.threshold_db,
            budget_s=min(BUDGET_S, options.timeout_s / 4),
            threads=analysis.threads,
            cpus=analysis.cpus,
            run_id=document.id,
        )
    )
    analysis.outbox.save_result(document.id, gap)
    analysis.say("log", f"numeric gap: {counted(len(gap.layers), 'layer')} compared on {counted(gap.inputs, 'input')}")
    if gap.suggestion:
        analysis.say("log", plain(gap.suggestion))
