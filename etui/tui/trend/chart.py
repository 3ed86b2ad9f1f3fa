"""The chart of a history: latency, MAE, or both, at true times or at even steps."""

from __future__ import annotations

from rich.text import Text

from etui import charts
from etui.analysis import trend_words
from etui.analysis.trends import Trend
from etui.charts import Canvas, Dated, Step
from etui.history import Point
from etui.tui.widgets.chart_frame import ChartFrame

VIEWS = ("latency", "MAE", "both")
_GUTTER = 8
_FOR_BOTH = 18
"""From so many rows on both are shown unless another view is chosen."""


class HistoryChart(ChartFrame):
    """Three views by key; the run under the table's cursor is marked."""

    views = VIEWS

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._chosen: int | None = None
        self._log = [False, False]
        self._even = False
        self._cursor: int | None = None
        self._trend: Trend | None = None

    @property
    def place(self) -> int:
        """The place of the view that is shown: both where there is room, unless one was chosen."""
        if self._chosen is not None:
            return self._chosen
        return 2 if self.content_size.height >= _FOR_BOTH else 0

    def show(self, trend: Trend) -> None:
        """Draw this history."""
        self._trend = trend
        self.redraw(anew=True)

    def state(self) -> tuple[object, ...]:
        """The view, its axes, and the marked run."""
        return self.place, *self._log, self._even, self._cursor

    def subject(self) -> str:
        """How the runs stand along the axis."""
        return "even steps" if self._even else "true times"

    def put_cursor(self, place: int | None) -> None:
        """Mark the run at a place among the history's points."""
        self._cursor = place
        self.refresh()

    def choose(self, view: int) -> None:
        """Show another view."""
        self._chosen = view
        self.redraw()

    def turn_log(self) -> None:
        """Turn the logarithmic axis of what is shown on or off."""
        shown = (0, 1) if self.place == 2 else (self.place,)
        turned = not self._log[shown[0]]
        for view in shown:
            self._log[view] = turned
        self.redraw()

    def turn_spacing(self) -> None:
        """Even steps, or true times."""
        self._even = not self._even
        self.redraw()

    def draw(self, canvas: Canvas) -> Text:
        """One chart, or both above each other."""
        if self._trend is None:
            return charts.sentence(canvas, "")
        if self.place == 0:
            return self._latency(self._trend, canvas)
        if self.place == 1:
            return self._mae(self._trend, canvas)
        upper = canvas.height * 3 // 5
        text = self._latency(self._trend, _lines(canvas, upper))
        # Each chart leaves out the blanks at its end; the second must begin at its own line.
        text.append("\n" * (upper - text.plain.count("\n")))
        return text.append_text(self._mae(self._trend, _lines(canvas, canvas.height - upper)))

    def _latency(self, trend: Trend, canvas: Canvas) -> Text:
        changes = {one.at: trend_words.changed(one) for one in trend.changes}
        runs = [
            _dated(trend, place, point, changes, point.median_ms) for place, point in enumerate(trend.history.points)
        ]
        levels = [Step(first=one.first, last=one.last, value=one.median_ms) for one in trend.levels]
        return charts.history(
            runs, canvas, unit="ms", subject="median latency, 95 % interval", levels=levels if trend.changes else (),
            cursor=self._cursor, even=self._even, log=self._log[0], gutter=_GUTTER,
        )  # fmt: skip

    def _mae(self, trend: Trend, canvas: Canvas) -> Text:
        changes = {one.at: "rose" if one.after > one.before else "fell" for one in trend.mae_changes}
        runs = [_dated(trend, place, point, changes, point.mae) for place, point in enumerate(trend.history.points)]
        return charts.history(
            runs, canvas, unit="MAE", subject="mean absolute error", cursor=self._cursor, even=self._even,
            log=self._log[1], gutter=_GUTTER,
        )  # fmt: skip


def _lines(canvas: Canvas, height: int) -> Canvas:
    return Canvas(width=canvas.width, height=height, palette=canvas.palette)


def _dated(trend: Trend, place: int, point: Point, changes: dict[int, str], value: float | None) -> Dated:
    software = trend.software.get(place, ())
    failed = point.status != "done"
    return Dated(
        at=point.at,
        value=value,
        interval=point.interval_ms if value is not None and value == point.median_ms else None,
        failed=failed,
        suspect=value is not None and value == point.mae and point.verdict in ("FAIL", "UNPROVEN"),
        software=trend_words.versions(software) if software else "",
        change=changes.get(place, ""),
    )
