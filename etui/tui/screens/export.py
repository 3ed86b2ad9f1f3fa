"""The dialog that exports runs as JSON: to one file or one file per run; asks before it overwrites files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from sys import intern
from typing import NamedTuple

from rich.text import Text
from textual import on, work
from textual.widget import Widget
from textual.widgets import Button
from textual.worker import get_current_worker

from etui.errors import EtuiError, UsageError
from etui.facts import RunSummary
from etui.paths import absolute, expanded
from etui.results import LIVE_STATUSES
from etui.store import Store
from etui.store.transfer import RunName, encoded, file_names, is_one_file, planned_files, write_file
from etui.text import counted, plain
from etui.tui.error_text import to_text
from etui.tui.screens.dialog import CLOSE, CONFIRM
from etui.tui.screens.path_dialog import WriteDialog, here
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow

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

    def __init__(self, database: Path, run_ids: Sequence[str]) -> None:
        self._here = here()
        super().__init__(f"{self._here}/", (".json",))
        self._database = database
        self._ids = list(dict.fromkeys(run_ids))
        self.title_text = f"Export {counted(len(self._ids), 'run')}"
        self._runs: list[_RunName] = []
        self._writing = False
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
        self._read_runs()

    @work(thread=True, group="export")
    def _read_runs(self) -> None:
        try:
            with Store.open(self._database, create=False) as store:
                runs = [_name_of(store.summary(run_id)) for run_id in self._ids]
        except EtuiError as error:
            self.call_later(self._failed, to_text(error))
            return
        self.call_later(self._runs_read, runs)

    def _runs_read(self, runs: list[_RunName]) -> None:
        self._runs = runs
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
        """Write the files in a thread; existing files are overwritten only with ``force``, else the user is asked."""
        self.relabel(CLOSE, "Stop")
        self._writing = True
        self._write(target, force)

    @work(thread=True, group="export")
    def _write(self, target: Path, force: bool) -> None:
        worker = get_current_worker()
        written: list[Path] = []
        try:
            files = self._files(target)
            existing = [path for path, _ in files if path.exists()]
            if existing and not force:
                self.call_later(self.ask, target, existing)
                return
            with Store.open(self._database, create=False) as store:
                for path, ids in files:
                    if worker.is_cancelled:
                        self.call_later(
                            self._failed, f"stopped; {len(files) - len(written):,} files were not written", written
                        )
                        return
                    write_file(path, encoded(map(store.document, ids), many=len(ids) > 1), force=force)
                    written.append(path)
                    if len(written) % 20 == 0:
                        self.call_later(self.say, f"{len(written):,} of {len(files):,} files written")
        except EtuiError as error:
            self.call_later(self._failed, error.message, written)
        except OSError as error:
            self.call_later(self._failed, f"cannot write to {target} ({error.strerror})", written)
        else:
            self.call_later(self._done, written)

    def _failed(self, problem: str, written: Sequence[Path] = ()) -> None:
        self.allow_retry()
        before = f"Written: {_list_of(written)}. " if written else ""
        self.say(f"{before}{problem}", problem=True)

    def allow_retry(self) -> None:
        """Enable the buttons again after writing has stopped."""
        self._writing = False
        self.query_one(f"#{CONFIRM}", Button).disabled = not self._runs
        self.relabel(CLOSE, self.close_label)

    def _done(self, written: list[Path]) -> None:
        self.dismiss(written)

    def action_close(self) -> None:
        """Close; while files are written, stop after the current file instead."""
        if self._writing:
            self.workers.cancel_group(self, "export")
        else:
            self.dismiss(None)


def _name_of(run: RunSummary) -> _RunName:
    return _RunName(run.id, intern(run.model), intern(run.precision), intern(run.delegate), run.status in LIVE_STATUSES)


def _list_of(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return str(files[0])
    names = ", ".join(path.name for path in files[:_MOST_NAMED])
    more = f" and {len(files) - _MOST_NAMED:,} more" if len(files) > _MOST_NAMED else ""
    return f"{len(files):,} files in {files[0].parent}: {names}{more}"
