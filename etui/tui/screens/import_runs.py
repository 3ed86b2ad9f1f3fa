"""The dialog that imports runs from JSON files, with the result of each file."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Button, Static

from etui.errors import EtuiError, UsageError
from etui.text import plain
from etui.tui.database import Database
from etui.tui.error_text import to_text
from etui.tui.glyphs import Glyphs, glyphs_of
from etui.tui.import_files import FileImport, import_files, named_files, summary
from etui.tui.screens.dialog import CLOSE, CONFIRM
from etui.tui.screens.path_dialog import PathDialog
from etui.tui.workers import start

_MOST_LINES = 200
_UPDATE_S = 0.2


class ImportDialog(PathDialog[int]):
    """Import runs. The dialog stays open with its report; the result is the number of new runs."""

    title_text = "Import runs"
    confirm_label = "Import"
    close_label = "Close"

    DEFAULT_CSS = """
    ImportDialog .import--report { height: auto; max-height: 12; margin-top: 1; display: none; }
    ImportDialog .import--report.-shown { display: block; }
    """

    def __init__(self, database: Database, path: str = "") -> None:
        """``path`` is the initial path."""
        super().__init__(path, (".json",), placeholder="results/*.json")
        self._database = database
        self._report = Static(markup=False)
        self._scroll = VerticalScroll(self._report, classes="import--report")
        self._results: tuple[FileImport, ...] = ()
        self._imported = 0
        self._is_reading = self._is_stopped = False

    def body(self) -> Iterable[Widget]:
        """The path, a note on what it may be, and the report."""
        yield self.path_row
        yield Static(
            "A file, a folder, a pattern such as results/*.json, or several separated by spaces. Files may be exported"
            " runs or results of executorch-utils.",
            classes="dialog--note",
        )
        yield self._scroll

    def confirm(self) -> None:
        """Import the files that the path names."""
        try:
            files = named_files(self.path.value)
        except UsageError as error:
            self.refuse(to_text(error))
            return
        self.path_row.mark(None)
        self._results = ()
        self._show()
        self.say(f"reading {files[0].name}" if len(files) == 1 else f"reading {len(files):,} files")
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        self.relabel(CLOSE, "Stop")
        self._is_reading, self._is_stopped = True, False
        start(self, partial(self._import, files), group="import")

    async def _import(self, files: list[Path]) -> None:
        results: list[FileImport] = []
        shown_at = time.monotonic()
        problem = None
        try:
            async for result in import_files(self._database, files, lambda: self._is_stopped):
                results.append(result)
                # Many small files must not cause one redraw each.
                if time.monotonic() - shown_at > _UPDATE_S:
                    self._update(tuple(results))
                    shown_at = time.monotonic()
        except EtuiError as error:
            problem = to_text(error)
        self._update(tuple(results))
        self._ended(problem, len(files))

    def _update(self, results: tuple[FileImport, ...]) -> None:
        self._results = results
        self._show()

    def _ended(self, problem: str | None, count: int) -> None:
        self._is_reading = False
        self.query_one(f"#{CONFIRM}", Button).disabled = False
        self.relabel(CLOSE, self.close_label)
        self._imported += sum(result.new for result in self._results)
        if problem is not None:
            self.say(problem, problem=True)
            return
        refused = any(result.refused for result in self._results)
        left = count - len(self._results)
        stopped = f"; stopped, {left:,} {'file was' if left == 1 else 'files were'} not read" if left else ""
        self.say(summary(self._results) + stopped, problem=refused)
        self.query_one(f"#{CLOSE}", Button).focus()

    def _show(self) -> None:
        """Show a line per file, those refused first."""
        ordered = sorted(self._results, key=lambda result: result.refused is None)
        symbols = glyphs_of(self)
        text = Text("\n").join(_line(result, symbols) for result in ordered[:_MOST_LINES])
        if len(ordered) > _MOST_LINES:
            text.append(f"\nand {len(ordered) - _MOST_LINES:,} more files")
        self._report.update(text)
        self._scroll.set_class(bool(ordered), "-shown")

    def action_close(self) -> None:
        """Close; while files are read, stop after the current file instead."""
        if self._is_reading:
            self._is_stopped = True
        else:
            self.dismiss(self._imported)


def _line(result: FileImport, symbols: Glyphs) -> Text:
    name = plain(result.path.name)
    if result.refused is not None:
        return Text(f"{symbols.failed} {name}: refused: {plain(result.refused)}", style="bold")
    parts = [f"{count} {label}" for count, label in ((result.new, "new"), (result.known, "already stored")) if count]
    return Text(f"{symbols.done} {name}: {', '.join(parts)}")
