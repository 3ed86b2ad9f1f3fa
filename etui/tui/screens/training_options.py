"""The dialog before a training check: optimizers, loss, steps, learning rate, batch and data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, get_args

from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.errors import UsageError
from etui.files.data_files import data_files
from etui.paths import absolute
from etui.text import plain
from etui.training_check import LEARNING_RATES, LossName, OptimizerName, TrainingOptions
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow, read_rows
from etui.tui.widgets.multi_select import Item, MultiSelect

_AUTO = "auto"
_LOSSES = [(_AUTO, "fits the outputs"), *((name, "") for name in get_args(LossName))]
_LEAST_STEPS, _MOST = 4, 100_000


class TrainingDialog(Dialog[TrainingOptions]):
    """Ask how to train a model; the result is None if the check is not started."""

    DEFAULT_CSS = "TrainingDialog .form--label { width: 15; }"
    title_text = "Check whether the model trains"
    confirm_label = "Check"

    def __init__(self, model: str, options: TrainingOptions) -> None:
        super().__init__()
        self._text = (
            f"Trains {plain(model)} for a few steps on one batch, in a separate process of low priority. Do not measure"
            " at the same time."
        )
        self._seed = options.seed
        self._optimizers = MultiSelect([Item(name=name) for name in LEARNING_RATES], options.optimizers, rows=2)
        self._loss = Cycle(_LOSSES, options.loss or _AUTO)
        self._steps = Input(str(options.steps), compact=True)
        self._rate = Input(_text(options.learning_rate), placeholder="tries several", compact=True)
        self._batch = Input(_text(options.batch), placeholder="the model's own, or 4", compact=True)
        self._data = Input(_text(options.data), placeholder="folder; else example inputs", compact=True)
        self.rows = {
            "optimizers": FormRow("Optimizers", self._optimizers),
            "loss": FormRow("Loss", self._loss),
            "steps": FormRow("Steps", self._steps),
            "rate": FormRow("Learning rate", self._rate),
            "batch": FormRow("Batch", self._batch),
            "data": FormRow("Data", self._data),
        }

    def body(self) -> Iterable[Widget]:
        """A note and the fields."""
        yield Static(Text(self._text), classes="dialog--note", markup=False)
        yield from self.rows.values()

    def on_mount(self) -> None:
        """Focus the button that starts: the options are usual ones."""
        self.query_one(f"#{CONFIRM}").focus()

    def confirm(self) -> None:
        """Return the options, or mark the fields that are invalid."""
        readers: dict[str, Callable[[], Any]] = {
            "optimizers": self._read_optimizers,
            "steps": lambda: _whole(self._steps.value, _LEAST_STEPS),
            "rate": lambda: _rate(self._rate.value),
            "batch": lambda: _whole(self._batch.value, 1) if self._batch.value.strip() else None,
            "data": lambda: _folder(self._data.value),
        }
        values = read_rows(self.rows, readers)
        if values is None:
            return
        loss: Any = None if self._loss.value == _AUTO else self._loss.value
        self.dismiss(
            TrainingOptions(
                optimizers=values["optimizers"],
                loss=loss,
                steps=values["steps"],
                learning_rate=values["rate"],
                batch=values["batch"],
                data=values["data"],
                seed=self._seed,
            )
        )

    def _read_optimizers(self) -> tuple[OptimizerName, ...]:
        names: Any = self._optimizers.chosen
        if not names:
            raise UsageError("no optimizer is selected", "select one with space")
        return names  # type: ignore[no-any-return]

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()


def _text(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{text[:30]!r} is not a whole number", f"enter one from {least}") from None
    if not least <= value <= _MOST:
        raise UsageError(f"{text[:30]} is out of range", f"enter {least} to {_MOST:,}")
    return value


def _rate(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{text[:30]!r} is not a number", "enter one such as 0.001, or leave it empty") from None
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{text[:30]} is not a learning rate", "enter a number above 0, or leave it empty")
    return value


def _folder(text: str) -> str | None:
    if not text.strip():
        return None
    folder = absolute(text.strip(), "the folder")
    data_files(folder)
    return str(folder)
