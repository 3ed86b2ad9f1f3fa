"""Text and tables as Markdown, with all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from etui import text


def escaped(value: str) -> str:
    """Return text that Markdown, and the HTML in it, show unchanged."""
    result = text.plain(value).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for mark in "|*_`[]":
        result = result.replace(mark, f"\\{mark}")
    return result


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [_row(map(escaped, headings)), _row(["---"] * len(headings)), *(_row(map(escaped, row)) for row in rows)]


def bullets(lines: Iterable[str]) -> list[str]:
    """Return the lines of a list."""
    return [f"- {escaped(line)}" for line in lines]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
