"""Runs to JSON files: where to, in one file or one a run, and never over a file without asking."""

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
from etui.paths import absolute, expanded
from etui.results import LIVE_STATUSES
from etui.store import Store
from etui.store.transfer import RunName, encoded, file_names, is_one_file, planned_files, write_file
from etui.summary import RunSummary
from etui.text import counted, plain
from etui.tui.error_text import to_text
from etui.tui.screens.dialog import CLOSE, CONFIRM
from etui.tui.screens.path_dialog import WriteDialog, here
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow

_EACH, _ALL = "one file a run", "one file for all"
_NAMED = 4
_LOOKED_AT = 200


class _Named(NamedTuple):
    """What is needed of a run to name its file; of 100,000 of them no more can be kept."""

    id: str
    model: str
    precision: str
    delegate: str
    is_live: bool


class ExportDialog(WriteDialog[list[Path]]):
    """Write runs as JSON. The result are the files that were written."""

    confirm_label = "Export"

    def __init__(self, database: Path, run_ids: Sequence[str]) -> None:
        self._here = here()
        super().__init__(f"{self._here}/", (".json",))
        self._database = database
        self._ids = list(dict.fromkeys(run_ids))
        self.title_text = f"Export {counted(len(self._ids), 'run')}"
        self._runs: list[_Named] = []
        self._writing = False
        self._shape = Cycle([(_EACH, ""), (_ALL, "")], _EACH)

    def body(self) -> Iterable[Widget]:
        """The shape, the path, and what would be written."""
        if len(self._ids) > 1:
            yield FormRow("As", self._shape)
        yield self.path_row
        yield self.preview

    def on_mount(self) -> None:
        """Look the runs up, for the names of their files."""
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        self._look_up()

    @work(thread=True, group="export")
    def _look_up(self) -> None:
        try:
            with Store.open(self._database, create=False) as store:
                runs = [_named(store.summary(run_id)) for run_id in self._ids]
        except EtuiError as error:
            self.call_later(self._failed, str(error))
            return
        self.call_later(self._looked_up, runs)

    def _looked_up(self, runs: list[_Named]) -> None:
        self._runs = runs
        self.query_one(f"#{CONFIRM}", Button).disabled = False
        if len(runs) == 1 and self.path.value == f"{self._here}/":
            self.path.value = str(self._here / file_names(self._names())[0])
        self.path_changed(self.path.value)

    # What would be written

    def _names(self) -> list[RunName]:
        return [(run.model, run.precision, run.delegate, run.id) for run in self._runs]

    def _files(self, target: Path) -> list[tuple[Path, list[str]]]:
        """Each file with the ids of the runs that go into it."""
        return planned_files(self._names(), target)

    def path_changed(self, text: str) -> None:
        """Say what the path means."""
        super().path_changed(text)
        target = expanded(text)
        if not text.strip() or not self._runs:
            self.preview.update("")
            return
        try:
            files = [path for path, _ in self._files(target)]
            there = sum(path.exists() for path in files[:_LOOKED_AT])
            is_new_folder = not files[0].parent.is_dir()
        except OSError as error:
            self.path_row.mark(f"cannot look there ({error.strerror}); check its permissions")
            return
        words = [_list_of(files)] if len(files) > 1 else [] if there else ["a new file"]
        if is_new_folder:
            words.append(f"the folder {files[0].parent} will be made")
        if there:
            which = "it is" if len(files) == 1 else f"{there:,} is" if there == 1 else f"{there:,} are"
            words.append(f"{which} there already: you are asked before anything is overwritten")
        live = sum(run.is_live for run in self._runs)
        if live:
            words.append(f"{live:,} still running: what there is so far is written")
        self.preview.update(Text(plain("; ".join(words))))
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

    # Writing

    def confirm(self) -> None:
        """Write, unless files are in the way: then ask."""
        text = self.path.value.strip()
        if not text:
            self.refuse("no path is given; name a file ending in .json, or a folder")
            return
        try:
            target = absolute(text, "the path")
        except UsageError as error:
            self.refuse(to_text(error))
            return
        if self._runs:
            self.begin(target, force=False)

    def write(self, target: Path, *, force: bool) -> None:
        """Write the files, beside the screen; files in the way are asked about unless ``force``."""
        self.relabel(CLOSE, "Stop")
        self._writing = True
        self._write(target, force)

    @work(thread=True, group="export")
    def _write(self, target: Path, force: bool) -> None:
        worker = get_current_worker()
        written: list[Path] = []
        try:
            files = self._files(target)
            there = [path for path, _ in files if path.exists()]
            if there and not force:
                self.call_later(self.ask, target, there)
                return
            with Store.open(self._database, create=False) as store:
                for path, ids in files:
                    if worker.is_cancelled:
                        self.call_later(
                            self._failed, f"stopped; {len(files) - len(written):,} are not written", written
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
        self.again()
        before = f"{_list_of(written)}: written. " if written else ""
        self.say(f"{before}{problem}", problem=True)

    def again(self) -> None:
        """Nothing is being written any more."""
        self._writing = False
        self.query_one(f"#{CONFIRM}", Button).disabled = not self._runs
        self.relabel(CLOSE, self.close_label)

    def _done(self, written: list[Path]) -> None:
        self.dismiss(written)

    def action_close(self) -> None:
        """Stop after the file at hand while files are written, and say so; else close."""
        if self._writing:
            self.workers.cancel_group(self, "export")
        else:
            self.dismiss(None)


def _named(run: RunSummary) -> _Named:
    return _Named(run.id, intern(run.model), intern(run.precision), intern(run.delegate), run.status in LIVE_STATUSES)


def _list_of(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return str(files[0])
    names = ", ".join(path.name for path in files[:_NAMED])
    more = f" and {len(files) - _NAMED:,} more" if len(files) > _NAMED else ""
    return f"{len(files):,} files into {files[0].parent}: {names}{more}"
