"""The Accuracy tab of the details: the verdict, both errors, and every output of every input."""

from __future__ import annotations

from rich.text import Text

from etui.results import Comparison, RunDocument
from etui.tui.details.section_view import add_section, emphasis_style
from etui.tui.text_layout import Column, Sheet, Styles
from etui.wording import run as run_wording
from etui.wording import run_sections
from etui.wording.run_sections import METRICS, Emphasis

_EMPHASIS: dict[str, Emphasis] = {"PASS": "good", "FAIL": "bad", "UNPROVEN": "warn"}


def accuracy_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the tab's text."""
    sheet = Sheet(width, styles)
    accuracy = document.accuracy
    if accuracy is None:
        sheet.say("The accuracy of this run was not measured.", styles.muted)
        return sheet.text
    glyph, style = emphasis_style(sheet, _EMPHASIS[accuracy.verdict])
    sheet.say(run_wording.accuracy(document), style, glyph=glyph)
    add_section(sheet, run_sections.accuracy(document), heading=False)
    add_section(sheet, run_sections.errors(document))
    _outputs(sheet, "End to end, per output", accuracy.end_to_end)
    if accuracy.lowering is not None:
        _outputs(sheet, "Lowering only, per output", accuracy.lowering)
    return sheet.text


def _outputs(sheet: Sheet, heading: str, comparison: Comparison) -> None:
    if not comparison.outputs:
        return
    sheet.heading(heading)
    columns = [
        Column("input"),
        Column("output", right=False),
        *(Column(name, optional=name in run_sections.OPTIONAL_METRICS) for name in METRICS),
        Column("shape", right=False, optional=True),
        Column("type", right=False, optional=True),
    ]
    rows = [
        [
            str(output.input + 1),
            output.name or str(output.output),
            *run_sections.metric_cells(output.metrics),
            "x".join(map(str, output.shape)),
            output.dtype,
        ]
        for output in comparison.outputs
    ]
    sheet.table(columns, rows)
