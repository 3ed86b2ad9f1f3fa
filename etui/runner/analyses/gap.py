"""The numeric gap of a run's program against FP32 eager, layer by layer, found in a child of its own."""

from __future__ import annotations

from etui.catalog.precisions import keeps
from etui.errors import EtuiError
from etui.jobs import GapJob
from etui.runner.analyses.context import Analysis
from etui.spec import GapOptions
from etui.text import counted, plain

BUDGET_S = 60.0
"""Seconds that comparing, running the program, and trying the layers one by one may take, each for itself."""


async def find_gap(under_way: Analysis) -> None:
    """Find where the pass's run left FP32's numbers, and store that in its document.

    Raises:
        EtuiError: the program cannot be had or run, or has no eager model to be compared with.
    """
    options = under_way.queued.options
    assert isinstance(options, GapOptions)
    document = under_way.document
    under_way.say("stage", "numeric gap: finding the program")
    again = await under_way.program()
    if not again.bundle.has_eager:
        raise EtuiError(
            f"{plain(document.model.name)} is a finished program: without its model there is nothing to compare with",
            "run the model it was made from",
        )
    done = await under_way.do(
        GapJob(
            bundle=again.bundle.path,
            model=again.model,
            program_dir=again.program_dir,
            precision=document.precision,
            delegate=document.delegate,
            arithmetic=document.arithmetic,
            calibration_count=again.origin.calibration_count,
            keep_fp32=keeps(document.precision, again.origin.keep_fp32),
            inputs=options.inputs,
            threshold_db=options.threshold_db,
            budget_s=min(BUDGET_S, options.timeout_s / 4),
            threads=under_way.threads,
            cpus=under_way.cpus,
            run_id=document.id,
        )
    )
    assert done.gap is not None
    under_way.outbox.save_gap(document.id, done.gap)
    under_way.say(
        "log", f"numeric gap: {counted(len(done.gap.layers), 'layer')} compared on {counted(done.gap.inputs, 'input')}"
    )
    if done.gap.suggestion:
        under_way.say("log", plain(done.gap.suggestion))
