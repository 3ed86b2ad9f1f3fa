"""The table at the end of `etui run`: eager and every variant, followed by warnings about the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etui import spec, text
from etui.analysis import trust
from etui.analysis.flags import EAGER_FLAG
from etui.analysis.keep_fp32 import kept_fp32
from etui.cli.fact_columns import fact_column
from etui.cli.table import table
from etui.cli.trust_marks import marked
from etui.facts import Fact, RunSummary
from etui.results import Flag, LatencyStats, RunDocument
from etui.spec import EAGER

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
    rows = [_eager_row(first)] if first.eager_latency_ms is not None else []
    rows += [_row(document) for document in documents]
    heading = text.shortened(first.model.name, text.WHOLE_CELLS)
    facts = []
    if first.weights is not None:
        facts.append(f"{first.weights.kind} weights")
    if first.inputs is not None:
        facts.append(first.inputs.kind)
    if first.threads is not None:
        facts.append(text.counted(first.threads, "thread"))
    facts.append(f"preset {first.preset}")
    lines = [
        "",
        f"{heading}: {', '.join(text.plain(fact) for fact in facts)}",
        "",
        table([fact_column(fact, spare) for fact, spare in _FACTS.items()], rows),
    ]
    remarks = list(dict.fromkeys(remark for document in documents for remark in _remarks(document)))
    remarks += [text.plain(f"! {EAGER} {flag.name}: {flag.detail}") for flag in first.eager_flags]
    return "\n".join([*lines, "", *remarks] if remarks else lines)


def _eager_row(document: RunDocument) -> list[str]:
    cells: dict[Fact[Any], str] = {
        RunSummary.id: EAGER,
        RunSummary.precision: "fp32",
        RunSummary.delegate: "PyTorch",
        RunSummary.latency_median_ms: _median(RunSummary.eager_latency_median_ms.read(document)),
        RunSummary.latency_ci95_ms: _interval(document.eager_latency_ms, document.eager_flags),
        RunSummary.speedup: "1x",
        RunSummary.flags: ", ".join(flag.name for flag in document.eager_flags) or text.MISSING,
    }
    return [cells.get(fact, text.MISSING) for fact in _FACTS]


def _row(document: RunDocument) -> list[str]:
    special = _special_cells(document)
    return [special[fact] if fact in special else fact.text(fact.read(document)) for fact in _FACTS]


def _special_cells(document: RunDocument) -> dict[Fact[Any], str]:
    """Return the cells that show more than the value of their fact, or less."""
    accuracy, speedup = document.accuracy, document.speedup
    cells: dict[Fact[Any], str] = {
        RunSummary.id: document.id[:6],
        RunSummary.latency_median_ms: _median(RunSummary.latency_median_ms.read(document)),
        RunSummary.latency_ci95_ms: _interval(document.latency_ms, document.flags),
        RunSummary.flags: ", ".join(flag.name for flag in _own_flags(document)) or text.MISSING,
    }
    if document.delegate == "portable":
        cells[RunSummary.delegate] = "portable (undelegated)"
    if speedup is not None:
        flags = [flag.name for flag in document.flags]
        trusted = trust.of_speedup(speedup.value, speedup.ci95, speedup.verdict, flags)
        cells[RunSummary.speedup] = marked(text.speedup(speedup.value, speedup.verdict), trusted)
    if accuracy is not None and accuracy.end_to_end.overall.exact:
        cells[RunSummary.sqnr_db] = "exact"
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


def _remarks(document: RunDocument) -> list[str]:
    """Return the warnings about a run's numbers, one per line."""
    label = spec.label(document.precision, document.delegate, document.repeats)
    remarks = []
    if document.weights is not None and document.weights.kind == "synthetic":
        about = "latency is valid; accuracy shows the arithmetic, not the trained model"
        remarks.append(f"! weights are synthetic ({document.weights.detail}): {about}")
    if kept := kept_fp32(document):
        remarks.append(f"{label}: kept in FP32: {', '.join(kept)}")
    if document.error:
        remarks.append(f"✗ {label} {document.status}: {document.error}")
    if document.accuracy is not None and document.accuracy.verdict != "PASS":
        remarks.append(f"! {label} accuracy {document.accuracy.verdict}: {document.accuracy.reason}")
    if document.speedup is not None and document.speedup.verdict == "inconclusive":
        remarks.append(f"! {label} against eager is inconclusive: measure more blocks or on an idle machine")
    if document.speedup is not None and document.speedup.verdict == "unreliable":
        remarks.append(f"! {label} against eager is unreliable: {document.speedup.reason}")
    remarks += [f"! {label} {flag.name}: {flag.detail}" for flag in _own_flags(document)]
    return [text.plain(remark) for remark in remarks]
