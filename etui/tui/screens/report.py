"""The dialog that writes a report as HTML or Markdown; asks before it overwrites a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from rich.text import Text
from textual.widget import Widget

from etui.analysis.session_variance import SessionLatency
from etui.errors import EtuiError, UsageError
from etui.files.atomic import write_file
from etui.paths import absolute, expanded
from etui.results import RunDocument
from etui.text import counted, plain
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import WriteDialog, here
from etui.tui.workers import start

SUFFIXES = (".html", ".md")
NAME = "etui-report.html"


class ReportDialog(WriteDialog[Path]):
    """Write a report on runs, the baseline first; the result is the file."""

    confirm_label = "Write"

    def __init__(
        self, documents: Sequence[RunDocument], *, margin: float, force: bool, levels: Sequence[SessionLatency] = ()
    ) -> None:
        super().__init__(str(here() / NAME), SUFFIXES)
        self.title_text = f"Report on {counted(len(documents), 'run')}"
        self._documents = list(documents)
        self._margin = margin
        self._force = force
        self._levels = list(levels)

    def body(self) -> Iterable[Widget]:
        """The path, and a preview of what will be written."""
        yield self.path_row
        yield self.preview

    def on_mount(self) -> None:
        """Update the preview."""
        self.path_changed(self.path.value)

    def path_changed(self, text: str) -> None:
        """Update the preview."""
        super().path_changed(text)
        target = expanded(text.strip())
        kinds = {
            ".html": "one HTML file with charts, which opens offline",
            ".md": "a Markdown page for a pull request, without charts",
        }
        notes = [kinds.get(target.suffix.lower(), "enter a file ending in .html (with charts) or .md")]
        try:
            if target.suffix.lower() in kinds and target.exists():
                notes.append("it exists already: you are asked before it is overwritten")
            elif target.suffix.lower() in kinds and not target.parent.is_dir():
                notes.append(f"the folder {target.parent} will be created")
        except OSError as error:
            notes.append(f"cannot access this path ({error.strerror})")
        self.preview.update(Text(plain("; ".join(notes))))

    def confirm(self) -> None:
        """Write the file; ask first if it exists."""
        try:
            target = absolute(self.path.value.strip(), "the file")
        except UsageError as error:
            self.refuse(to_text(error))
            return
        if target.suffix.lower() not in SUFFIXES:
            self.refuse("a report is .html or .md; enter a file such as report.html")
            return
        try:
            is_folder, exists = target.is_dir(), target.exists()
        except OSError as error:
            self.path_row.mark(f"cannot access this path ({error.strerror}); check its permissions")
            return
        if is_folder:
            self.path_row.mark("this is a folder; enter a file in it")
        elif exists:
            self.ask(target, [target])
        else:
            self.begin(target, force=False)

    def write(self, target: Path, *, force: bool) -> None:
        """Write the report in a thread."""
        self.say("writing")
        start(self, partial(self._write, target, force), group="report")

    async def _write(self, target: Path, force: bool) -> None:
        try:
            await asyncio.to_thread(self._write_file, target, force)
        except EtuiError as error:
            self.allow_retry()
            self.say(error.message, problem=True)
        else:
            self.dismiss(target)

    def _write_file(self, target: Path, force: bool) -> None:
        from etui.report.content import report_of
        from etui.report.html_page import as_html
        from etui.report.markdown_page import as_markdown

        report = report_of(self._documents, margin=self._margin, force=self._force, levels=self._levels)
        page = as_html(report) if target.suffix.lower() == ".html" else as_markdown(report)
        write_file(target, page.encode(), force=force)
