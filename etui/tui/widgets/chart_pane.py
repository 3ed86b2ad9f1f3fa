"""The pane with the charts of one run: five views, selected by key, and those of the shapes of its session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType

from etui.actions import bindings
from etui.analysis.sweep import Sweep, sweep_of
from etui.charts.data import Past, Series
from etui.charts.grid import Canvas, centred_message
from etui.facts import RunSummary
from etui.results import RunDocument
from etui.text import plain
from etui.tui.widgets.chart_data import eager_series, past_runs, program_series
from etui.tui.widgets.chart_frame import ChartFrame
from etui.tui.widgets.sweep_views import NO_ITEMS, NO_SWEEP, SWEEP_VIEWS, draw_sweep, sweep_views

VIEWS = ("histogram", "ecdf", "blocks", "trend", "MAE")
_WITH_LOG = {0, 1, 3, 4, 5, 6}


class ChartPane(ChartFrame):
    """Charts of the run set with ``show_run``. Implements the actions of scope ``chart``."""

    narrow_below = 52
    click_action = "view_"

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("chart")]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._view = 0
        # One switch per view: a logarithmic MAE does not imply a logarithmic histogram.
        self._log = [False, False, False, False, True, False, False]
        self._document: RunDocument | None = None
        self._series: tuple[Series, Series] | None = None
        self._past: list[Past] = []
        self._sweep: Sweep | None = None

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the views that the run has."""
        return (*VIEWS, *sweep_views(self._sweep))

    def show_run(
        self, document: RunDocument | None, past: Sequence[RunSummary], session: Sequence[RunSummary] = ()
    ) -> None:
        """Show this run, with the past runs of its configuration and the runs of its session; None for no run."""
        self._document = document
        self._series = None if document is None else (program_series(document), eager_series(document))
        self._past = [] if document is None else past_runs(document, past)
        self._sweep = sweep_of(session)
        self._view = self._view if self._view < len(self.views) else 0
        self.redraw(reset=True)

    @property
    def place(self) -> int:
        """The index of the current view."""
        return self._view

    def state(self) -> tuple[object, ...]:
        """Return the view, and whether its axis is logarithmic."""
        return self._view, self._log[self._view], self._sweep is not None

    def label(self, place: int) -> str:
        """Return a view's name, with the scale if it is the current view."""
        is_log = place == self._view and self._log[place] and place in _WITH_LOG
        return f"{self.views[place]} log" if is_log else self.views[place]

    def subject(self) -> str:
        """Return the run's configuration."""
        document = self._document
        return plain(f"{document.model.name} {document.configuration}") if document else ""

    def action_view_1(self) -> None:
        """Show the histogram."""
        self._choose(0)

    def action_view_2(self) -> None:
        """Show the cumulative distribution."""
        self._choose(1)

    def action_view_3(self) -> None:
        """Show the blocks."""
        self._choose(2)

    def action_view_4(self) -> None:
        """Show the latency of past runs."""
        self._choose(3)

    def action_view_5(self) -> None:
        """Show the MAE of past runs."""
        self._choose(4)

    def action_view_6(self) -> None:
        """Show the latency over the shapes or threads of the session."""
        if self._sweep is None:
            self.notify(NO_SWEEP, timeout=3)
        else:
            self._choose(5)

    def action_view_7(self) -> None:
        """Show the latency per item over the shapes or threads of the session."""
        if self._sweep is None or not self._sweep.has_items:
            self.notify(NO_ITEMS, timeout=3)
        else:
            self._choose(6)

    def show_next(self) -> None:
        """Show the next view, after the last one the first."""
        self._choose((self._view + 1) % len(self.views))

    def action_log_scale(self) -> None:
        """Switch the logarithmic scale on or off."""
        if self._view not in _WITH_LOG:
            self.notify("The block chart is in percent and has no logarithmic scale.", timeout=3)
            return
        self._log[self._view] = not self._log[self._view]
        self.redraw()

    def draw(self, canvas: Canvas) -> Text:
        """Draw the chart, or the reason why there is none."""
        document, log = self._document, self._log[self._view]
        if document is None or self._series is None:
            return centred_message(canvas, "No run selected: press r to start one, or i to import runs.")
        # Imported here to keep it out of the time until the first paint.
        from etui.charts import drawing as charts

        if self._sweep is not None and self.view in SWEEP_VIEWS:
            return draw_sweep(self._sweep, canvas, per_item=self.view == "per item", log=log)
        if self._view == 3:
            return charts.trend_latency(self._past, canvas, log=log)
        if self._view == 4:
            return charts.trend_mae(self._past, canvas, log=log)
        program, eager = self._series
        if not program.count and not eager.count:
            return centred_message(canvas, _why_empty(document))
        if self._view == 0:
            return charts.histogram(program, eager, canvas, log=log)
        if self._view == 1:
            return charts.ecdf(program, eager, canvas, log=log)
        return charts.block_strip(program, eager, canvas)

    def _choose(self, view: int) -> None:
        self._view = view
        self.redraw()


def _why_empty(document: RunDocument) -> str:
    if document.summary_only:
        return "Only a summary of this run was imported: no samples to draw."
    if document.status in ("queued", "preparing", "measuring"):
        return f"The run is {document.status}: latencies appear after the first block."
    from etui.wording import run as run_wording

    reason = run_wording.ending(document) or f"No latencies: the run is {document.status}."
    return f"{reason} Press Enter for details."
