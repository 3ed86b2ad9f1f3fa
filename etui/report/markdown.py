"""Text and tables as Markdown that shows other people's text as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from etui import text


def escaped(words: str) -> str:
    """Text that Markdown, and the HTML in it, leave as it is."""
    made = text.plain(words).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for mark in "|*_`[]":
        made = made.replace(mark, f"\\{mark}")
    return made


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [_row(map(escaped, headings)), _row(["---"] * len(headings)), *(_row(map(escaped, row)) for row in rows)]


def bullets(lines: Iterable[str]) -> list[str]:
    """The lines of a list."""
    return [f"- {escaped(line)}" for line in lines]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
