"""Runs as Markdown, and copying text to the terminal's clipboard and to a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import App

from etui import text
from etui.errors import StoreError
from etui.facts import Fact, RunSummary
from etui.files.atomic import write_file
from etui.paths import state_dir
from etui.report import markdown
from etui.results import RunDocument
from etui.wording import run_sections
from etui.wording.verdict import verdict

COPY_NAME = "copied-runs.md"


_FACTS: tuple[Fact[Any], ...] = (
    RunSummary.created_at, RunSummary.model, RunSummary.precision, RunSummary.delegate, RunSummary.latency_median_ms,
    RunSummary.latency_ci95_ms, RunSummary.latency_p95_ms, RunSummary.speedup, RunSummary.mae, RunSummary.sqnr_db,
    RunSummary.verdict, RunSummary.size_bytes, RunSummary.threads, RunSummary.flags, RunSummary.id,
)  # fmt: skip


def table_markdown(summaries: Sequence[RunSummary]) -> str:
    """Return a table with one row per run."""
    right = {place for place, fact in enumerate(_FACTS) if fact.kind.is_number}
    table = markdown.table([fact.text_heading for fact in _FACTS], map(_row, summaries), right=right)
    return "\n".join([*table, ""])


def run_markdown(document: RunDocument) -> str:
    """Return the verdict on a run and all its facts."""
    title = f"{document.model.name} {document.configuration}"
    lines = [f"## {markdown.escaped(title)}", "", *markdown.bullets(one.text for one in verdict(document)), ""]
    for section in run_sections.sections(document):
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


def _row(run: RunSummary) -> list[str]:
    special: dict[Fact[Any], str] = {RunSummary.speedup: text.speedup(run.speedup, run.speed_verdict)}
    if run.latency_median_ms is None:
        special[RunSummary.latency_median_ms] = run.status
    return [special[fact] if fact in special else fact.text(fact.of(run)) for fact in _FACTS]
