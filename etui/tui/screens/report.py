"""Write a report of some runs: where to, as HTML or Markdown, and never over a file without asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.widget import Widget
from textual.widgets import Button, Static

from etui.errors import EtuiError
from etui.paths import expanded
from etui.results import RunDocument
from etui.store.transfer import write_file
from etui.text import counted, plain
from etui.tui import suggest
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.screens.export import here
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow

SUFFIXES = (".html", ".md")
NAME = "etui-report.html"


class ReportDialog(Dialog[Path]):
    """Write a page on runs, the base first; the result is the file."""

    confirm_label = "Write"

    def __init__(self, documents: Sequence[RunDocument], *, margin: float, force: bool) -> None:
        super().__init__()
        self.title_text = f"Report of {counted(len(documents), 'run')}"
        self._documents = list(documents)
        self._margin = margin
        self._force = force
        self._path = Combo(str(here() / NAME), suggest=lambda text: suggest.paths(text, SUFFIXES))
        self._row = FormRow("Path", self._path)
        self._preview = Static(classes="dialog--note", markup=False)

    def body(self) -> Iterable[Widget]:
        """The path, and what would be written."""
        yield self._row
        yield self._preview

    def on_mount(self) -> None:
        """Say what the path means."""
        self._path.focus()
        self._show(self._path.value)

    def _show(self, text: str) -> None:
        self._row.mark(None)
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
        self._preview.update(Text(plain("; ".join(words))))

    @on(Combo.Typed)
    @on(Combo.Changed)
    def _path_changed(self, event: Combo.Told) -> None:
        event.stop()
        self._show(event.value)

    @on(Combo.Submitted)
    def _path_submitted(self, event: Combo.Submitted) -> None:
        event.stop()
        self.confirm()

    def confirm(self) -> None:
        """Write, unless a file is in the way: then ask."""
        text = self._path.value.strip()
        target = expanded(text).absolute()
        if target.suffix.lower() not in SUFFIXES:
            self._row.mark("a report is .html or .md; name a file such as report.html")
            self._path.focus()
            return
        try:
            is_folder, is_there = target.is_dir(), target.exists()
        except OSError as error:
            self._row.mark(f"cannot look there ({error.strerror}); check its permissions")
            return
        if is_folder:
            self._row.mark("this is a folder; name a file in it")
        elif is_there:
            self._ask(target)
        else:
            self._begin(target, force=False)

    def _ask(self, target: Path) -> None:
        def answered(overwrite: bool | None) -> None:
            if overwrite:
                self._begin(target, force=True)
            else:
                self._path.focus()

        text = f"This file is there already:\n\n{target}\n\nWhat it holds now is lost."
        self.app.push_screen(ConfirmDialog("Overwrite?", text, "Overwrite"), answered)

    def _begin(self, target: Path, *, force: bool) -> None:
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        self.say("writing")
        self._write(target, force)

    @work(thread=True, group="report", exit_on_error=False)
    def _write(self, target: Path, force: bool) -> None:
        from etui.report import pages
        from etui.report.content import report_of

        made = report_of(self._documents, margin=self._margin, force=self._force)
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
        self.query_one(f"#{CONFIRM}", Button).disabled = False
        self.say(problem, problem=True)
