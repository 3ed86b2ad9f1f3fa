"""Runs as Markdown, and copying text to the terminal's clipboard and to a file."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import App

from etui import text
from etui.errors import StoreError
from etui.facts import RunSummary
from etui.paths import state_dir
from etui.report import markdown
from etui.results import RunDocument
from etui.store.transfer import write_file
from etui.wording import run_facts
from etui.wording.verdict import verdict

COPY_NAME = "copied-runs.md"


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
    return "\n".join([*markdown.table(headings, rows, right={4, 5, 6, 7, 8, 9, 11, 12}), ""])


def run_markdown(document: RunDocument) -> str:
    """Return the verdict on a run and all its facts."""
    title = f"{document.model.name} {document.precision}/{document.delegate}"
    lines = [f"## {markdown.escaped(title)}", "", *markdown.bullets(one.text for one in verdict(document)), ""]
    for section in run_facts.sections(document):
        lines += markdown.section(section)
    return "\n".join(lines)


def copy_markdown(app: App[object], content: str) -> str:
    """Send a text to the terminal's clipboard and write it to a file; return a message on both."""
    app.copy_to_clipboard(content)
    path = state_dir() / COPY_NAME
    sent = "Sent to the terminal's clipboard (some terminals ignore this)"
    try:
        write_file(path, content.encode(), force=True, private=True)
    except StoreError as error:
        return f"{sent}; {text.plain(error.message)}"
    return f"{sent}; also written to {text.plain(str(path))}"
