"""The output of ``etui compare`` and ``etui gate``: text, tables, Markdown, JSON, JUnit XML, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import click
import msgspec

from etui import text
from etui.analysis import gates, side_by_side
from etui.analysis.comparison import compare
from etui.analysis.gates import Check, Limits
from etui.analysis.session_variance import SessionLatency
from etui.analysis.task_changes import changes_between
from etui.charts.forest import forest
from etui.charts.palette import palette
from etui.cli.number_alignment import aligned
from etui.cli.table import Column, ascii_only, table, terminal_width, wrapped_to_terminal
from etui.errors import EXIT_CROSSED, EXIT_DONE, EXIT_USAGE
from etui.files.atomic import write_file
from etui.report import comparison
from etui.results import RunDocument
from etui.wording import comparison_set, verdict_table
from etui.wording.comparison import can_be_forced, needs_duel
from etui.wording.verdict_table import verdict_rows

SCHEMA = "etui.compare/1"
_LEAST_COLUMN = 14
"""The least width of a run's column of metrics, for its name."""

_LEGEND = f"{side_by_side.BEST} best of its row"
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
        drawn = [_verdict_table(each), ""] if each.others else []
        lines = [text.plain(" ".join(sentences)) for sentences in each.sentences()]
        lines += [f"To settle it: etui duel {one.base[:6]} {one.other[:6]}" for one in each.found if needs_duel(one)]
        if any(map(can_be_forced, each.found)):
            lines.append("To compare the speed too, add --force")
        lines += [f"{check.outcome:<10}  {_checked(each, check)}" for check in each.checks]
        parts.append("\n".join([*drawn, *map(wrapped_to_terminal, lines), "", _metrics(each, everything)]))
    return "\n\n".join(parts)


def _metrics(compared: Compared, everything: bool) -> str:
    """Return the table of metrics. If the terminal is too narrow, it is without intervals, in as many parts as needed,
    of which each has the base."""
    rows, room = compared.metrics(everything=everything), terminal_width()
    names = [row.name for row in rows]
    label = max(map(text.width, names), default=0)
    columns = [[row.cells[place] for row in rows] for place in range(len(compared.headings))]
    full = [
        _MetricColumn.of(heading, cells, brief=False) for heading, cells in zip(compared.headings, columns, strict=True)
    ]
    if room is None or label + sum(2 + max(map(text.width, (one.heading, *one.cells))) for one in full) <= room:
        return "\n".join([_part(names, full), _LEGEND])
    runs = [compared.base, *compared.others]
    base, *others = [
        _MetricColumn.of(compared.names[run.id], cells, brief=True) for run, cells in zip(runs, columns, strict=True)
    ]
    parts: list[list[_MetricColumn]] = []
    for other in others:
        if parts and label + sum(2 + one.cells_wide for one in (*parts[-1], other)) <= room:
            parts[-1].append(other)
        else:
            parts.append([base, other])
    tables = "\n\n".join(_part(names, part) for part in parts or [[base]])
    return f"{tables}\n{_LEGEND}; changes are against {base.heading}"


def _part(names: Sequence[str], columns: Sequence[_MetricColumn]) -> str:
    shown = [Column(text.shortened_start(one.heading, one.cells_wide), most=one.cells_wide) for one in columns]
    return table([Column(""), *shown], [list(row) for row in zip(names, *(one.cells for one in columns), strict=True)])


class _MetricColumn(NamedTuple):
    """The column of one run: its name, its cells, and the cells that its numbers need."""

    heading: str
    cells: list[str]
    cells_wide: int

    @classmethod
    def of(cls, heading: str, cells: Sequence[side_by_side.Cell], *, brief: bool) -> _MetricColumn:
        """Return the column with the decimal points of values, changes and intervals below each other. ``brief`` leaves
        out the intervals, and the column is as narrow as possible: longer texts are cut."""
        parts = list(map(side_by_side.parts, cells))
        are_numbers = [not isinstance(cell.value, str) for cell in cells]
        values = iter(aligned([part.value for part, is_number in zip(parts, are_numbers, strict=True) if is_number]))
        changes = aligned([part.change for part in parts])
        intervals = [""] * len(parts) if brief else aligned([part.interval for part in parts])
        gap = " " if brief else "  "
        made = [
            " ".join(filter(None, (f"{next(values)}{change and gap}{change}", interval, part.mark))).rstrip()
            if is_number
            else part.value
            for part, is_number, change, interval in zip(parts, are_numbers, changes, intervals, strict=True)
        ]
        needed = [text.width(cell) for cell, is_number in zip(made, are_numbers, strict=True) if is_number]
        least = min(text.width(heading), _LEAST_COLUMN) if brief else text.width(heading)
        texts = [] if brief else map(text.width, made)
        return cls(heading, made, max([least, *needed, *texts]))


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
        Column(run, most=_NAME_CELLS), Column(median, right=True), Column(ratio, right=True),
        Column(bounds, right=True, spare=2), Column(plot.axis(), most=max(plot.width, _REASON_CELLS)),
        Column(verdict, whole=True), Column(note, spare=1, most=_REASON_CELLS),
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
                {**msgspec.to_builtins(found), "words": sentences, "task": _task(each.base, other)}
                for found, sentences, other in zip(each.found, each.sentences(), each.others, strict=bool(each.found))
            ],
            "checks": msgspec.to_builtins(each.checks),
            "rows": msgspec.to_builtins(each.rows),
        }
        for each in compared
    ]


def _task(base: RunDocument, other: RunDocument) -> dict[str, object] | None:
    """Return the categories and images of labelled images that differ; None if not both runs were evaluated on them."""
    changes = changes_between(base, other)
    if changes is None:
        return None
    return {
        "metric": changes.evaluation.metric,
        "categories": msgspec.to_builtins(changes.categories),
        "images": msgspec.to_builtins(changes.images),
        "image_count": changes.image_count,
    }


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
