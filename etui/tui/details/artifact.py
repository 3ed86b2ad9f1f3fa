"""The text of the Artifact tab: the program's size and origin above its sections, and the lowering stages below."""

from __future__ import annotations

from rich.text import Text

from etui.charts.bars import bar
from etui.results import RunDocument
from etui.tui.details.section_view import add_section
from etui.tui.text_layout import Cell, Column, Sheet, Styles
from etui.wording import run as run_wording
from etui.wording import run_sections

_BAR = 24


def artifact_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the text above the table of sections."""
    sheet = Sheet(width, styles)
    if document.artifact is None:
        sheet.say("No program yet." if document.error is None else document.error, styles.muted)
        return sheet.text
    sheet.say(run_wording.size(document), styles.strong)
    add_section(sheet, run_sections.program(document), heading=False)
    if document.artifact.sections:
        sheet.heading("Sections", "the size of a section includes its subsections")
    return sheet.text


def artifact_tail(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the text below the table of sections: the stages with their seconds."""
    sheet = Sheet(width, styles)
    if not document.stages:
        return sheet.text
    if document.artifact is not None:
        sheet.say("")
    stages = run_sections.stages(document)
    sheet.heading(stages.title, stages.remark)
    longest = max(stage.seconds for stage in document.stages) or 1.0
    rows: list[list[str | Cell]] = [
        [entry.label, entry.value, Cell(bar(stage.seconds / longest, _BAR, unicode=styles.unicode), styles.muted)]
        for stage, entry in zip(document.stages, stages.entries, strict=True)
    ]
    columns = [Column("stage", right=False), Column("time", right=False), Column("", right=False, optional=True)]
    sheet.table(columns, rows)
    return sheet.text
