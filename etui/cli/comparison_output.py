"""The output of ``etui compare`` and ``etui gate``: text, tables, Markdown, JSON, JUnit XML, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import click
import msgspec

from etui import text
from etui.analysis import gates, side_by_side
from etui.analysis.comparison import compare
from etui.analysis.gates import Check, Limits
from etui.analysis.session_variance import SessionLatency
from etui.charts.forest import forest
from etui.charts.palette import palette
from etui.cli.table import Column, ascii_only, table, terminal_width
from etui.errors import EXIT_CROSSED, EXIT_DONE, EXIT_USAGE
from etui.files.atomic import write_file
from etui.report import comparison
from etui.results import RunDocument
from etui.wording import comparison_set, verdict_table
from etui.wording.comparison import can_be_forced, needs_duel
from etui.wording.verdict_table import verdict_rows

SCHEMA = "etui.compare/1"
_LEAST_COLUMN = 16
"""The least width of a run's column of metrics: a value with its change fits it."""
_NAME_CELLS, _PLOT_CELLS, _REASON_CELLS = 40, 40, 40
"""The maximum width of a name, of the plot and of a reason in the table of verdicts."""


@dataclass(frozen=True)
class Compared(comparison_set.Compared):
    """A comparison with the limits that were checked."""

    checks: list[Check] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        base: RunDocument,
        others: Sequence[RunDocument],
        *,
        margin: float,
        force: bool,
        limits: Limits,
        levels: Sequence[SessionLatency] = (),
    ) -> Compared:
        """Compare the runs and check the limits; ``levels`` are those of earlier sessions on the machine."""
        found = compare(base, others, margin=margin, force=force, levels=levels)
        checks = [
            one for result, other in zip(found, others, strict=True) for one in gates.check(result, other, limits)
        ]
        return cls(base, list(others), found, checks)


def status_of(compared: Sequence[Compared], limits: Limits) -> int:
    """Return 1 if a limit was crossed, 2 if a requested limit could not be checked, else 0: an unchecked limit must not
    look like one that was kept."""
    checks = [one for each in compared for one in each.checks]
    if any(one.outcome == "crossed" for one in checks):
        return EXIT_CROSSED
    if limits.asked and (not checks or any(one.outcome == "not judged" for one in checks)):
        return EXIT_USAGE
    return EXIT_DONE


def as_text(compared: Sequence[Compared], *, everything: bool) -> str:
    """Return the table of verdicts, the sentences, the checks, and the table of metrics."""
    parts = []
    for each in compared:
        lines = [_verdict_table(each), ""] if each.others else []
        lines += [text.plain(" ".join(sentences)) for sentences in each.sentences()]
        lines += [f"To settle it: etui duel {one.base[:6]} {one.other[:6]}" for one in each.found if needs_duel(one)]
        if any(map(can_be_forced, each.found)):
            lines.append("To compare the speed too, add --force")
        lines += [f"{check.outcome:<10}  {_checked(each, check)}" for check in each.checks]
        parts.append("\n".join([*lines, "", _metrics(each, everything), f"{side_by_side.BEST} best of its row"]))
    return "\n\n".join(parts)


