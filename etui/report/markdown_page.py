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
        lines += _folded(f"Environment: {about}", [*markdown.table(["", ""], environment), ""])
    return "\n".join(lines)


def _section(section: ModelSection) -> Iterator[str]:
    yield from _verdict(section.verdict)
    yield from _results(section.results)
    cards = [[card.label, card.value, card.remark] for card in section.cards]
    yield from _folded("Model and measurement", [*markdown.table(["", "", ""], cards), ""])
    yield from _folded("Comparisons", [*markdown.bullets(section.sentences), ""])
    if section.warnings:
        kinds = f"{CAVEAT} Warnings: {len(section.warnings)}"
        yield from _folded(kinds, [*markdown.bullets(section.warnings), ""])
    yield from _folded("All metrics", [*markdown.table(section.headings, section.rows), ""])
    for run in section.runs:
        lines = [line for part in run.sections for line in markdown.section(part)]
        yield from _folded(f"{run.name}: {run.summary}", lines)


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield from (f"**{markdown.escaped(marked(verdict.headline, verdict.tone))}**", "")
    if verdict.badges:
        badges = (marked(f"{badge.about}: {badge.word}", badge.tone) for badge in verdict.badges)
        yield from (" · ".join(map(markdown.escaped, badges)), "")
    # Two lists one after the other would be one with a paragraph per item.
    lines = [*verdict.reasons, *(f"{CAVEAT} {caveat}" for caveat in verdict.caveats)]
    if lines:
        yield from (*markdown.bullets(lines), "")


def _results(table: ResultsTable) -> Iterator[str]:
    rows = [[cell.text for cell in row] for row in table.rows]
    yield from (*markdown.table(table.headings, rows, right=range(1, len(table.headings))), "")
    if table.legend:
        yield from (f"*{markdown.escaped(table.legend)}*", "")


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines in an element that is closed at first; GitHub and GitLab render Markdown in it."""
    yield from ("<details>", f"<summary>{escape(text.plain(title))}</summary>", "", *lines, "</details>", "")
