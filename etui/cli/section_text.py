"""The title and the sections of a run as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator

from etui import text
from etui.cli.table import Column, table, terminal_width
from etui.results import RunDocument
from etui.wording.run_sections import RunSection

_INDENT = "  "
_LEAST_VALUE = 30
_LABEL_WIDTH = 20
_MARKS = {"bad": "! ", "warn": "! "}


def run_title(document: RunDocument) -> str:
    """Return model, precision, delegate, status and id of a run in one line."""
    name = text.shortened(document.model.name, text.WHOLE_CELLS)
    return f"{name}  {document.configuration}  {document.status}  {document.id}"


def section_lines(section: RunSection) -> Iterator[str]:
    """Yield the heading, the table, and the entries with aligned texts; nothing for an empty section."""
    if section:
        yield section.heading
    room = terminal_width()
    if section.table is not None:
        columns = [
            Column(name, right=place > 0, spare=place * (name in section.table.optional))
            for place, name in enumerate(section.table.headings)
        ]
        drawn = table(columns, section.table.rows, None if room is None else room - len(_INDENT))
        yield from (f"{_INDENT}{line}" for line in drawn.splitlines())
    for entry in section.entries:
        label = f"{entry.label:<{_LABEL_WIDTH - 1}} " if entry.label else _MARKS.get(entry.emphasis, "")
        lines = entry.value.splitlines() or [""]
        if room is not None:
            cells = max(_LEAST_VALUE, room - len(_INDENT) - len(label))
            lines = [part for line in lines for part in text.wrapped(line, cells)]
        first, *others = lines
        yield f"  {label}{first}"
        yield from (f"  {' ' * len(label)}{line}" for line in others)