def _metrics(compared: Compared, everything: bool) -> str:
    """Return the table of metrics, without the intervals and with shortened names if the terminal is too narrow."""
    room = terminal_width()
    headings, rows = compared.figures(everything=everything)
    drawn = table([Column(heading) for heading in headings], rows)
    if room is None or max(map(text.width, drawn.splitlines())) <= room:
        return drawn
    headings, rows = compared.figures(everything=everything, brief=True)
    each = max(_LEAST_COLUMN, (room - max(text.width(row[0]) for row in rows)) // max(1, len(headings) - 1) - 2)
    columns = [Column(text.shortened_start(heading, each), most=each) for heading in headings]
    columns[0] = Column(headings[0])
    return table(columns, rows)


def _verdict_table(compared: Compared) -> str:
    """Return one line per run: name, latency, ratio, the interval on an axis, verdict, and the reason if there is one.

    The reason of a run without a ratio takes the place of its interval on the axis.
    """
    rows = verdict_rows(compared)
    headings, texts = verdict_table.cells(rows)
    run, median, ratio, bounds, verdict, note = headings
    names_wide = min(_NAME_CELLS, max(text.width(line[0]) for line in texts))
    left = terminal_width()
    if left is not None:
        left -= names_wide + sum(max(text.width(line[place]) + 2 for line in (headings, *texts)) for place in (1, 2, 4))
    plot = forest(
        [row.estimate for row in rows if row.estimate is not None],
        margin=compared.found[0].margin,
        width=min(_PLOT_CELLS, left - 2 if left is not None else _PLOT_CELLS),
        glyphs=palette(unicode=not ascii_only()).glyphs,
    )
    columns = [
        Column(run, most=_NAME_CELLS), Column(median, right=True), Column(ratio, right=True), Column(bounds, spare=2),
        Column(plot.axis(), most=max(plot.width, _REASON_CELLS)), Column(verdict), Column(note, spare=1),
    ]  # fmt: skip
    lines = []
    for row, line in zip(rows, texts, strict=True):
        drawn = "".join(part for part, _ in plot.line(row.estimate)) if row.estimate is not None else row.note
        lines.append([*line[:4], drawn, row.verdict, row.note if row.estimate is not None else ""])
    shown = 7 if any(line[6] for line in lines) else 6
    return table(columns[:shown], [line[:shown] for line in lines])


def as_markdown(compared: Sequence[Compared], *, everything: bool) -> str:
    """Return the same as Markdown: a list of sentences and a table."""
    return "\n".join(
        comparison.as_markdown(
            each,
            everything=everything,
            remarks=[f"{check.outcome}: {_checked(each, check)}" for check in each.checks],
        )
        for each in compared
    )


def as_json(compared: Sequence[Compared]) -> list[dict[str, object]]:
    """Return everything, metrics and sentences, as plain data."""
    return [
        {
            "schema": SCHEMA,
            "base": each.base.id,
            "others": [other.id for other in each.others],
            "comparisons": [
                {**msgspec.to_builtins(found), "words": sentences}
                for found, sentences in zip(each.found, each.sentences(), strict=bool(each.found))
            ],
            "checks": msgspec.to_builtins(each.checks),
            "rows": msgspec.to_builtins(each.rows),
        }
        for each in compared
    ]


def as_junit(compared: Sequence[Compared]) -> bytes:
    """Return JUnit XML with one test case per check; without checks, one per comparison, skipped if it was refused."""
    suite = ElementTree.Element("testsuite", name="etui")
    counts = {"crossed": 0, "not judged": 0}
    for each in compared:
        for check in each.checks:
            case = _case(suite, each, check.run, check.name)
            detail = text.plain(check.detail)
            if check.outcome == "crossed":
                ElementTree.SubElement(case, "failure", message=detail)
            elif check.outcome == "not judged":
                ElementTree.SubElement(case, "skipped", message=detail)
            else:
                ElementTree.SubElement(case, "system-out").text = f"{check.outcome}: {detail}"
            counts[check.outcome] = counts.get(check.outcome, 0) + 1
        if not each.checks:
            for found, sentences in zip(each.found, each.sentences(), strict=bool(each.found)):
                case = _case(suite, each, found.other, "comparison")
                counts["not judged"] += found.refused
                if found.refused:
                    ElementTree.SubElement(case, "skipped", message=text.plain(" ".join(sentences)))
                else:
                    ElementTree.SubElement(case, "system-out").text = text.plain(" ".join(sentences))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(counts["crossed"]))
    suite.set("errors", "0")
    suite.set("skipped", str(counts["not judged"]))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'.encode()


def write_reports(compared: Sequence[Compared], *, junit: Path | None, page: Path | None, everything: bool) -> None:
    """Write the requested files, each atomically. Raises StoreError."""
    if junit is not None:
        write_file(junit, as_junit(compared), force=True)
    if page is not None:
        write_file(page, as_markdown(compared, everything=everything).encode(), force=True)


def report_unsettled(compared: Sequence[Compared]) -> None:
    """Print limits that are neither kept nor crossed on stderr, since status 0 would hide them."""
    for each in compared:
        for check in each.checks:
            if check.outcome in ("open", "not judged"):
                click.echo(f"etui: {check.outcome}: {_checked(each, check)}", err=True)


def _checked(each: Compared, check: Check) -> str:
    return text.plain(f"{each.names[check.run]}: {check.name}: {check.detail}")


def _case(suite: ElementTree.Element, each: Compared, run_id: str, name: str) -> ElementTree.Element:
    run = next(other for other in each.others if other.id == run_id)
    configuration = text.shortened(f"{run.model.name} {run.configuration}", text.LINE_CELLS)
    return ElementTree.SubElement(suite, "testcase", classname=f"etui.{configuration}", name=f"{name} ({run_id})")
