"""The dialog that writes a report as HTML or Markdown; asks before it overwrites a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from etui.analysis.session_variance import SessionLatency
from etui.results import RunDocument
from etui.text import counted
from etui.tui.screens.file_dialog import FileDialog

NAME = "etui-report.html"


class ReportDialog(FileDialog):
    """Write a report on runs, the baseline first; the result is the file."""

    kinds = {
        ".html": "one HTML file with charts, which opens offline",
        ".md": "a Markdown page for a pull request, without charts",
    }
    advice = "enter a file ending in .html (with charts) or .md"
    refusal = "a report is .html or .md; enter a file such as report.html"

    def __init__(
        self, documents: Sequence[RunDocument], *, margin: float, force: bool, levels: Sequence[SessionLatency] = ()
    ) -> None:
        super().__init__(NAME)
        self.title_text = f"Report on {counted(len(documents), 'run')}"
        self._documents = list(documents)
        self._margin = margin
        self._force = force
        self._levels = list(levels)

    def content(self, target: Path) -> bytes:
        """Return the report."""
        from etui.report.content import report_of
        from etui.report.html_page import as_html
        from etui.report.markdown_page import as_markdown

        report = report_of(self._documents, margin=self._margin, force=self._force, levels=self._levels)
        page = as_html(report) if target.suffix.lower() == ".html" else as_markdown(report)
        return page.encode()
