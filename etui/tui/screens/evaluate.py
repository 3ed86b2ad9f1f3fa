"""The screen that evaluates the programs of runs on labelled images, and compares them with the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.actions import Scope, bindings
from etui.analysis.program_evaluation import Evaluation
from etui.errors import EtuiError, UsageError
from etui.paths import absolute
from etui.report import markdown
from etui.services.evaluate import evaluate_programs
from etui.services.score_images import Program
from etui.task_data.reading import splits_of
from etui.text import counted, plain
from etui.tui.details.section_view import add_section
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import PathDialog
from etui.tui.screens.work_screen import Progress, WorkScreen
from etui.tui.text_layout import Sheet
from etui.tui.widgets.form_row import FormRow
from etui.wording import program_evaluation as wording
from etui.wording.run_sections import Entry, RunSection, SectionTable

_LIMIT_S = 7 * 86400.0
"""Longer than a user waits: there is a key that cancels."""
_ABOUT = (
    "Runs the programs on a split of labelled images (COCO annotations, or a folder for each category), and compares"
    " them with the first. Threshold: auto chooses it on another split; empty: that of the metadata, else 0.5. Nothing"
    " is stored."
)
_OPTIONAL = frozenset(("precision %", "recall %", "threshold", "ECE", "img/s", "waiting", "predicted"))


class EvaluationOptions(NamedTuple):
    """The folder and the split of the images, and from which probability a category counts as predicted."""

    folder: Path | None = None
    split: str | None = None
    threshold: float | Literal["auto"] | None = None


class EvaluateDialog(PathDialog[EvaluationOptions]):
    """Ask for the images; the result is None if nothing is evaluated."""

    DEFAULT_CSS = "EvaluateDialog .form--label { width: 11; }"
    title_text = "Evaluate on labelled images"
    confirm_label = "Evaluate"

    def __init__(self, options: EvaluationOptions) -> None:
        super().__init__(str(options.folder or ""), (), label="Data", placeholder="folder of a data set")
        self._split = Input(options.split or "", compact=True, placeholder="if there are several, such as val")
        self._threshold = Input(_text(options.threshold), compact=True, placeholder="automatic")
        self.rows = {
            "split": FormRow("Split", self._split),
            "threshold": FormRow("Threshold", self._threshold),
        }

    def body(self) -> Iterable[Widget]:
        """The path, the other fields, and what they mean."""
        yield self.path_row
        yield from self.rows.values()
        yield Static(Text(_ABOUT), classes="dialog--note", markup=False)

    def confirm(self) -> None:
        """Return the options, or mark the field that is invalid."""
        for row in (self.path_row, *self.rows.values()):
            row.mark(None)
        try:
            folder = _data(self.path.value)
        except EtuiError as error:
            self.refuse(to_text(error))
            return
        try:
            threshold = _threshold(self._threshold.value.strip())
        except UsageError as error:
            self.rows["threshold"].mark(to_text(error))
            self._threshold.focus()
            return
        self.dismiss(EvaluationOptions(folder, self._split.value.strip() or None, threshold))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()


class EvaluateScreen(WorkScreen):
    """Asks for the images, and shows the evaluation. The actions of scope ``evaluation`` are its methods."""

    scope: ClassVar[Scope] = "evaluation"
    begin_action: ClassVar[str] = "evaluate"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("evaluation")]

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__()
        self._programs = list(programs)
        self._options = EvaluationOptions()
        self.evaluation: Evaluation | None = None

    def on_mount(self) -> None:
        """Ask for the images."""
        super().on_mount()
        self.say(self._how())
        self.action_evaluate()

    def title_parts(self) -> Iterable[str]:
        """Return the programs; with a result, the images."""
        one = self._programs[0].name
        yield f"Evaluation  {one if len(self._programs) == 1 else counted(len(self._programs), 'program')}"
        yield wording.data_text(self.evaluation.data) if self.evaluation is not None else ""

    @property
    def has_result(self) -> bool:
        """Whether there is an evaluation."""
        return self.evaluation is not None

    def write_result(self, sheet: Sheet) -> None:
        """Write the metrics, the differences and the categories."""
        if self.evaluation is not None:
            for section in _sections(self.evaluation):
                add_section(sheet, section)

    def action_evaluate(self) -> None:
        """Ask for the images, and evaluate."""

        def chosen(options: EvaluationOptions) -> None:
            self._options = options
            self.evaluation = None
            self.work(self._run, self._done, "Cannot evaluate")

        self.ask(EvaluateDialog(self._options), chosen, "An evaluation is in progress; x cancels it.")

    def action_cancel(self) -> None:
        """Stop the evaluation in progress."""
        if not self.cancel(f"Cancelled. {self._how()}"):
            self.app.say("No evaluation is in progress.")

    def action_copy(self) -> None:
        """Copy the evaluation as Markdown."""
        if (made := self.evaluation) is None:
            self.app.say("There is no evaluation to copy.", "warning")
            return
        lines = [f"## {markdown.escaped(f'Evaluation on {wording.data_text(made.data)}')}", ""]
        lines += [line for section in _sections(made) for line in markdown.section(section)]
        self.copy(lines)

    def _run(self, progress: Progress, stopped: Callable[[], bool]) -> Evaluation:
        options = self._options
        assert options.folder is not None
        progress("reading the data set ..", 0.0, 0.0)
        return evaluate_programs(
            self._programs,
            options.folder,
            options.split,
            threshold=options.threshold,
            limit_s=_LIMIT_S,
            progress=progress,
            stopped=stopped,
        )

    def _done(self, made: Evaluation) -> None:
        self.evaluation = made
        self.say("")

    def _how(self) -> str:
        return "Press r to choose a data set."


def _sections(found: Evaluation) -> list[RunSection]:
    made = [
        RunSection(
            title="Metrics",
            table=SectionTable(wording.headings(found), wording.rows(found), optional=_OPTIONAL),
            entries=[Entry("", note) for note in wording.notes(found)],
        )
    ]
    if len(found.programs) > 1:
        table = SectionTable(wording.difference_headings(found), wording.difference_rows(found))
        made.append(RunSection(title="Difference", remark=wording.difference_heading(found), table=table))
    if found.data.kind == "multi-label":
        made += [
            RunSection(
                title="Categories",
                remark=one.program,
                table=SectionTable(wording.CATEGORY_HEADINGS, wording.category_rows(one), optional=_OPTIONAL),
            )
            for one in found.programs
        ]
    return made


def _data(text: str) -> Path:
    """Return the folder of a data set. Raises UsageError if it is none."""
    if not text.strip():
        raise UsageError("the data set is missing", "enter its folder")
    folder = absolute(text.strip(), "the data set")
    splits_of(folder)
    return folder


def _threshold(text: str) -> float | Literal["auto"] | None:
    if text == "auto" or not text:
        return "auto" if text else None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{plain(text)[:20]} is not a probability", "enter auto, a number from 0 to 1, or nothing")
    return value


def _text(value: float | Literal["auto"] | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"
