"""The Summary tab of the details: the verdict, the main figures, and the warning flags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from etui import text
from etui.analysis.keep_fp32 import kept_fp32
from etui.results import RunDocument
from etui.tui.text_layout import Sheet, Styles
from etui.wording import flags as flag_wording
from etui.wording import run as run_wording
from etui.wording.verdict import Source, verdict

_TABS: dict[Source, str] = {
    "log": "Log",
    "latency": "Latency",
    "comparison": "Compare",
    "delegation": "Delegation",
    "operators": "Operators",
    "accuracy": "Accuracy",
    "gap": "Gap",
    "artifact": "Artifact",
}
"""The tab (or for ``comparison`` the screen) that shows the facts of a verdict's sentence."""


def summary_page(document: RunDocument, siblings: Sequence[RunDocument], width: int, styles: Styles) -> Text:
    """Return the tab's text. ``siblings`` are runs of the same session that it is compared with."""
    sheet = Sheet(width, styles)
    for number, sentence in enumerate(verdict(document, siblings)):
        sheet.say(sentence.text, _style(document, number, styles), source=_TABS[sentence.source])
    for hint in run_wording.hints(document):
        sheet.say(hint, styles.muted)
    if figures := list(_figures(document)):
        sheet.heading("Figures")
        for label, value in figures:
            sheet.fact(label, value)
    if document.flags:
        sheet.heading("Warning flags", "conditions that affect the measurement quality")
        for flag in document.flags:
            sheet.say(f"{flag.name}: {flag.detail}", styles.warn, glyph=styles.flagged)
            if explained := flag_wording.explained(flag.name):
                sheet.say(explained, styles.muted)
    elif document.latency_ms is not None and not document.summary_only:
        sheet.heading("Warning flags", "none")
    if blind := flag_wording.blind_spots(document):
        sheet.say(blind, styles.muted)
    sheet.heading("Note")
    sheet.say(document.note or "none; press a to add one", "" if document.note else styles.muted)
    if document.tags:
        sheet.fact("tags", ", ".join(document.tags))
    sheet.heading("Configuration")
    for label, value in _subject(document):
        sheet.fact(label, value)
    return sheet.text


def _style(document: RunDocument, number: int, styles: Styles) -> str:
    if number == 0:
        return styles.bad if document.status not in ("done", "queued", "preparing", "measuring") else styles.strong
    return ""


def _figures(document: RunDocument) -> Iterator[tuple[str, str]]:
    stats, eager = document.latency_ms, document.eager_latency_ms
    if stats is not None:
        median = f"{text.number(stats.median)} ms"
        if stats.ci95:
            median += f"   95 % interval {text.interval(stats.ci95)}"
        if eager and eager.median is not None:
            median += f"   eager {text.number(eager.median)}"
        yield "median latency", median
        if stats.p95 is not None:
            yield "p95", f"{text.number(stats.p95)} ms" + (f"   p99 {text.number(stats.p99)}" if stats.p99 else "")
    if (ratio := document.speedup) is not None:
        interval = f"   95 % interval {text.interval(ratio.ci95)}" if ratio.ci95 else ""
        yield "speed-up", f"{text.ratio(ratio.value)} eager{interval}   {ratio.verdict or ''}".rstrip()
    if (first := document.first_inference_ms) is not None:
        eager_first = document.eager_first_inference_ms
        yield (
            "first inference",
            f"{text.number(first)} ms" + (f"   eager {text.number(eager_first)}" if eager_first else ""),
        )
    loads = [part for part in (document.program_load_ms, document.method_load_ms) if part is not None]
    if loads:
        yield "load", f"{text.number(sum(loads))} ms"
    if (accuracy := document.accuracy) is not None:
        overall = accuracy.end_to_end.overall
        yield "MAE", f"{text.number(overall.mae)}   max {text.number(overall.max_abs)}"
        sqnr = "exact" if overall.exact else f"{text.number(overall.sqnr_db)} dB"
        yield "SQNR", f"{sqnr}   cosine {text.number(overall.cosine, 5)}"
        yield "accuracy", accuracy.verdict
    if document.artifact is not None:
        yield "size", text.size(document.artifact.size_bytes)
    if document.memory is not None and document.memory.peak_rss_bytes is not None:
        peak = text.size(document.memory.peak_rss_bytes)
        eager_peak = document.eager_memory.peak_rss_bytes if document.eager_memory else None
        yield "peak memory", peak + (f"   eager {text.size(eager_peak)}" if eager_peak else "")
    if (delegation := document.delegation) is not None:
        total = delegation.delegated_nodes + delegation.undelegated_nodes
        yield "delegated", f"{delegation.delegated_nodes} of {total} nodes"


def _subject(document: RunDocument) -> Iterator[tuple[str, str]]:
    model = document.model
    parameters = f", {model.parameters:,} parameters" if model.parameters else ""
    yield "model", f"{model.name} ({model.family}, {model.source}{parameters})"
    yield "precision", document.precision
    yield "delegate", document.delegate
    if kept := kept_fp32(document):
        yield "kept in FP32", ", ".join(kept)
    if document.weights:
        yield "weights", f"{document.weights.kind}: {document.weights.detail}"
    if document.inputs:
        yield "inputs", f"{document.inputs.kind}: {document.inputs.detail}"
        if document.inputs.split:
            yield "split", document.inputs.split
    count = document.latency_ms.count if document.latency_ms else None
    measured = f"preset {document.preset}"
    if document.threads is not None:
        measured += f", {text.counted(document.threads, 'thread')}"
    if document.blocks:
        measured += f", {text.counted(len(document.blocks), 'block')}"
    if count is not None:
        measured += f", {text.counted(count, 'inference')}"
    yield "measured", measured
    yield "when", text.local_time(document.created_at)
    if document.environment:
        yield "machine", document.environment.box
    yield "run", document.id
    yield "session", document.session.id
