"""The Artifact tab of the details: facts about the program, and the sections of its file."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.insight import Section
from etui.tui.details.artifact import artifact_page, artifact_tail
from etui.tui.details.loader import Reading
from etui.tui.details.sections import section_rows
from etui.tui.details.table_tab import TableTab
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.text_layout import Sheet, Styles


class ArtifactTab(TableTab):
    """Facts, the sections as a tree, and the lowering stages."""

    placeholder = "section; -word excludes"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sections: list[Section] | None = None
        self._rows: Rows | None = None

    def show(self, reading: Reading) -> None:
        """Show this run's program."""
        document = reading.document
        artifact = document.artifact
        sections = artifact.sections if artifact else []
        if sections != self._sections:
            self._sections = sections
            self._rows = (
                self.keep_filter(section_rows(sections, artifact.size_bytes)) if artifact and sections else None
            )
        self.view.show(
            self._rows,
            lambda width, styles: artifact_page(document, width, styles),
            lambda width, styles: artifact_tail(document, width, styles),
        )
        self.write_foot()

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """The section under the cursor."""
        sheet = Sheet(width, styles)
        if node is not None:
            detail = f": {node.item.detail}" if isinstance(node.item, Section) and node.item.detail else ""
            sheet.say(f"{node.key}{detail}", styles.muted)
        return Text("\n").join(sheet.text.split("\n")[:most])

    def match_summary(self, rows: Rows) -> str:
        """Return the number of matching sections, and their size."""
        matching = rows.matching()
        total = sum(size for node in matching if isinstance(size := node.figures.get("size"), float))
        return f"{text.counted(len(matching), 'section')}, {text.size(round(total))}"
