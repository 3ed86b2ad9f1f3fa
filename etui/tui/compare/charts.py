"""The charts of a comparison: up to six runs overlaid, and the Pareto fronts of all runs."""

from __future__ import annotations

import math

from rich.text import Text

from etui.analysis import pareto
from etui.analysis.pareto import Front
from etui.analysis.sweep import Sweep, sweep_of
from etui.analysis.task_changes import TaskChanges, evaluation_of
from etui.charts import drawing as charts
from etui.charts.drawing import Canvas, Dot, Overlaid
from etui.charts.scatter import DECADE
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES, RunDocument
from etui.text import wrapped
from etui.tui.compare.loader import Outcome
from etui.tui.compare.selection import Selection
from etui.tui.compare.task_views import NO_TASK, TASK_VIEWS, changes_to, draw_categories, draw_images
from etui.tui.terminal import glyphs, sheet_styles
from etui.tui.widgets.chart_data import named_series
from etui.tui.widgets.chart_frame import ChartFrame
from etui.tui.widgets.sweep_views import SWEEP_VIEWS, draw_sweep, sweep_views

VIEWS = ("histogram", "ecdf", "blocks", "accuracy", "size")
WAITING = "No block has been measured yet. The chart follows as blocks complete."
_FRONTS = 3
_MOST_LINES = 4
_FIRST_OF_TASK = 8


