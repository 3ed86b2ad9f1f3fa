"""A run as text and small tables, as ``etui show`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etui import text
from etui.cli.section_text import run_title, section_lines
from etui.cli.table import wrapped_to_terminal
from etui.results import RunDocument
from etui.wording import run_sections
from etui.wording.verdict import verdict

_LINE_CELLS = 4000


def report(document: RunDocument, siblings: Sequence[RunDocument] = ()) -> str:
    """Return the text, free of terminal escapes. ``siblings`` are the other runs of its session."""
    parts = [_heading(document, siblings), *map(section_lines, run_sections.sections(document))]
    whole = text.plain("\n\n".join("\n".join(part) for part in parts), keep_lines=True)
    return "\n".join(text.shortened(line, _LINE_CELLS) for line in whole.split("\n"))


def _heading(document: RunDocument, siblings: Sequence[RunDocument]) -> Iterator[str]:
    """Yield the title and the verdict, each sentence with the section that holds its facts."""
    yield run_title(document)
    for sentence in verdict(document, siblings):
        row = sentence.row[:6] if sentence.source == "comparison" else sentence.row
        yield wrapped_to_terminal(f"{sentence.text}  [{sentence.source}{f': {row}' if row else ''}]")
