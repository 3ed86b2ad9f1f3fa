"""The dialog that writes a diagram as a picture or page; asks before it overwrites a file."""

from __future__ import annotations

import re
from pathlib import Path

from etui.tui.screens.file_dialog import FileDialog
from etui.wording.diagram import Diagram

LIMIT_S = 120.0


class DiagramFileDialog(FileDialog):
    """Write a diagram; the result is the file."""

    kinds = {
        ".svg": "a picture that can be enlarged without loss",
        ".png": "a picture of pixels",
        ".html": "one HTML page with the picture and a table of the boxes, which opens offline",
    }
    advice = "enter a file ending in .svg, .png or .html"
    refusal = "a diagram is .svg, .png or .html; enter a file such as model.svg"

    def __init__(self, diagram: Diagram) -> None:
        super().__init__(f"{re.sub('[^A-Za-z0-9_.-]+', '_', diagram.title)}.svg")
        self.title_text = f"Diagram at level {diagram.level}"
        self._diagram = diagram

    def content(self, target: Path) -> bytes:
        """Return the picture or page."""
        from etui.report.diagram_file import diagram_file

        return diagram_file(self._diagram, target.suffix.lower(), limit_s=LIMIT_S)
