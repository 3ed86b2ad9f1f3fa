"""The dialog before a training: model, data, output folder, and the settings that are changed most often."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.catalog.find import find_model
from etui.errors import EtuiError, UsageError
from etui.paths import absolute
from etui.services.train import check_request, default_rates
from etui.task_training import TrainingRequest, TrainingSettings
from etui.tui.error_text import to_text
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow, read_rows

_ABOUT = "Trains a classifier on labelled images, as a job of the queue. etui train has more options."
_AUTO, _NONE = "auto", "none"
_LOSSES = [
    (_AUTO, "bce for several labels, else cross-entropy"),
    *((name, "") for name in ("cross-entropy", "bce", "focal", "asymmetric")),
]
_OPTIMIZERS = [("sgd", "Nesterov momentum 0.9"), ("adamw", "")]
_QAT = [(_NONE, "FP32"), ("lsq", "INT8, learned step sizes"), ("pt2e", "INT8, moving averages")]
_FLIP = [("yes", "half of the images are mirrored"), ("no", "for digits or text")]
_MOST = 100_000


class TrainModelDialog(Dialog[TrainingRequest]):
    """Ask what to train; the result is None if nothing is trained."""

    DEFAULT_CSS = "TrainModelDialog .form--label { width: 15; }"
    title_text = "Train a model"
    confirm_label = "Train"

    def __init__(self, request: TrainingRequest) -> None:
        super().__init__()
        settings = request.settings
        self._request = request
        self._model = Input(settings.model, placeholder="of etui models, or FILE.py:FACTORY", compact=True)
        self._data = Input(request.data, placeholder="folder of labelled images", compact=True)
        self._folder = Input(request.folder, placeholder="new folder for checkpoints and the program", compact=True)
        self._epochs = Input(str(settings.epochs or TrainingSettings(model="").epochs), compact=True)
        self._batch = Input(str(settings.batch), compact=True)
        self._pixels = Input(str(settings.size), compact=True)
        usual = settings.learning_rate == default_rates(settings.optimizer, settings.qat)[0]
        self._rate = Input(
            "" if usual else f"{settings.learning_rate:g}",
            placeholder="sgd 0.1, adamw 0.001; a tenth with QAT",
            compact=True,
        )
        self._loss = Cycle(_LOSSES, settings.loss or _AUTO)
        self._optimizer = Cycle(_OPTIMIZERS, settings.optimizer)
        self._qat = Cycle(_QAT, settings.qat or _NONE)
        self._initial = Input(settings.initial or "", placeholder="random; a checkpoint, or pretrained", compact=True)
        self._flip = Cycle(_FLIP, "yes" if settings.flip else "no")
        self.rows = {
            "model": FormRow("Model", self._model),
            "data": FormRow("Data", self._data),
            "folder": FormRow("Output", self._folder),
            "epochs": FormRow("Epochs", self._epochs),
            "batch": FormRow("Batch", self._batch),
            "size": FormRow("Pixels", self._pixels),
            "rate": FormRow("Learning rate", self._rate),
            "loss": FormRow("Loss", self._loss),
            "optimizer": FormRow("Optimizer", self._optimizer),
            "qat": FormRow("QAT", self._qat),
            "initial": FormRow("Begin with", self._initial),
            "flip": FormRow("Mirror", self._flip),
        }

    def body(self) -> Iterable[Widget]:
        """A note and the fields."""
        yield Static(Text(_ABOUT), classes="dialog--note", markup=False)
        yield from self.rows.values()

    def on_mount(self) -> None:
        """Focus the first field that is needed, or the button."""
        empty = next((one for one in (self._model, self._data, self._folder) if not one.value), None)
        (empty or self.query_one(f"#{CONFIRM}")).focus()

    def confirm(self) -> None:
        """Return the request, or mark the fields that are invalid."""
        readers: dict[str, Callable[[], Any]] = {
            "model": lambda: find_model(_given(self._model.value, "a model")).reference,
            "data": lambda: _folder(self._data.value, must_exist=True),
            "folder": lambda: _folder(self._folder.value, must_exist=False),
            "epochs": lambda: _whole(self._epochs.value, 1, _MOST),
            "batch": lambda: _whole(self._batch.value, 2, _MOST),
            "size": lambda: _whole(self._pixels.value, 8, 4096),
            "rate": lambda: _rate(self._rate.value),
            "initial": lambda: _initial(self._initial.value),
        }
        values = read_rows(self.rows, readers)
        if values is None:
            return
        request = self._made(values)
        try:
            check_request(request)
        except EtuiError as error:
            self.say(to_text(error), problem=True)
        else:
            self.dismiss(request)

    def _made(self, values: dict[str, Any]) -> TrainingRequest:
        qat: Any = None if self._qat.value == _NONE else self._qat.value
        loss: Any = None if self._loss.value == _AUTO else self._loss.value
        optimizer: Any = self._optimizer.value
        rate, decay = default_rates(optimizer, qat)
        before = self._request.settings
        settings = TrainingSettings(
            model=values["model"],
            train_split=before.train_split,
            validation_split=before.validation_split,
            epochs=values["epochs"],
            batch=values["batch"],
            learning_rate=rate if values["rate"] is None else values["rate"],
            weight_decay=decay if qat != before.qat else before.weight_decay,
            optimizer=optimizer,
            loss=loss,
            amp=before.amp and qat is None,
            size=values["size"],
            flip=self._flip.value == "yes",
            least_area=before.least_area,
            seed=before.seed,
            qat=qat,
            keep_fp32=before.keep_fp32 if qat == before.qat else None,
            initial=values["initial"],
        )
        return msgspec.structs.replace(
            self._request, settings=settings, data=values["data"], folder=values["folder"], resume=False
        )

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()


def _given(text: str, what: str) -> str:
    if not text.strip():
        raise UsageError(f"{what} is needed", "enter one")
    return text.strip()


def _folder(text: str, *, must_exist: bool) -> str:
    folder = absolute(_given(text, "a folder"), "the folder")
    if must_exist and not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist", "enter another one")
    return str(folder)


def _initial(text: str) -> str | None:
    if text.strip() in ("", "pretrained"):
        return text.strip() or None
    file = absolute(text.strip(), "the file")
    if not file.exists():
        raise UsageError(f"{file} does not exist", "enter another file, or leave it empty")
    return str(Path(file))


def _whole(text: str, least: int, most: int) -> int:
    if not text.strip().isdecimal() or not least <= int(text[:20]) <= most:
        raise UsageError(f"{text[:30]!r} is not a number in the range", f"enter {least} to {most:,}")
    return int(text)


def _rate(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{text[:30]!r} is not a number", "enter one such as 0.01, or leave it empty") from None
    if not 0 < value < float("inf"):
        raise UsageError(f"{text[:30]} is not a learning rate", "enter a number above 0, or leave it empty")
    return value
