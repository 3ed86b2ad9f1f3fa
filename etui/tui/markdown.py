"""Runs as Markdown, and copying text to the terminal's clipboard and to a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from textual.app import App

from etui import text
from etui.errors import StoreError
from etui.facts import RunSummary
from etui.paths import state_dir
from etui.results import LatencyStats, Metrics, RunDocument
from etui.store.transfer import write_file

COPY_NAME = "copied-runs.md"

_SPECIAL = re.compile(r"([\\|`*<>\[\]])")


def table_markdown(summaries: Sequence[RunSummary]) -> str:
    """Return a table with one row per run."""
    headings = (
        "when", "model", "precision", "delegate", "p50 ms", "95 % interval", "p95 ms", "x eager", "MAE", "SQNR dB",
        "verdict", "size", "threads", "flags", "run",
    )  # fmt: skip
    rows = [
        (
            text.local_time(run.created_at),
            run.model,
            run.precision,
            run.delegate,
            text.number(run.latency_median_ms) if run.latency_median_ms is not None else run.status,
            text.interval(run.latency_ci95_ms),
            text.number(run.latency_p95_ms),
            text.speedup(run.speedup, run.speed_verdict),
            text.number(run.mae),
            text.number(run.sqnr_db),
            run.verdict or text.MISSING,
            text.size(run.size_bytes),
            text.MISSING if run.threads is None else str(run.threads),
            ", ".join(run.flags),
            run.id,
        )
        for run in summaries
    ]
    return _table(headings, rows, right={4, 5, 6, 7, 8, 9, 11, 12})


def run_markdown(document: RunDocument) -> str:
    """Return a run's configuration, results and warning flags."""
    title = f"{document.model.name} {document.precision}/{document.delegate}"
    return "\n\n".join([f"## {_escaped(title)}", *_parts(document)]) + "\n"


def copy_markdown(app: App[object], markdown: str) -> str:
    """Send a text to the terminal's clipboard and write it to a file; return a message on both."""
    app.copy_to_clipboard(markdown)
    path = state_dir() / COPY_NAME
    sent = "Sent to the terminal's clipboard (some terminals ignore this)"
    try:
        write_file(path, markdown.encode(), force=True, private=True)
    except StoreError as error:
        return f"{sent}; {text.plain(error.message)}"
    return f"{sent}; also written to {text.plain(str(path))}"


def _parts(document: RunDocument) -> Iterator[str]:
    yield _list(_facts(document))
    rows = [
        (name, *_stats(stats))
        for name, stats in (("ExecuTorch", document.latency_ms), ("eager", document.eager_latency_ms))
        if stats is not None
    ]
    if rows:
        columns = ("latency, ms", "median", "95 % interval", "mean", "min", "max", "std", "p95", "p99", "samples")
        yield _table(columns, rows, right=set(range(1, 10))).rstrip()
    accuracy = document.accuracy
    if accuracy is not None:
        comparisons = (("end to end", accuracy.end_to_end), ("lowering", accuracy.lowering))
        errors = [
            (f"{name}, against {comparison.against}", *_metrics(comparison.overall))
            for name, comparison in comparisons
            if comparison is not None
        ]
        headings = ("error", "MAE", "max", "RMSE", "SQNR dB", "cosine", "top-1")
        yield _table(headings, errors, right=set(range(1, 7))).rstrip()
    if document.flags:
        yield _list(f"**{_escaped(flag.name)}**: {_escaped(flag.detail)}" for flag in document.flags)


def _facts(document: RunDocument) -> Iterator[str]:
    yield f"run `{text.plain(document.id)}`, {document.status}, {text.local_time(document.created_at)}"
    if document.error:
        yield f"error: {_escaped(document.error)}"
    if (speedup := document.speedup) is not None:
        between = f" ({text.interval(speedup.ci95)}, {speedup.blocks} pairs of blocks)" if speedup.ci95 else ""
        verdict = f"{speedup.verdict}: " if speedup.verdict else ""
        yield f"speed: {verdict}{text.ratio(speedup.value)} eager{between}"
    if document.accuracy is not None:
        yield f"accuracy: {document.accuracy.verdict}: {_escaped(document.accuracy.reason)}"
    if document.artifact is not None:
        yield f"program: {text.size(document.artifact.size_bytes)}"
    if document.memory is not None and document.memory.peak_rss_bytes is not None:
        yield f"peak memory: {text.size(document.memory.peak_rss_bytes)}"
    if document.weights is not None:
        yield f"weights: {document.weights.kind}: {_escaped(document.weights.detail)}"
    threads = "" if document.threads is None else f", {document.threads} threads"
    yield f"measured with preset {_escaped(document.preset)}{threads}"
    if document.environment is not None:
        environment = document.environment
        versions = ", ".join(f"{name} {version}" for name, version in sorted(environment.versions.items()))
        machine = f"{_escaped(environment.box)}, {_escaped(environment.cpu)}, {environment.cores} cores"
        yield f"machine: {machine}; {_escaped(versions)}"
    if document.note:
        yield f"note: {_escaped(document.note)}"
    if document.tags:
        yield f"tags: {_escaped(', '.join(document.tags))}"


def _stats(stats: LatencyStats) -> tuple[str, ...]:
    values = (stats.mean, stats.min, stats.max, stats.std, stats.p95, stats.p99)
    count = text.MISSING if stats.count is None else f"{stats.count:,}"
    return (text.number(stats.median), text.interval(stats.ci95), *map(text.number, values), count)


def _metrics(metrics: Metrics) -> tuple[str, ...]:
    sqnr = "exact" if metrics.exact else text.number(metrics.sqnr_db)
    values = (metrics.mae, metrics.max_abs, metrics.rmse)
    return (*map(text.number, values), sqnr, text.number(metrics.cosine, 5), text.number(metrics.top1))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> str:
    """Return a Markdown table whose source is aligned."""
    cells = [list(headings), *([_escaped(cell) for cell in row] for row in rows)]
    widths = [max(3, *(text.width(row[index]) for row in cells)) for index in range(len(headings))]
    rule = ["-" * (wide - 1) + (":" if index in right else "-") for index, wide in enumerate(widths)]
    lines = [cells[0], rule, *cells[1:]]
    padded = [[_padded(cell, widths[index], index in right) for index, cell in enumerate(line)] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)


def _padded(cell: str, cells: int, right: bool) -> str:
    padding = " " * (cells - text.width(cell))
    return padding + cell if right else cell + padding


def _list(items: Iterator[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _escaped(value: str) -> str:
    """Return untrusted text without anything that Markdown or a terminal would interpret."""
    return _SPECIAL.sub(r"\\\1", text.plain(value))
