"""Text, tables and sections of a run as Markdown, with all text escaped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from etui import text
from etui.wording.run_sections import RunSection


def escaped(value: str) -> str:
    """Return text that Markdown, and the HTML in it, show unchanged."""
    result = text.plain(value).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for mark in "|*_`[]":
        result = result.replace(mark, f"\\{mark}")
    return result


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Return the lines of a table whose source is aligned; columns with an index in ``right`` are right-aligned."""
    cells = [list(map(escaped, row)) for row in (headings, *rows)]
    widths = [max(3, *(text.width(row[index]) for row in cells)) for index in range(len(headings))]
    rule = ["-" * (wide - 1) + (":" if index in right else "-") for index, wide in enumerate(widths)]
    lines = [[_padded(cell, widths[index], index in right) for index, cell in enumerate(row)] for row in cells]
    return [f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])]


def bullets(lines: Iterable[str]) -> list[str]:
    """Return the lines of a list."""
    return [f"- {escaped(line)}" for line in lines]


def section(section: RunSection) -> Iterator[str]:
    """Yield the lines of a section: heading, table and entries, each followed by an empty line."""
    yield from (f"### {escaped(section.heading)}", "")
    if section.table is not None:
        headings = section.table.headings
        yield from (*table(headings, section.table.rows, right=range(1, len(headings))), "")
    if section.entries:
        lines = (f"{entry.label}: {entry.value}" if entry.label else entry.value for entry in section.entries)
        yield from (*bullets(lines), "")


def _padded(cell: str, cells: int, right: bool) -> str:
    padding = " " * (cells - text.width(cell))
    return padding + cell if right else cell + padding
