"""The text of the Artifact tab: the program's size and origin above its sections, and the lowering stages below."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.results import RunDocument
from etui.tui.details.bars import bar
from etui.tui.text_layout import Cell, Column, Sheet, Styles
from etui.wording import run as run_wording

_BAR = 24


def artifact_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the text above the table of sections."""
    sheet = Sheet(width, styles)
    artifact = document.artifact
    if artifact is None:
        sheet.say("No program yet." if document.error is None else document.error, styles.muted)
        return sheet.text
    sheet.say(run_wording.size(document), styles.strong)
    origin = "from the program cache" if artifact.cached else "built for this run"
    sheet.fact("file", f"{artifact.kind}, {artifact.size_bytes:,} bytes, {origin}")
    sheet.fact("sha256", artifact.sha256)
    sheet.fact("cache key", artifact.key)
    if artifact.sections:
        sheet.heading("Sections", "the size of a section includes its subsections")
    return sheet.text


def artifact_tail(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the text below the table of sections: the stages with their seconds."""
    sheet = Sheet(width, styles)
    if not document.stages:
        return sheet.text
    if document.artifact is not None:
        sheet.say("")
    spent = sum(stage.seconds for stage in document.stages if not stage.cached)
    sheet.heading("Stages", f"{text.seconds(spent)} in this run, without cached stages")
    longest = max(stage.seconds for stage in document.stages) or 1.0
    unicode = not styles.rule.isascii()
    rows: list[list[str | Cell]] = [
        [
            stage.name,
            text.seconds(stage.seconds),
            "cached" if stage.cached else "",
            Cell(bar(stage.seconds / longest, _BAR, unicode=unicode), styles.muted),
        ]
        for stage in document.stages
    ]
    columns = [
        Column("stage", right=False),
        Column("time"),
        Column("", right=False),
        Column("", right=False, optional=True),
    ]
    sheet.table(columns, rows)
    return sheet.text