class ComparePictures(ChartFrame):
    """Five views, selected by key, one or two more if the runs differ in their shapes or threads, and two if they were
    evaluated on the same labelled images."""

    narrow_below = 60

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view = 0
        self._log: dict[int, bool] = {}
        self._outcome: Outcome | None = None
        self._overlaid: list[Overlaid] = []
        self._slots: dict[str, int] = {}
        self._hidden = 0
        self._sweep: Sweep | None = None
        self._near: RunDocument | None = None
        self._changes: TaskChanges | None = None
        self._is_evaluated = False

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the views that the runs have."""
        return (*VIEWS, *sweep_views(self._sweep), *(TASK_VIEWS if self._is_evaluated else ()))

    @property
    def place(self) -> int:
        """The index of the current view."""
        return self._view

    def state(self) -> tuple[object, ...]:
        """Return the view, and whether its axis is logarithmic."""
        return self._view, self.is_log

    def label(self, place: int) -> str:
        """Return a view's name, with the scale if it is the current view."""
        return f"{self.views[place]} log" if place == self._view and self.is_log else self.views[place]

    def number(self, place: int) -> int:
        """Return the digit that shows a view; those of labelled images always have the same."""
        view = self.views[place]
        return _FIRST_OF_TASK + TASK_VIEWS.index(view) if view in TASK_VIEWS else super().number(place)

    def subject(self) -> str:
        """Return how many of the runs are drawn, if not all are."""
        pictured = len(self._overlaid)
        hidden = self._hidden and self._view < _FRONTS
        return f"{pictured} of {pictured + self._hidden:,} runs" if hidden else ""

    @property
    def is_log(self) -> bool:
        """Whether the time axis is logarithmic: as chosen, else if the latencies differ by a factor of ten or more."""
        return self._log.get(self._view, self._decades_apart())

    def show(self, outcome: Outcome, selection: Selection, near: str) -> None:
        """Draw the baseline and the runs around ``near``."""
        documents = {run.id: run for run in (outcome.compared.base, *outcome.compared.others)}
        pictured = [run_id for run_id in selection.pictured(near) if run_id in documents]
        self._outcome = outcome
        self._slots = {run_id: selection.slot(run_id) for run_id in pictured}
        self._overlaid = [_overlaid(documents[run_id], outcome, selection.slot(run_id)) for run_id in pictured]
        self._hidden = len(documents) - len(pictured)
        view = self.view
        self._sweep = sweep_of([RunSummary.of(run) for run in documents.values()])
        self._near = documents.get(near, outcome.compared.base)
        self._changes = changes_to(outcome.compared.base, self._near)
        self._is_evaluated = evaluation_of(outcome.compared.base) is not None
        self._view = self.views.index(view) if view in self.views else min(self._view, len(VIEWS) - 1)
        self.redraw(reset=True)

    def choose(self, view: int) -> bool:
        """Show another view; returns False if the runs do not have it."""
        if view >= len(self.views) or self.views[view] in TASK_VIEWS:
            return False
        self._show(view)
        return True

    def choose_named(self, view: str) -> bool:
        """Show the view of this name; returns False if the runs do not have it."""
        if view not in self.views:
            return False
        self._show(self.views.index(view))
        return True

    def _show(self, view: int) -> None:
        self._view = view
        self.redraw()

    def turn_log(self) -> bool:
        """Switch the logarithmic axis on or off; returns False if the view has none."""
        if self.view in ("blocks", *TASK_VIEWS):
            return False
        self._log[self._view] = not self.is_log
        self.redraw()
        return True

    def draw(self, canvas: Canvas) -> Text:
        """Draw the current view."""
        if self._outcome is None:
            return charts.centred_message(canvas, "")
        if self._near is not None and self.view in TASK_VIEWS:
            if self._changes is None:
                return charts.centred_message(canvas, NO_TASK)
            return self._draw_task(self._changes, self._near, self._outcome, canvas)
        if self._sweep is not None and self.view in SWEEP_VIEWS:
            return draw_sweep(self._sweep, canvas, per_item=self.view == "per item", log=self.is_log)
        if self._view >= _FRONTS:
            front = self._outcome.accuracy if self.view == "accuracy" else self._outcome.size
            return self._draw_front(front, self._outcome, canvas)
        if self._is_waiting:
            return charts.centred_message(canvas, WAITING)
        if self.view == "histogram":
            return charts.overlaid_histograms(self._overlaid, canvas, log=self.is_log)
        if self.view == "ecdf":
            return charts.overlaid_ecdf(self._overlaid, canvas, log=self.is_log)
        return charts.overlaid_blocks(self._overlaid, canvas)

    def _draw_task(self, changes: TaskChanges, near: RunDocument, outcome: Outcome, canvas: Canvas) -> Text:
        styles, cut = sheet_styles(self.app), glyphs(self.app).cut
        if self.view == "images":
            return draw_images(changes, canvas.width, canvas.height, styles, cut=cut)
        names, base = outcome.compared.names, outcome.compared.base
        before = "eager" if near.id == base.id else names[base.id]
        return draw_categories(changes, before, names[near.id], canvas.width, canvas.height, styles, cut=cut)

    @property
    def _is_waiting(self) -> bool:
        """Whether no run has samples yet, and one of them is not finished."""
        if self._outcome is None or any(any(run.series.blocks) for run in self._overlaid):
            return False
        runs = (self._outcome.compared.base, *self._outcome.compared.others)
        return any(run.status in LIVE_STATUSES for run in runs)

    def _draw_front(self, front: Front, outcome: Outcome, canvas: Canvas) -> Text:
        names = outcome.compared.names
        sentences = pareto.sentences(front, names)
        lines = [line for sentence in sentences for line in wrapped(sentence, max(20, canvas.width))]
        most = max(1, min(_MOST_LINES, canvas.height - 6))
        if len(lines) > most:
            # The first sentence is the result; the Markdown copy has all of them.
            lines = wrapped(" ".join(sentences), max(20, canvas.width))
            if len(lines) > most:
                cut = glyphs(self.app).cut
                lines = [*lines[: most - 1], lines[most - 1][: canvas.width - 1] + cut]
        dots = [
            Dot(
                name=names[place.run], latency_ms=place.latency_ms, value=place.value,
                slot=self._slots.get(place.run), front=place.front,
            )
            for place in front.places
        ]  # fmt: skip
        rest = Canvas(width=canvas.width, height=max(0, canvas.height - len(lines)), palette=canvas.palette)
        text = Text(no_wrap=True, end="")
        for line in lines:
            text.append(line, canvas.palette.mark or None).append("\n")
        return text.append_text(charts.scatter(dots, rest, unit=front.measure, log=self.is_log))

    def _decades_apart(self) -> bool:
        if self._outcome is None or self.view in ("blocks", *TASK_VIEWS):
            return False
        if self._sweep is not None and self.view in SWEEP_VIEWS:
            medians = [point.latency_ms for line in self._sweep.lines for point in line.points]
        elif self._view >= _FRONTS:
            front = self._outcome.accuracy if self.view == "accuracy" else self._outcome.size
            medians = [place.latency_ms for place in front.places]
        else:
            medians = [run.series.middle for run in self._overlaid if any(run.series.blocks)]
        medians = [median for median in medians if median > 0 and math.isfinite(median)]
        return bool(medians) and max(medians) / min(medians) >= DECADE


def _overlaid(document: RunDocument, outcome: Outcome, slot: int) -> Overlaid:
    return Overlaid(series=named_series(outcome.compared.names[document.id], document), slot=slot)
