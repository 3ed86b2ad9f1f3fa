"""The table at the end of `etui run`: eager and every variant, followed by warnings grouped over the variants."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from etui import spec, text
from etui.analysis import trust
from etui.analysis.comparability import DEFAULT_METHOD
from etui.analysis.flags import EAGER_FLAG
from etui.analysis.keep_fp32 import kept_fp32
from etui.cli.fact_columns import fact_cell, fact_column
from etui.cli.table import table, wrapped_to_terminal
from etui.cli.trust_marks import marked
from etui.facts import (
    LATENCY_PER_ITEM,
    MEAN_AVERAGE_PRECISION,
    PLANNED_BYTES,
    TASK_TOP1,
    Fact,
    RunSummary,
    per_item_ms,
)
from etui.results import Flag, LatencyStats, RunDocument
from etui.spec import EAGER
from etui.wording import flags as flag_wording
from etui.wording import run as run_wording
from etui.wording.dynamic_price import dynamic_prices

_FACTS: dict[Fact[Any], int] = {
    RunSummary.id: 0,
    RunSummary.precision: 0,
    RunSummary.delegate: 0,
    RunSummary.latency_median_ms: 0,
    RunSummary.latency_ci95_ms: 5,
    RunSummary.speedup: 1,
    RunSummary.sqnr_db: 3,
    RunSummary.top1: 4,
    RunSummary.verdict: 2,
    RunSummary.size_bytes: 6,
    RunSummary.load_ms: 7,
    RunSummary.flags: 8,
}
"""The facts of the table with their priority for omission on a narrow terminal."""


def session_table(documents: Sequence[RunDocument]) -> str:
    """Return the runs of one session as a table with eager in the first row, and remarks below it."""
    first = documents[0]
    columns = _columns(documents)
    rows, shown = [], set()
    for document in documents:
        baseline = _baseline(document)
        if document.eager_latency_ms is not None and baseline not in shown:
            rows.append(_eager_row(document, columns))
            shown.add(baseline)
        rows.append(_row(document, columns))
    heading = text.shortened(first.model.name, text.WHOLE_CELLS)
    facts = []
    if first.weights is not None:
        facts.append(f"{first.weights.kind} weights")
    if first.inputs is not None:
        facts.append(first.inputs.kind)
    if first.threads is not None and RunSummary.threads not in columns:
        facts.append(text.counted(first.threads, "thread"))
    facts.append(f"preset {first.preset}")
    lines = [
        "",
        f"{heading}: {', '.join(text.plain(fact) for fact in facts)}",
        "",
        table([fact_column(fact, spare) for fact, spare in columns.items()], rows),
    ]
    remarks = [wrapped_to_terminal(text.plain(remark)) for remark in _remarks(documents)]
    return "\n".join([*lines, "", *remarks] if remarks else lines)


def _columns(documents: Sequence[RunDocument]) -> dict[Fact[Any], int]:
    """Return the facts of the table: also the shapes and threads that a variant of the session has, and if the batch is
    known the latency per item."""
    varied: list[Fact[Any]] = [
        fact
        for fact in (
            RunSummary.input_size,
            RunSummary.batch,
            RunSummary.sequence,
            RunSummary.dynamic,
            RunSummary.method,
        )
        if any(fact.read(document) for document in documents)
    ]
    if len({document.threads for document in documents}) > 1:
        varied.append(RunSummary.threads)
    columns: dict[Fact[Any], int] = {}
    for fact, spare in _FACTS.items():
        columns[fact] = spare
        if fact is RunSummary.delegate:
            columns |= dict.fromkeys(varied, 0)
        if fact is RunSummary.speedup and RunSummary.batch in varied:
            columns[LATENCY_PER_ITEM] = 1
        if fact is RunSummary.size_bytes and RunSummary.dynamic in varied:
            columns[PLANNED_BYTES] = 1
        if fact is RunSummary.top1:
            evaluated = (MEAN_AVERAGE_PRECISION, TASK_TOP1)
            columns |= {one: 1 for one in evaluated if any(one.read(run) is not None for run in documents)}
    return columns


def _baseline(document: RunDocument) -> str:
    """Return what distinguishes the eager baselines of a session: shape and threads."""
    return f"{document.input_size} {document.batch} {document.sequence} {document.threads}"


def _eager_row(document: RunDocument, columns: Collection[Fact[Any]]) -> list[str]:
    cells: dict[Fact[Any], str] = {
        RunSummary.id: EAGER,
        RunSummary.precision: "fp32",
        RunSummary.delegate: "PyTorch",
        RunSummary.latency_median_ms: _median(RunSummary.eager_latency_median_ms.read(document)),
        RunSummary.latency_ci95_ms: _interval(document.eager_latency_ms, document.eager_flags),
        RunSummary.speedup: "1x",
        RunSummary.flags: ", ".join(flag.name for flag in document.eager_flags) or text.MISSING,
    }
    shared: tuple[Fact[Any], ...] = (
        RunSummary.input_size, RunSummary.batch, RunSummary.sequence, RunSummary.threads,
    )  # fmt: skip
    for fact in shared:
        cells[fact] = fact.text(fact.read(document))
    task = document.accuracy.task if document.accuracy is not None else None
    if task is not None and task.evaluation is not None:
        metric = MEAN_AVERAGE_PRECISION if task.evaluation.metric == "mAP" else TASK_TOP1
        cells[metric] = fact_cell(metric, 100 * task.evaluation.eager.value)
    cells[LATENCY_PER_ITEM] = LATENCY_PER_ITEM.text(per_item_ms(document.eager_latency_ms, document.batch))
    return [cells.get(fact, text.MISSING) for fact in columns]


def _row(document: RunDocument, columns: Collection[Fact[Any]]) -> list[str]:
    special = _special_cells(document)
    return [special[fact] if fact in special else fact_cell(fact, fact.read(document)) for fact in columns]


def _special_cells(document: RunDocument) -> dict[Fact[Any], str]:
    """Return the cells that show more than the value of their fact, or less."""
    accuracy, speedup = document.accuracy, document.speedup
    cells: dict[Fact[Any], str] = {
        RunSummary.id: document.id[:6],
        RunSummary.latency_median_ms: _median(RunSummary.latency_median_ms.read(document)),
        RunSummary.latency_ci95_ms: _interval(document.latency_ms, document.flags),
        RunSummary.flags: ", ".join(flag.name for flag in _own_flags(document)) or text.MISSING,
    }
    if speedup is not None:
        flags = [flag.name for flag in document.flags]
        trusted = trust.of_speedup(speedup.value, speedup.ci95, speedup.verdict, flags)
        cells[RunSummary.speedup] = marked(text.speedup(speedup.value, speedup.verdict), trusted)
    if accuracy is not None and accuracy.end_to_end.overall.exact:
        cells[RunSummary.sqnr_db] = "exact"
    if document.method is None:
        cells[RunSummary.method] = DEFAULT_METHOD
    if accuracy is None and document.status != "done":
        cells[RunSummary.verdict] = document.status
    return cells


def _median(value: float | None) -> str:
    return text.number(value, 4)


def _interval(stats: LatencyStats | None, flags: Sequence[Flag]) -> str:
    if stats is None:
        return text.MISSING
    trusted = trust.of_latency(stats.median, stats.ci95, [flag.name for flag in flags])
    return marked(text.interval(stats.ci95), trusted)


def _own_flags(document: RunDocument) -> list[Flag]:
    """Return a run's flags without the one about eager, whose flags are in eager's row."""
    return [flag for flag in document.flags if flag.name != EAGER_FLAG]


def _remarks(documents: Sequence[RunDocument]) -> list[str]:
    """Return the warnings about the numbers of a session, each once, with the variants that it is about."""
    first, everyone = documents[0], [_label(document) for document in documents]
    remarks: list[str] = []
    if first.weights is not None and first.weights.kind == "synthetic":
        about = "latency is valid; accuracy shows the arithmetic, not the trained model"
        remarks.append(f"! weights are synthetic ({first.weights.detail}): {about}")
    remarks += [f"✗ {_label(run)} {run.status}: {run.error}" for run in documents if run.error]
    if undelegated := [_label(run) for run in documents if run.delegate == "portable"]:
        remarks.append(f"{text.members(undelegated, everyone)}: nothing is delegated, and portable kernels are slow")
    for run in documents:
        if kept := kept_fp32(run):
            remarks.append(f"{_label(run)}: kept in FP32: {', '.join(kept)}")
        if run.accuracy is not None and run.accuracy.verdict != "PASS":
            remarks.append(f"! {_label(run)} accuracy {run.accuracy.verdict}: {run.accuracy.reason}")
    remarks += dynamic_prices(documents)
    remarks += _speed_remarks(documents, everyone)
    flags = [(_label(run), flag) for run in documents for flag in _own_flags(run)]
    of_eager = {_baseline(run): run.eager_flags for run in documents}
    flags += [(EAGER, flag) for own_flags in of_eager.values() for flag in own_flags]
    remarks += [f"! {line}" for line in flag_wording.grouped(flags, everyone)]
    return remarks


def _speed_remarks(documents: Sequence[RunDocument], everyone: Sequence[str]) -> Iterator[str]:
    """Yield remarks about the ratios to eager: which are uncertain, and which are not the ratio of the medians."""
    inconclusive = [_label(run) for run in documents if run.speedup and run.speedup.verdict == "inconclusive"]
    if inconclusive:
        names = text.members(inconclusive, everyone)
        yield f"! against eager: inconclusive for {names}: measure more blocks or on an idle machine"
    unreliable: dict[str, dict[str, str]] = {}
    for run in documents:
        if run.speedup is not None and run.speedup.verdict == "unreliable":
            # A reason names the run, so that those of several runs differ in nothing else.
            name = run.blocks[0].variant if run.blocks else run.configuration
            of_each = run.speedup.reason.replace(f" of {name} ", " of each ")
            unreliable.setdefault(of_each, {})[_label(run)] = run.speedup.reason
    for of_each, reasons in unreliable.items():
        about = of_each if len(reasons) > 1 else next(iter(reasons.values()))
        yield f"! against eager: unreliable for {text.members(list(reasons), everyone)}: {about}"
    if line := run_wording.ratios_of_medians([(_label(run), run) for run in documents]):
        yield line


def _label(document: RunDocument) -> str:
    return spec.label(document.configuration, document.repeats)
