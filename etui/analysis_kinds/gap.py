"""The kind of analysis ``gap``: the numerical error of each layer of a run's program against FP32 eager."""

from __future__ import annotations

from typing import ClassVar

from etui.analysis_kinds.kind import AnalysisKind, PreparedRun
from etui.insight import NumericGap
from etui.jobs import ForkServerKind, JobFor
from etui.spec import AnalysisOptions
from etui.text import counted, plain

DEFAULT_INPUTS = 4

BUDGET_S = 60.0
"""Limit in seconds for each of: comparing layers, running the program, and trying layers one by one."""


class GapOptions(AnalysisOptions, tag="gap", frozen=True, kw_only=True):
    """How to compute the numeric gap of a finished run.

    ``inputs`` is the number of inputs, ``threshold_db`` the SQNR in dB below which a layer is reported; None means the
    run's SQNR tolerance.
    """

    inputs: int = DEFAULT_INPUTS
    threshold_db: float | None = None


class GapJob(JobFor[NumericGap], tag="gap", frozen=True, kw_only=True):
    """Compare a run's program with FP32 eager layer by layer, on up to ``inputs`` of its bundle's inputs.

    ``threshold_db`` None uses the threshold of the precision, or of the ``arithmetic`` actually used. ``budget_s`` is
    the approximate limit in seconds for each of: comparing layers, running the program, trying layers one by one.
    """

    worker: ClassVar[str] = "etui.engine.gap.run:run_gap"
    doing: ClassVar[str] = "comparing layers"
    fork_server: ClassVar[ForkServerKind] = "prepare"

    bundle: str
    model: str
    program_dir: str
    precision: str
    delegate: str
    arithmetic: str | None
    calibration_count: int
    keep_fp32: tuple[str, ...]
    inputs: int
    threshold_db: float | None
    budget_s: float
    threads: int
    run_id: str
    cpus: list[int] | None = None


def _job(run: PreparedRun, options: GapOptions) -> GapJob:
    return GapJob(
        bundle=run.bundle,
        model=run.model,
        program_dir=run.program_dir,
        precision=run.document.precision,
        delegate=run.document.delegate,
        arithmetic=run.document.arithmetic,
        calibration_count=run.calibration_count,
        keep_fp32=run.keep_fp32,
        inputs=options.inputs,
        threshold_db=options.threshold_db,
        budget_s=min(BUDGET_S, options.timeout_s / 4),
        threads=run.threads,
        cpus=run.cpus,
        run_id=run.document.id,
    )


def _log_lines(gap: NumericGap) -> list[str]:
    compared = f"numeric gap: {counted(len(gap.layers), 'layer')} compared on {counted(gap.inputs, 'input')}"
    return [compared, plain(gap.suggestion)] if gap.suggestion else [compared]


GAP = AnalysisKind(
    options=GapOptions,
    job=GapJob,
    result=NumericGap,
    title="numeric gap analysis",
    purpose="measure the numerical error of each layer against FP32 eager",
    tab_title="Gap",
    tab="etui.tui.details.gap_tab:GapTab",
    make_job=_job,
    log_lines=_log_lines,
    eager_needed_for="to compare with",
    one_shape=True,
    document_field="gap",
)
