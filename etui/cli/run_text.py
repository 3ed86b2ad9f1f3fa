"""A run as text and small tables, as ``etui show`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etui import text
from etui.cli.table import Column, table
from etui.results import RunDocument
from etui.wording import run_sections
from etui.wording.run_sections import RunSection
from etui.wording.verdict import verdict

_LABEL_WIDTH = 20
_MARKS = {"bad": "! ", "warn": "! "}
_LINE_CELLS = 4000


def report(document: RunDocument, siblings: Sequence[RunDocument] = ()) -> str:
    """Return the text, free of terminal escapes. ``siblings`` are the other runs of its session."""
    parts = [_heading(document, siblings), *map(_section, run_sections.sections(document))]
    whole = text.plain("\n\n".join("\n".join(part) for part in parts), keep_lines=True)
    return "\n".join(text.shortened(line, _LINE_CELLS) for line in whole.split("\n"))


def _heading(document: RunDocument, siblings: Sequence[RunDocument]) -> Iterator[str]:
    """Yield the title and the verdict, each sentence with the section that holds its facts."""
    name = text.shortened(document.model.name, text.WHOLE_CELLS)
    yield f"{name}  {document.precision}/{document.delegate}  {document.status}  {document.id}"
    for sentence in verdict(document, siblings):
        row = sentence.row[:6] if sentence.source == "comparison" else sentence.row
        yield f"{sentence.text}  [{sentence.source}{f': {row}' if row else ''}]"


def _section(section: RunSection) -> Iterator[str]:
    """Yield the heading, the table, and the entries with aligned texts."""
    yield section.heading
    if section.table is not None:
        columns = [
            Column(name, right=place > 0, spare=place * (name in section.table.optional))
            for place, name in enumerate(section.table.headings)
        ]
        yield from (f"  {line}" for line in table(columns, section.table.rows).splitlines())
    for entry in section.entries:
        label = f"{entry.label:<{_LABEL_WIDTH - 1}} " if entry.label else _MARKS.get(entry.emphasis, "")
        first, *others = entry.value.splitlines() or [""]
        yield f"  {label}{first}"
        yield from (f"  {' ' * len(label)}{line}" for line in others)
