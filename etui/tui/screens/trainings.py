"""The screen of trainings: a table of them, and the one under the cursor with its charts, live, and its files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from etui.actions import Scope, bindings
from etui.errors import EtuiError
from etui.events import Event
from etui.services.train import (
    TrainingFile,
    can_resume,
    delete_training,
    files_of,
    resume_training,
    submit_training,
)
from etui.store import Store
from etui.task_training import QueuedTraining, TrainingRequest, TrainingSettings
from etui.text import counted, plain, size
from etui.tui.database import Connection
from etui.tui.defect_guard import Guarded
from etui.tui.details.text_view import Page
from etui.tui.error_text import to_text
from etui.tui.screen_host import ScreenHost
from etui.tui.screens.dialog import Dialog
from etui.tui.screens.train_model import TrainModelDialog
from etui.tui.terminal import chart_palette
from etui.tui.text_layout import Sheet, Styles
from etui.tui.training.page import position, training_page
from etui.tui.training.table import TrainingTable
from etui.tui.widgets.key_bar import Footer, KeyBar
from etui.tui.workers import Rest, in_daemon_thread, start
from etui.wording.trainings import model_name

_REST_S = 1.0
_MOST_STEPS = 2_000
_HOW = "Press r to train a model."


class DeleteTrainingDialog(Dialog[Literal["record", "files"]]):
    """Ask whether to delete a training, and whether with the files that it wrote."""

    careful = True
    title_text = "Delete a training"
    other_label = "Keep the files"

    def __init__(self, training: QueuedTraining, files: Iterable[TrainingFile]) -> None:
        super().__init__()
        found = list(files)
        self.confirm_label = f"Delete {size(sum(file.bytes for file in found))}" if found else "Delete"
        name = plain(model_name(training.request.settings))
        lines = [f"Delete the training {training.id[:6]} of {name}, and the files that it wrote?" if found else
                 f"Delete the training {training.id[:6]} of {name}? None of its files is left."]  # fmt: skip
        lines += [f"{plain(str(file.path))}  {size(file.bytes)}" for file in found]
        self._text = "\n".join(lines)

    def body(self) -> Iterable[Widget]:
        """Return the question, and the files with their sizes."""
        yield Static(Text(self._text), markup=False)

    def other(self) -> None:
        """Delete the training, and keep its files."""
        self.dismiss("record")

    def confirm(self) -> None:
        """Delete the training with its files."""
        self.dismiss("files")


class _Seen(NamedTuple):
    """What was read: all trainings, and of the one that is shown its files and new events."""

    trainings: list[QueuedTraining]
    shown: str | None
    files: list[TrainingFile]
    events: list[Event]


class TrainingsScreen(Guarded, Screen[None]):
    """Lists the trainings, shows one of them, and starts new ones. The actions of scope ``trainings`` are its
    methods."""

    app: ScreenHost
    scope: ClassVar[Scope] = "trainings"
    DEFAULT_CSS = """
    TrainingsScreen { layout: vertical; }
    TrainingsScreen #trainings-title {
        height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    TrainingsScreen TrainingTable { height: 4; }
    TrainingsScreen Page { height: 1fr; margin-top: 1; }
    TrainingsScreen KeyBar { height: 1; dock: bottom; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("trainings")]

    def __init__(self, model: str = "") -> None:
        super().__init__()
        self._model = model
        self._connection: Connection | None = None
        self._rest = Rest()
        self._version = -1
        self._read_id: str | None = None
        self._last_event = 0
        self.trainings: list[QueuedTraining] = []
        self._files: list[TrainingFile] = []
        self._progress: Event | None = None
        self._steps: list[tuple[float, float]] = []
        self._to_show: str | None = None
        self._problem = ""
        self._was_read = False

    def compose(self) -> ComposeResult:
        """Title, table, page, keys."""
        yield Static(Text("Trainings"), id="trainings-title", markup=False)
        yield TrainingTable()
        yield Page()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Read the trainings, again and again."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())
        self._table.focus()
        self._connection = self.app.database.connect()
        start(self, self._watch, group="trainings")
        self._draw()

    def on_unmount(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @property
    def _table(self) -> TrainingTable:
        return self.query_one(TrainingTable)

    @property
    def training(self) -> QueuedTraining | None:
        """The training under the cursor."""
        return self._table.training

    def footer(self) -> Footer:
        """Return the keys for the training under the cursor."""
        names = ["trainings.train"]
        if (training := self.training) is not None:
            names += ["trainings.cancel"] if training.live else ["trainings.delete"]
            names += ["trainings.resume"] if can_resume(training) else []
        return Footer([*names, "trainings.close"])

    # Actions

    def action_train(self) -> None:
        """Ask what to train, and queue it."""

        def chosen(request: TrainingRequest | None) -> None:
            if request is not None:
                self._submit(request)

        self.app.push_screen(TrainModelDialog(self._suggested()), chosen)

    def action_cancel(self) -> None:
        """Cancel the training under the cursor."""
        training = self.training
        if training is None or not training.live:
            self.app.say("This training is not queued or running.")
            return

        async def work() -> None:
            await self.app.database.write(lambda store: store.request_training_cancel([training.id]))
            self.app.say(f"Cancelling the training {training.id[:6]}.")
            self._look_again()

        start(self, work, group="trainings-change", title="Cannot cancel the training")

    def action_resume(self) -> None:
        """Continue the training under the cursor from its last checkpoint."""
        training = self.training
        if training is None or not can_resume(training):
            self.app.say("This training has ended, or has no checkpoint to continue from.")
            return

        async def work() -> None:
            await self.app.database.write(lambda store: resume_training(store, training.id))
            self._look_again(training.id)

        start(self, work, group="trainings-change", title="Cannot continue the training")

    def action_delete(self) -> None:
        """Delete the training under the cursor; asks first, also about its files."""
        training = self.training
        if training is None or training.live:
            self.app.say("A training that is queued or running cannot be deleted; x cancels it.", "warning")
            return

        async def ask() -> None:
            files = await self.app.database.read(lambda store: files_of(store, training))
            self.app.push_screen(DeleteTrainingDialog(training, files), answered)

        async def work(with_files: bool) -> None:
            deleted = await self.app.database.write(
                lambda store: delete_training(store, training, files=with_files), announce=False
            )
            total = f" with {counted(len(deleted), 'file')}, {size(sum(file.bytes for file in deleted))}"
            self.app.say(f"Deleted the training {training.id[:6]}{total if deleted else ''}.")
            self._look_again()

        def answered(what: Literal["record", "files"] | None) -> None:
            if what is not None:
                change = partial(work, what == "files")
                start(self, change, group="trainings-change", title="Cannot delete the training")

        start(self, ask, group="trainings-change", title="Cannot delete the training")

    def action_close(self) -> None:
        """Go back; trainings go on."""
        self.dismiss()

    def _suggested(self) -> TrainingRequest:
        """Return a request like that of the training under the cursor, or for the model that the screen was opened
        with."""
        training = self.training
        if training is not None:
            request = training.request
            return TrainingRequest(
                settings=request.settings, data=request.data, folder=_next_folder(request.folder),
                checkpoint_batches=request.checkpoint_batches, threads=request.threads,
            )  # fmt: skip
        return TrainingRequest(settings=TrainingSettings(model=self._model), data="", folder="")

    def _submit(self, request: TrainingRequest) -> None:
        async def work() -> None:
            queued = await self.app.database.write(lambda store: submit_training(store, request), create=True)
            self._look_again(queued.id)

        start(self, work, group="trainings-change", title="Cannot train the model")

    # Reading

    def _look_again(self, training_id: str | None = None) -> None:
        self._to_show = training_id or self._to_show
        self._version = -1
        self._rest.end()

    @on(TrainingTable.Moved)
    def _moved(self) -> None:
        training = self.training
        if training is not None and training.id != self._read_id:
            self._progress, self._steps, self._files = None, [], []
            self._look_again()
            self._draw()

    async def _watch(self) -> None:
        assert self._connection is not None
        while True:
            connection = self._connection
            try:
                seen = await in_daemon_thread(partial(connection.run, self._look))
            except EtuiError as error:
                self._problem, self._version = to_text(error), -1
                self._was_read = True
                self._draw()
            else:
                if seen is not None:
                    self._show(seen)
            await self._rest.wait(_REST_S)

    def _look(self, store: Store) -> _Seen | None:
        version = store.version()
        if version == self._version:
            return None
        self._version = version
        found = store.trainings()
        wanted = self._to_show or (self.training.id if self.training is not None else None)
        shown = next((one for one in found if one.id == wanted), found[0] if found else None)
        if shown is None:
            return _Seen(found, None, [], [])
        last = self._last_event if shown.id == self._read_id else 0
        return _Seen(found, shown.id, files_of(store, shown), store.training_events_after(shown.id, last))

    def _show(self, seen: _Seen) -> None:
        if seen.shown != self._read_id:
            self._read_id, self._last_event = seen.shown, 0
            self._progress, self._steps = None, []
        self.trainings, self._files, self._problem, self._was_read = seen.trainings, seen.files, "", True
        shown = next((one for one in seen.trainings if one.id == seen.shown), None)
        if seen.events:
            self._last_event = seen.events[-1].id or 0
        for event in seen.events:
            if event.kind == "progress" and shown is not None:
                self._progress = event
                self._note(shown, event)
        if shown is not None and not shown.live:
            self._progress, self._steps = None, []
        self._table.show(seen.trainings, self._to_show)
        self._to_show = None
        self._lay_out()
        self._draw()
        self.refresh_bindings()

    def _note(self, training: QueuedTraining, event: Event) -> None:
        """Keep the loss of a batch of the present epoch, for the chart."""
        now = position(training, event)
        if now is None or event.step is None:
            return
        done = len(training.epochs)
        self._steps = [(at, loss) for at, loss in self._steps if at > done]
        if now > done and len(self._steps) < _MOST_STEPS:
            self._steps.append((now, event.step.loss))

    # Drawing

    def on_resize(self, event: events.Resize) -> None:
        """Divide the height."""
        del event
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        """Give the table the height of its rows, up to a quarter of the screen."""
        self._table.display = bool(self.trainings)
        self._table.styles.height = max(3, min(1 + len(self.trainings), self.size.height // 4))

    def _draw(self) -> None:
        line = Text("Trainings")
        if self.trainings:
            live = sum(one.live for one in self.trainings)
            line.append(f"  {len(self.trainings):,}, newest first" + (f", {live} in the queue" if live else ""),
                        "not bold")  # fmt: skip
        self.query_one("#trainings-title", Static).update(line)
        self.query_one(Page).write(self._written)

    def _written(self, width: int, styles: Styles) -> Text:
        training = self.training
        if training is not None and not self._problem:
            height = self.query_one(Page).size.height
            return training_page(
                training, self._progress, self._steps, self._files, width, height, chart_palette(self.app), styles
            )
        sheet = Sheet(width, styles)
        if self._problem and Path(self.app.database.path).exists():
            sheet.say(f"Cannot read the trainings: {plain(self._problem)}.", styles.bad, glyph=styles.failed)
        else:
            sheet.say(f"There are no trainings yet. {_HOW}" if self._was_read else "reading the trainings ..")
        return sheet.text


def _next_folder(folder: str) -> str:
    """Return the name of a folder that does not exist yet."""
    number = 2
    while Path(f"{folder}-{number}").exists():
        number += 1
    return f"{folder}-{number}"
