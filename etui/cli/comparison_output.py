"""What ``etui compare`` and ``etui gate`` put out: words, tables, Markdown, JSON, JUnit XML, and their exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import click
import msgspec

from etui import text
from etui.analysis import comparison_words, gates, sides, words
from etui.analysis.comparison import RunComparison, compare
from etui.analysis.gates import Check, Limits
from etui.cli.table import Column, table
from etui.errors import EXIT_CROSSED, EXIT_DONE, EXIT_USAGE
from etui.report import markdown
from etui.results import RunDocument
from etui.store.transfer import write_file

SCHEMA = "etui.compare/1"


@dataclass(frozen=True)
class Compared:
    """A base, the runs beside it, and what came of it."""

    base: RunDocument
    others: list[RunDocument]
    found: list[RunComparison]
    checks: list[Check] = field(default_factory=list)

    @classmethod
    def of(
        cls, base: RunDocument, others: Sequence[RunDocument], *, margin: float, force: bool, limits: Limits
    ) -> Compared:
        """Compare the runs and look at the limits."""
        found = compare(base, others, margin=margin, force=force)
        checks = [
            one for result, other in zip(found, others, strict=True) for one in gates.check(result, other, limits)
        ]
        return cls(base, list(others), found, checks)

    @cached_property
    def names(self) -> dict[str, str]:
        """A short name for each run."""
        return comparison_words.names([self.base, *self.others])

    def sentences(self) -> list[list[str]]:
        """What can be said of each of the others."""
        if not self.others:
            alone = "There is only one run, so nothing to compare it with but eager of its own session."
            return [[alone, *words.verdict(self.base)]]
        said = []
        for found, other in zip(self.found, self.others, strict=True):
            lines = comparison_words.sentences(found, self.names)
            if other.id != self.base.id:
                lines.append(comparison_words.accuracy(self.base, other, self.names))
            said.append([line for line in lines if line])
        return said

    def figures(self, *, everything: bool) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of the table: what differs, or ``everything``."""
        named = self.names
        headings = [f"{named[self.base.id]} (base)", *(named[other.id] for other in self.others)]
        shown = [
            [row.name, *map(sides.shown, row.cells)]
            for row in sides.rows(self.base, self.others, self.found)
            if everything or row.differs or not self.others
        ]
        return ["", *headings], shown


def status_of(compared: Sequence[Compared], limits: Limits) -> int:
    """1 where a limit was crossed, 2 where limits were asked for and none could be looked at, else 0."""
    checks = [one for each in compared for one in each.checks]
    if any(one.outcome == "crossed" for one in checks):
        return EXIT_CROSSED
    if limits.asked and all(one.outcome == "not judged" for one in checks):
        return EXIT_USAGE
    return EXIT_DONE


def as_text(compared: Sequence[Compared], *, everything: bool) -> str:
    """Words first, then the checks, then the table."""
    parts = []
    for each in compared:
        lines = [text.plain(" ".join(said)) for said in each.sentences()]
        lines += [f"{check.outcome:<10}  {_checked(each, check)}" for check in each.checks]
        headings, rows = each.figures(everything=everything)
        columns = [Column(headings[0]), *(Column(heading) for heading in headings[1:])]
        parts.append("\n".join([*lines, "", table(columns, rows), f"{sides.BEST} the best of its row"]))
    return "\n\n".join(parts)


def as_markdown(compared: Sequence[Compared], *, everything: bool) -> str:
    """The same for a page: a list of words and a table."""
    lines = []
    for each in compared:
        model, base = each.base.model.name, each.names[each.base.id]
        lines += [f"## {markdown.escaped(f'{model}: compared with {base}')}", ""]
        lines += markdown.bullets(" ".join(said) for said in each.sentences())
        lines += markdown.bullets(f"{check.outcome}: {_checked(each, check)}" for check in each.checks)
        lines += ["", *markdown.table(*each.figures(everything=everything)), ""]
    return "\n".join(lines)


def as_json(compared: Sequence[Compared]) -> list[dict[str, object]]:
    """Everything, figures and words, as plain data."""
    return [
        {
            "schema": SCHEMA,
            "base": each.base.id,
            "others": [other.id for other in each.others],
            "comparisons": [
                {**msgspec.to_builtins(found), "words": said}
                for found, said in zip(each.found, each.sentences(), strict=bool(each.found))
            ],
            "checks": msgspec.to_builtins(each.checks),
            "rows": msgspec.to_builtins(sides.rows(each.base, each.others, each.found)),
        }
        for each in compared
    ]


def as_junit(compared: Sequence[Compared]) -> bytes:
    """JUnit XML with a test case a check; without checks, one a comparison, skipped where it was refused."""
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
            for found, said in zip(each.found, each.sentences(), strict=True):
                case = _case(suite, each, found.other, "comparison")
                counts["not judged"] += found.refused
                if found.refused:
                    ElementTree.SubElement(case, "skipped", message=text.plain(" ".join(said)))
                else:
                    ElementTree.SubElement(case, "system-out").text = text.plain(" ".join(said))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(counts["crossed"]))
    suite.set("errors", "0")
    suite.set("skipped", str(counts["not judged"]))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'.encode()


def write_reports(compared: Sequence[Compared], *, junit: Path | None, page: Path | None, everything: bool) -> None:
    """The files that were asked for; each is replaced whole. Raises StoreError."""
    if junit is not None:
        write_file(junit.expanduser(), as_junit(compared), force=True)
    if page is not None:
        write_file(page.expanduser(), as_markdown(compared, everything=everything).encode(), force=True)


def say_what_is_open(compared: Sequence[Compared]) -> None:
    """On stderr: limits that are neither held nor crossed, since a status of 0 hides them."""
    for each in compared:
        for check in each.checks:
            if check.outcome in ("open", "not judged"):
                click.echo(f"etui: {check.outcome}: {_checked(each, check)}", err=True)


def _checked(each: Compared, check: Check) -> str:
    return text.plain(f"{each.names[check.run]}: {check.name}: {check.detail}")


def _case(suite: ElementTree.Element, each: Compared, run_id: str, name: str) -> ElementTree.Element:
    run = next(other for other in each.others if other.id == run_id)
    choice = text.plain(f"{run.model.name} {run.precision}/{run.delegate}")
    return ElementTree.SubElement(suite, "testcase", classname=f"etui.{choice}", name=f"{name} ({run_id})")
