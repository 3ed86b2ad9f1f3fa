"""Runs from JSON files: which ones, and a report on each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text
from textual import work
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Button, Static
from textual.worker import get_current_worker

from etui.errors import EtuiError, UsageError
from etui.text import plain
from etui.tui.glyphs import Glyphs, glyphs_of
from etui.tui.import_files import Taken, named_files, outcome, take_in
from etui.tui.screens.dialog import CLOSE, CONFIRM
from etui.tui.screens.path_dialog import PathDialog

_REPORTED = 200
_PICTURE_S = 0.2


class ImportDialog(PathDialog[int]):
    """Take runs in. It stays open with its report; the result is how many runs were new."""

    title_text = "Import runs"
    confirm_label = "Import"
    close_label = "Close"

    DEFAULT_CSS = """
    ImportDialog .import--report { height: auto; max-height: 12; margin-top: 1; display: none; }
    ImportDialog .import--report.-shown { display: block; }
    """

    def __init__(self, database: Path, start: str = "") -> None:
        """``start`` is a path that stands in the field to begin with."""
        super().__init__(start, (".json",), placeholder="results/*.json")
        self._database = database
        self._report = Static(markup=False)
        self._scroll = VerticalScroll(self._report, classes="import--report")
        self._taken: tuple[Taken, ...] = ()
        self._came_in = 0
        self._reading = False

    def body(self) -> Iterable[Widget]:
        """The path, what may stand there, and the report."""
        yield self.path_row
        yield Static(
            "A file, a folder, a pattern such as results/*.json, or several with spaces between them: what etui export"
            " wrote, or results of executorch-utils.",
            classes="dialog--note",
        )
        yield self._scroll

    def confirm(self) -> None:
        """Take in what the path names."""
        try:
            files = named_files(self.path.value)
        except UsageError as error:
            self.refuse(str(error))
            return
        self.path_row.mark(None)
        self._taken = ()
        self._show()
        self.say(f"reading {files[0].name}" if len(files) == 1 else f"reading {len(files):,} files")
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        self.relabel(CLOSE, "Stop")
        self._reading = True
        self._take_in(files)

    @work(thread=True, group="import")
    def _take_in(self, files: list[Path]) -> None:
        worker = get_current_worker()
        taken: list[Taken] = []
        shown_at = time.monotonic()
        problem = None
        try:
            for one in take_in(self._database, files, lambda: worker.is_cancelled):
                taken.append(one)
                # A thousand small files a second must not make a thousand pictures.
                if time.monotonic() - shown_at > _PICTURE_S:
                    self.call_later(self._took, tuple(taken))
                    shown_at = time.monotonic()
        except EtuiError as error:
            problem = str(error)
        self.call_later(self._took, tuple(taken))
        self.call_later(self._ended, problem, len(files))

    def _took(self, taken: tuple[Taken, ...]) -> None:
        self._taken = taken
        self._show()

    def _ended(self, problem: str | None, count: int) -> None:
        self._reading = False
        self.query_one(f"#{CONFIRM}", Button).disabled = False
        self.relabel(CLOSE, self.close_label)
        self._came_in += sum(one.new for one in self._taken)
        if problem is not None:
            self.say(problem, problem=True)
            return
        refused = any(one.refused for one in self._taken)
        left = count - len(self._taken)
        stopped = f"; stopped, {left:,} {'file was' if left == 1 else 'files were'} not read" if left else ""
        self.say(outcome(self._taken) + stopped, problem=refused)
        self.query_one(f"#{CLOSE}", Button).focus()

    def _show(self) -> None:
        """A line a file: those refused first, since something is to be done about them."""
        ordered = sorted(self._taken, key=lambda one: one.refused is None)
        signs = glyphs_of(self)
        text = Text("\n").join(_line(one, signs) for one in ordered[:_REPORTED])
        if len(ordered) > _REPORTED:
            text.append(f"\nand {len(ordered) - _REPORTED:,} files more")
        self._report.update(text)
        self._scroll.set_class(bool(ordered), "-shown")

    def action_close(self) -> None:
        """Stop after the file at hand while files are read, and report; else close."""
        if self._reading:
            self.workers.cancel_group(self, "import")
        else:
            self.dismiss(self._came_in)


def _line(one: Taken, signs: Glyphs) -> Text:
    name = plain(one.path.name)
    if one.refused is not None:
        return Text(f"{signs.failed} {name}: refused: {plain(one.refused)}", style="bold")
    parts = [f"{count} {word}" for count, word in ((one.new, "new"), (one.known, "there already")) if count]
    return Text(f"{signs.done} {name}: {', '.join(parts)}")
