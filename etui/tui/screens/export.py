"""The dialog that exports runs as JSON: to one file or one file per run; asks before it overwrites files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from sys import intern
from typing import NamedTuple

from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import Button

from etui.errors import EtuiError, UsageError
from etui.facts import RunSummary
from etui.files.atomic import write_file
from etui.paths import absolute, expanded
from etui.results import LIVE_STATUSES
from etui.store import Store
from etui.store.transfer import RunName, encoded, file_names, is_one_file, planned_files
from etui.text import counted, plain
from etui.tui.database import Database
from etui.tui.error_text import to_text
from etui.tui.screens.dialog import CLOSE, CONFIRM
from etui.tui.screens.path_dialog import WriteDialog, here
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow
from etui.tui.workers import start

_EACH, _ALL = "one file per run", "one file for all"
_MOST_NAMED = 4
_MOST_CHECKED = 200


class _RunName(NamedTuple):
    """The facts of a run that name its file; of 100,000 runs, nothing more is kept in memory."""

    id: str
    model: str
    precision: str
    delegate: str
    is_live: bool


class ExportDialog(WriteDialog[list[Path]]):
    """Export runs as JSON; the result is the list of files written."""

    confirm_label = "Export"

    def __init__(self, database: Database, run_ids: Sequence[str]) -> None:
        self._here = here()
        super().__init__(f"{self._here}/", (".json",))
        self._database = database
        self._ids = list(dict.fromkeys(run_ids))
        self.title_text = f"Export {counted(len(self._ids), 'run')}"
        self._runs: list[_RunName] = []
        self._is_writing = self._is_stopped = False
        self._shape = Cycle([(_EACH, ""), (_ALL, "")], _EACH)

    def body(self) -> Iterable[Widget]:
        """The layout, the path, and a preview of what will be written."""
        if len(self._ids) > 1:
            yield FormRow("As", self._shape)
        yield self.path_row
        yield self.preview

    def on_mount(self) -> None:
        """Read the runs, for the names of their files."""
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        start(self, self._read_runs, group="export")

    async def _read_runs(self) -> None:
        def names(store: Store) -> list[_RunName]:
            return [_name_of(store.summary(run_id)) for run_id in self._ids]

        try:
            self._runs = runs = await self._database.read(names)
        except EtuiError as error:
            self._failed(to_text(error))
            return
        self.query_one(f"#{CONFIRM}", Button).disabled = False
        if len(runs) == 1 and self.path.value == f"{self._here}/":
            self.path.value = str(self._here / file_names(self._names())[0])
        self.path_changed(self.path.value)

    # Preview

    def _names(self) -> list[RunName]:
        return [(run.model, run.precision, run.delegate, run.id) for run in self._runs]

    def _files(self, target: Path) -> list[tuple[Path, list[str]]]:
        """Return each file with the ids of its runs."""
        return planned_files(self._names(), target)

    def path_changed(self, text: str) -> None:
        """Update the preview."""
        super().path_changed(text)
        target = expanded(text)
        if not text.strip() or not self._runs:
            self.preview.update("")
            return
        try:
            files = [path for path, _ in self._files(target)]
            existing = sum(path.exists() for path in files[:_MOST_CHECKED])
            is_new_folder = not files[0].parent.is_dir()
        except OSError as error:
            self.path_row.mark(f"cannot access this path ({error.strerror}); check its permissions")
            return
        notes = [_list_of(files)] if len(files) > 1 else [] if existing else ["a new file"]
        if is_new_folder:
            notes.append(f"the folder {files[0].parent} will be created")
        if existing:
            which = "it exists" if len(files) == 1 else f"{existing:,} exist{'s' if existing == 1 else ''}"
            notes.append(f"{which} already: you are asked before anything is overwritten")
        live = sum(run.is_live for run in self._runs)
        if live:
            notes.append(f"{live:,} still running: exported with their results so far")
        self.preview.update(Text(plain("; ".join(notes))))
        if len(self._ids) > 1:
            self._shape.value = _ALL if is_one_file(target) else _EACH

    @on(Cycle.Changed)
    def _shape_changed(self, event: Cycle.Changed) -> None:
        event.stop()
        path = Path(self.path.value or ".")
        if event.value == _ALL:
            self.path.value = str(path / "etui-runs.json" if path.suffix != ".json" else path)
        else:
            self.path.value = f"{path.parent if path.suffix == '.json' else path}/"
        self.path_changed(self.path.value)

    # Export

    def confirm(self) -> None:
        """Write the files; ask first if any exist."""
        text = self.path.value.strip()
        if not text:
            self.refuse("no path is given; enter a file ending in .json, or a folder")
            return
        try:
            target = absolute(text, "the path")
        except UsageError as error:
            self.refuse(to_text(error))
            return
        if self._runs:
            self.begin(target, force=False)

    def write(self, target: Path, *, force: bool) -> None:
        """Write the files; existing files are overwritten only with ``force``, else the user is asked."""
        self.relabel(CLOSE, "Stop")
        self._is_writing, self._is_stopped = True, False
        start(self, partial(self._write, target, force), group="export")

    async def _write(self, target: Path, force: bool) -> None:
        written: list[Path] = []
        try:
            files, existing = await asyncio.to_thread(self._plan, target)
            if existing and not force:
                self.ask(target, existing)
                return
            for path, ids in files:
                if self._is_stopped:
                    self._failed(f"stopped; {len(files) - len(written):,} files were not written", written)
                    return
                await self._database.read(partial(_write_runs, path, ids, force))
                written.append(path)
                if len(written) % 20 == 0:
                    self.say(f"{len(written):,} of {len(files):,} files written")
        except EtuiError as error:
            self._failed(error.message, written)
        except OSError as error:
            self._failed(f"cannot write to {target} ({error.strerror})", written)
        else:
            self.dismiss(written)

    def _plan(self, target: Path) -> tuple[list[tuple[Path, list[str]]], list[Path]]:
        """Return the files to write with the ids of their runs, and those that exist already."""
        files = self._files(target)
        return files, [path for path, _ in files if path.exists()]

    def _failed(self, problem: str, written: Sequence[Path] = ()) -> None:
        self.allow_retry()
        before = f"Written: {_list_of(written)}. " if written else ""
        self.say(f"{before}{problem}", problem=True)

    def allow_retry(self) -> None:
        """Enable the buttons again after writing has stopped."""
        self._is_writing = False
        self.query_one(f"#{CONFIRM}", Button).disabled = not self._runs
        self.relabel(CLOSE, self.close_label)

    def action_close(self) -> None:
        """Close; while files are written, stop after the current file instead."""
        if self._is_writing:
            self._is_stopped = True
        else:
            self.dismiss(None)


def _name_of(run: RunSummary) -> _RunName:
    return _RunName(run.id, intern(run.model), intern(run.precision), intern(run.delegate), run.status in LIVE_STATUSES)


def _write_runs(path: Path, ids: Sequence[str], force: bool, store: Store) -> None:
    write_file(path, encoded(map(store.document, ids), many=len(ids) > 1), force=force)


def _list_of(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return str(files[0])
    names = ", ".join(path.name for path in files[:_MOST_NAMED])
    more = f" and {len(files) - _MOST_NAMED:,} more" if len(files) > _MOST_NAMED else ""
    return f"{len(files):,} files in {files[0].parent}: {names}{more}"
