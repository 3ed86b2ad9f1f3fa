"""The screen of a prediction for an NPU: what Arm's compiler estimates for a model, without the hardware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from etui import paths
from etui.actions import Scope, bindings
from etui.errors import EtuiError
from etui.host import npu_environment
from etui.npu_prediction import NPUS, NpuPrediction
from etui.report import markdown
from etui.services.predict_npu import NpuRequest, predict
from etui.services.summarize import Request
from etui.spec import DEFAULT_CALIBRATION_COUNT, shape_text
from etui.text import plain
from etui.tui.details.section_view import add_section
from etui.tui.error_text import to_text
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.screens.work_screen import Progress, WorkScreen
from etui.tui.text_layout import Sheet
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow
from etui.tui.workers import start
from etui.wording import npu_prediction as wording

_DEFAULT_NPU = "ethos-u55-128"
_MOST_INPUTS = 10_000
_ABOUT = (
    "Quantizes the model to INT8, lowers it with ExecuTorch's Arm backend, and shows the estimate of Arm's compiler"
    " Vela. Nothing is run, measured or stored. The tools are in a Python environment of their own."
)


class NpuOptions(NamedTuple):
    """For which NPU a model is predicted, with the tools of which environment."""

    npu: str = _DEFAULT_NPU
    environment: Path | None = None
    calibration_count: int = DEFAULT_CALIBRATION_COUNT


class NpuDialog(Dialog[NpuOptions]):
    """Ask for the NPU and the environment; the result is None if nothing is predicted."""

    DEFAULT_CSS = "NpuDialog .form--label { width: 13; }"
    title_text = "Predict on an NPU"
    confirm_label = "Predict"

    def __init__(self, options: NpuOptions) -> None:
        super().__init__()
        self._npu = Cycle([(name, "") for name in NPUS], options.npu)
        self._inputs = Input(str(options.calibration_count), compact=True)
        self._environment = Input(str(options.environment or paths.npu_environment()), compact=True)
        self.rows = {
            "npu": FormRow("NPU", self._npu),
            "inputs": FormRow("Calibration", self._inputs),
            "environment": FormRow("Environment", self._environment),
        }

    def body(self) -> Iterable[Widget]:
        """What is done, and the fields."""
        yield Static(Text(_ABOUT), classes="dialog--note", markup=False)
        yield from self.rows.values()

    def on_mount(self) -> None:
        """Focus the button that starts."""
        self.query_one(f"#{CONFIRM}").focus()

    def confirm(self) -> None:
        """Return the options, or mark the field that is invalid."""
        for row in self.rows.values():
            row.mark(None)
        text = self._inputs.value.strip()
        if not text.isdecimal() or not 1 <= int(text) <= _MOST_INPUTS:
            self._refuse("inputs", f"enter the number of inputs to calibrate on, 1 to {_MOST_INPUTS:,}")
            return
        try:
            environment = paths.absolute(self._environment.value.strip(), "the environment")
        except EtuiError as error:
            self._refuse("environment", to_text(error))
            return
        self.dismiss(NpuOptions(self._npu.value, environment, int(text)))

    def _refuse(self, name: str, problem: str) -> None:
        self.rows[name].mark(problem)
        self.rows[name].field.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()


class PredictScreen(WorkScreen):
    """Asks for an NPU, and shows the prediction for a model. The actions of scope ``predict`` are its methods."""

    scope: ClassVar[Scope] = "predict"
    begin_action: ClassVar[str] = "predict"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("predict")]

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._options = NpuOptions()
        self.prediction: NpuPrediction | None = None

    def on_mount(self) -> None:
        """Ask for the NPU."""
        super().on_mount()
        self.say(self._how())
        self.action_predict()

    def title_parts(self) -> Iterable[str]:
        """Return model and shape; with a result, the NPU."""
        made = self.prediction
        yield f"Prediction  {self._request.model}"
        yield shape_text(self._request.shape)
        yield f"int8 on {made.npu}: PREDICTED, not measured" if made is not None else ""

    @property
    def has_result(self) -> bool:
        """Whether there is a prediction."""
        return self.prediction is not None

    def write_result(self, sheet: Sheet) -> None:
        """Write the estimate, the memories and the assumptions."""
        if self.prediction is None:
            return
        sheet.say(wording.NOT_MEASURED, sheet.styles.warn, glyph=sheet.styles.flagged)
        for section in wording.sections(self.prediction):
            add_section(sheet, section)

    def action_predict(self) -> None:
        """Ask for the NPU, and predict."""

        def chosen(options: NpuOptions) -> None:
            self._options = options
            self.prediction = None
            self.say("looking for Arm's tools ..")
            start(self, self._begin, group="predict-environment", exclusive=True)

        self.ask(NpuDialog(self._options), chosen, "A prediction is in progress; x cancels it.")

    def action_cancel(self) -> None:
        """Stop the prediction in progress."""
        if not self.cancel(f"Cancelled. {self._how()}"):
            self.app.say("No prediction is in progress.")

    def action_copy(self) -> None:
        """Copy the prediction as Markdown."""
        if (made := self.prediction) is None:
            self.app.say("There is no prediction to copy.", "warning")
            return
        lines = [f"## {markdown.escaped(wording.title(made))}", "", markdown.escaped(wording.NOT_MEASURED), ""]
        lines += [line for section in wording.sections(made) for line in markdown.section(section)]
        self.copy(lines)

    async def _begin(self) -> None:
        """Predict; without the tools, ask whether to install them first."""
        environment = self._options.environment
        assert environment is not None
        problem = await asyncio.to_thread(partial(npu_environment.problem, environment))
        if problem is None:
            self._predict()
            return
        if environment.exists():
            self.say(f"Arm's tools were not found: {plain(problem)}. Press r to name another environment.")
            return

        missing = f"Arm's tools were not found: {plain(problem)}."

        def answered(confirmed: bool | None) -> None:
            if confirmed:
                self.work(self._make, lambda made: self._predict(), "Cannot install Arm's tools")
            else:
                self.say(f"{missing} Press r to install them, or to name another environment.")

        text = (
            f"{missing}\n\nInstall {' and '.join(npu_environment.requirements())} into it? It takes"
            f" {npu_environment.SIZE}."
        )
        self.app.push_screen(ConfirmDialog("Install Arm's tools", text, "Install"), answered)

    def _predict(self) -> None:
        self.work(self._run, self._done, "Cannot predict")

    def _make(self, progress: Progress, stopped: Callable[[], bool]) -> None:
        assert self._options.environment is not None
        npu_environment.make(self._options.environment, lambda line: progress(line, 0.0, 0.0), stopped)

    def _run(self, progress: Progress, stopped: Callable[[], bool]) -> NpuPrediction:
        request, options = self._request, self._options
        assert options.environment is not None
        return predict(
            NpuRequest(
                request.model,
                options.npu,
                request.shape,
                seed=request.seed,
                calibration_count=options.calibration_count,
                allow_pickle=request.allow_pickle,
            ),
            options.environment,
            begin=lambda line: progress(line, 0.0, 0.0),
            stopped=stopped,
        )

    def _done(self, made: NpuPrediction) -> None:
        self.prediction = made
        self.say("")

    def _how(self) -> str:
        return "Press r to choose an NPU and predict."
