"""A report as a Markdown page for a pull request: the content of the HTML report without its charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from etui import text
from etui.report import markdown
from etui.report.content import ModelSection, Report
from etui.report.glyphs import CAVEAT, marked
from etui.report.recommendation import Verdict
from etui.report.results_table import ResultsTable

_SEPARATOR = " · "
MOST_COLUMNS = 10
"""A table with more columns is cut off in the comment of a pull request, which is about 850 pixels wide."""
_SHORT = 8
_SPARE = {"p95, ms", "peak RSS, MB"}
"""Columns that a wide table of results omits; they are among all metrics."""


def as_markdown(report: Report) -> str:
    """Return the report as a Markdown page; parts that are long are folded."""
    lines = [f"# {markdown.escaped(report.title)}", "", markdown.escaped(report.subtitle), ""]
    several = len(report.sections) > 1
    if several:
        rows = [[section.title, marked(section.verdict.headline, section.verdict.tone)] for section in report.sections]
        lines += [*markdown.table(["model", "verdict"], rows), ""]
    for section in report.sections:
        if several:
            lines += [f"## {markdown.escaped(section.title)}", ""]
        lines += _section(section)
    lines += ["## Method and environment", "", *markdown.bullets(report.how), ""]
    for environment in report.environments:
        about = ", ".join(value for label, value in environment if label in ("machine name", "CPU"))
        lines += _folded(f"Environment: {about}", [*markdown.table(["fact", "value"], environment), ""])
    return "\n".join(lines)


def _section(section: ModelSection) -> Iterator[str]:
    yield from _verdict(section.verdict)
    yield from _results(section.results)
    cards = [[card.label, card.value, card.remark] for card in section.cards]
    yield from _folded("Model and measurement", [*markdown.table(["fact", "value", "remark"], cards), ""])
    yield from _folded("Comparisons", [*markdown.bullets(section.sentences), ""])
    if section.warnings:
        kinds = f"{CAVEAT} Warnings: {len(section.warnings)}"
        yield from _folded(kinds, [*markdown.bullets(section.warnings), ""])
    # Markdown shows several spaces as one.
    rows = [[_SEPARATOR.join(cell.split("  ")) for cell in row] for row in section.rows]
    yield from _folded("All metrics", [*markdown.table(["metric", *section.headings[1:]], rows), ""])
    for run in section.runs:
        lines = [line for part in run.sections for line in markdown.section(part)]
        yield from _folded(f"{run.name}: {run.summary}", lines)


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield from (f"**{markdown.escaped(marked(verdict.headline, verdict.tone))}**", "")
    if verdict.badges:
        badges = (marked(f"{badge.about}: {badge.word}", badge.tone) for badge in verdict.badges)
        yield from (_SEPARATOR.join(map(markdown.escaped, badges)), "")
    # Two lists one after the other would be one with a paragraph per item.
    lines = [*verdict.reasons, *(f"{CAVEAT} {caveat}" for caveat in verdict.caveats)]
    if lines:
        yield from (*markdown.bullets(lines), "")


def _results(table: ResultsTable) -> Iterator[str]:
    kept = [at for at, name in enumerate(table.headings) if len(table.headings) <= MOST_COLUMNS or name not in _SPARE]
    headings = [table.headings[at] for at in kept]
    rows = [[_on_one_line(row[at].text) for at in kept] for row in table.rows]
    yield from (*markdown.table(headings, rows, right=range(1, len(headings))), "")
    if table.legend:
        yield from (f"*{markdown.escaped(table.legend)}*", "")


def _on_one_line(cell: str) -> str:
    """Return a cell whose interval, or short figure with its glyph, is not broken over lines."""
    shown, comma, remark = cell.partition(", ")
    is_kept = " to " in shown or len(shown) <= _SHORT
    return (shown.replace(" ", "\xa0") if is_kept else shown) + comma + remark


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines in an element that is closed at first; GitHub and GitLab render Markdown in it."""
    yield from ("<details>", f"<summary>{escape(text.plain(title))}</summary>", "", *lines, "</details>", "")
