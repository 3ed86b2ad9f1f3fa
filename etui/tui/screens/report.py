"""Write a report of some runs: where to, as HTML or Markdown, and never over a file without asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.text import Text
from textual import work
from textual.widget import Widget

from etui.analysis.session_variance import Level
from etui.errors import EtuiError, UsageError
from etui.paths import absolute, expanded
from etui.results import RunDocument
from etui.store.transfer import write_file
from etui.text import counted, plain
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import WriteDialog, here

SUFFIXES = (".html", ".md")
NAME = "etui-report.html"


class ReportDialog(WriteDialog[Path]):
    """Write a page on runs, the base first; the result is the file."""

    confirm_label = "Write"

    def __init__(
        self, documents: Sequence[RunDocument], *, margin: float, force: bool, levels: Sequence[Level] = ()
    ) -> None:
        super().__init__(str(here() / NAME), SUFFIXES)
        self.title_text = f"Report of {counted(len(documents), 'run')}"
        self._documents = list(documents)
        self._margin = margin
        self._force = force
        self._levels = list(levels)

    def body(self) -> Iterable[Widget]:
        """The path, and what would be written."""
        yield self.path_row
        yield self.preview

    def on_mount(self) -> None:
        """Say what the path means."""
        self.path_changed(self.path.value)

    def path_changed(self, text: str) -> None:
        """Say what the path means."""
        super().path_changed(text)
        target = expanded(text.strip())
        kinds = {
            ".html": "one HTML file with charts, which opens offline",
            ".md": "a Markdown page, without charts",
        }
        words = [kinds.get(target.suffix.lower(), "name a file ending in .html (with charts) or .md")]
        try:
            if target.suffix.lower() in kinds and target.exists():
                words.append("it is there already: you are asked before it is overwritten")
            elif target.suffix.lower() in kinds and not target.parent.is_dir():
                words.append(f"the folder {target.parent} will be made")
        except OSError as error:
            words.append(f"cannot look there ({error.strerror})")
        self.preview.update(Text(plain("; ".join(words))))

    def confirm(self) -> None:
        """Write, unless a file is in the way: then ask."""
        try:
            target = absolute(self.path.value.strip(), "the file")
        except UsageError as error:
            self.refuse(to_text(error))
            return
        if target.suffix.lower() not in SUFFIXES:
            self.refuse("a report is .html or .md; name a file such as report.html")
            return
        try:
            is_folder, is_there = target.is_dir(), target.exists()
        except OSError as error:
            self.path_row.mark(f"cannot look there ({error.strerror}); check its permissions")
            return
        if is_folder:
            self.path_row.mark("this is a folder; name a file in it")
        elif is_there:
            self.ask(target, [target])
        else:
            self.begin(target, force=False)

    def write(self, target: Path, *, force: bool) -> None:
        """Write the page, beside the screen."""
        self.say("writing")
        self._write(target, force)

    @work(thread=True, group="report")
    def _write(self, target: Path, force: bool) -> None:
        from etui.report import pages
        from etui.report.content import report_of

        made = report_of(self._documents, margin=self._margin, force=self._force, levels=self._levels)
        page = pages.as_html(made) if target.suffix.lower() == ".html" else pages.as_markdown(made)
        try:
            write_file(target, page.encode(), force=force)
        except EtuiError as error:
            self.call_later(self._failed, error.message)
        else:
            self.call_later(self._done, target)

    def _done(self, target: Path) -> None:
        self.dismiss(target)

    def _failed(self, problem: str) -> None:
        self.again()
        self.say(problem, problem=True)
