"""The table at the end of `etui run`: eager and every variant, followed by warnings about the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from etui import spec, text
from etui.analysis.flags import EAGER_FLAG
from etui.analysis.keep_fp32 import kept_fp32
from etui.cli.table import Column, table
from etui.results import Flag, LatencyStats, RunDocument
from etui.spec import EAGER

_COLUMNS = (
    Column("run"),
    Column("precision"),
    Column("delegate"),
    Column("median ms", right=True),
    Column("95 % interval", right=True, spare=5),
    Column("vs eager", right=True, spare=1),
    Column("SQNR dB", right=True, spare=3),
    Column("top-1", right=True, spare=4),
    Column("accuracy", spare=2),
    Column("size", right=True, spare=6),
    Column("load ms", right=True, spare=7),
    Column("flags", spare=8),
)


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
    lines = ["", f"{heading}: {', '.join(text.plain(fact) for fact in facts)}", "", table(_COLUMNS, rows)]
    remarks = list(dict.fromkeys(remark for document in documents for remark in _remarks(document)))
    remarks += [text.plain(f"! {EAGER} {flag.name}: {flag.detail}") for flag in first.eager_flags]
    return "\n".join([*lines, "", *remarks] if remarks else lines)


def _eager_row(document: RunDocument) -> list[str]:
    stats = document.eager_latency_ms
    assert stats is not None
    row = ["eager", "fp32", "PyTorch", *_latency(stats), "1x"]
    row += [text.MISSING] * (len(_COLUMNS) - len(row) - 1)
    return [*row, ", ".join(flag.name for flag in document.eager_flags) or text.MISSING]


def _row(document: RunDocument) -> list[str]:
    accuracy, speedup = document.accuracy, document.speedup
    loads = [value for value in (document.program_load_ms, document.method_load_ms) if value is not None]
    overall = accuracy.end_to_end.overall if accuracy else None
    sqnr = "exact" if overall and overall.exact else text.number(overall.sqnr_db if overall else None)
    return [
        document.id[:6],
        document.precision,
        "portable (undelegated)" if document.delegate == "portable" else document.delegate,
        *(_latency(document.latency_ms) if document.latency_ms else (text.MISSING, text.MISSING)),
        text.speedup(speedup.value, speedup.verdict) if speedup else text.MISSING,
        sqnr,
        text.agreement(overall.top1 if overall else None),
        accuracy.verdict if accuracy else document.status if document.status != "done" else text.MISSING,
        text.size(document.artifact.size_bytes if document.artifact else None),
        text.number(sum(loads) if loads else None),
        ", ".join(flag.name for flag in _own_flags(document)) or text.MISSING,
    ]


def _latency(stats: LatencyStats) -> tuple[str, str]:
    return text.number(stats.median, 4), text.interval(stats.ci95)


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
