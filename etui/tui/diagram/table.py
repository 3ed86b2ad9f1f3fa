"""The table of a diagram's boxes between its title and a note on what is drawn."""

from __future__ import annotations

from rich.text import Text

from etui.charts.graph_lanes import ASCII_LANES, LaneGlyphs
from etui.text import counted
from etui.tui.details.table_tab import TableTab
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.diagram.rows import box_of, diagram_rows
from etui.tui.terminal import draws_unicode
from etui.tui.text_layout import Sheet, Styles
from etui.wording.diagram import Diagram, flow_legend, in_ascii


class BoxesTable(TableTab):
    """The boxes in an order of execution, and below them the box under the cursor."""

    placeholder = "module, type or value; -word excludes"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.diagram: Diagram | None = None

    def show(self, diagram: Diagram) -> None:
        """Show a diagram."""
        unicode = draws_unicode(self.app)
        self.diagram = diagram = diagram if unicode else in_ascii(diagram)
        rows, missing = diagram_rows(diagram, unicode=unicode)
        glyphs = LaneGlyphs() if unicode else ASCII_LANES
        notes = [
            f"{diagram.value_heading}: {diagram.heading}.",
            *diagram.notes,
            flow_legend(glyphs.after, glyphs.apart),
        ]
        if missing:
            notes.append(f"{counted(missing, 'edge')} not drawn; a picture has all of them.")
        self.view.show(
            self.keep_filter(rows),
            lambda width, styles: _said([diagram.subtitle], width, styles, after=True),
            lambda width, styles: _said(notes, width, styles, after=False),
        )
        self.write_foot()

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """Return what is in the box under the cursor."""
        sheet = Sheet(width, styles)
        box = box_of(node) if node is not None else None
        if box is not None:
            value = [f"{self.diagram.value_heading} {box.value}"] if self.diagram is not None and box.value else []
            sheet.say(", ".join(filter(None, (box.full_name, box.kind, *value))), styles.muted)
            sheet.say(", ".join(box.about), styles.muted)
        return Text("\n").join(sheet.text.split("\n")[:most])

    def match_summary(self, rows: Rows) -> str:
        """Return the number of matching boxes."""
        matching = len(rows.matching())
        return f"{matching:,} {'box' if matching == 1 else 'boxes'}"


def _said(lines: list[str], width: int, styles: Styles, *, after: bool) -> Text:
    sheet = Sheet(width, styles)
    if not after:
        sheet.line("")
    for line in lines:
        sheet.say(line, styles.muted)
    if after:
        sheet.line("")
    return sheet.text
