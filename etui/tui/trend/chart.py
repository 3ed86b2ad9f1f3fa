"""The chart of a trend: latency, MAE, or both, spaced by time or evenly."""

from __future__ import annotations

from rich.text import Text

from etui.analysis.trends import Trend
from etui.charts import drawing as charts
from etui.charts.drawing import Canvas, Dated, Step
from etui.history import Point
from etui.tui.widgets.chart_frame import ChartFrame
from etui.wording import trend as trend_wording

VIEWS = ("latency", "MAE", "both")
_GUTTER = 8
_FOR_BOTH = 18
"""From this number of rows on both are shown unless another view is chosen."""


class TrendChart(ChartFrame):
    """Three views, selected by key; the run under the table's cursor is marked."""

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
        """The index of the current view: both if there is room, unless one was chosen."""
        if self._chosen is not None:
            return self._chosen
        return 2 if self.content_size.height >= _FOR_BOTH else 0

    def show(self, trend: Trend) -> None:
        """Draw this trend."""
        self._trend = trend
        self.redraw(reset=True)

    def state(self) -> tuple[object, ...]:
        """Return the view, its axes, and the marked run."""
        return self.place, *self._log, self._even, self._cursor

    def subject(self) -> str:
        """Return how the runs are spaced."""
        return "evenly spaced" if self._even else "spaced by time"

    def put_cursor(self, place: int | None) -> None:
        """Mark the run with this index among the points of the trend."""
        self._cursor = place
        self.refresh()

    def choose(self, view: int) -> None:
        """Show another view."""
        self._chosen = view
        self.redraw()

    def turn_log(self) -> None:
        """Switch the logarithmic axis of the current view on or off."""
        shown = (0, 1) if self.place == 2 else (self.place,)
        is_log = not self._log[shown[0]]
        for view in shown:
            self._log[view] = is_log
        self.redraw()

    def turn_spacing(self) -> None:
        """Switch between even spacing and spacing by time."""
        self._even = not self._even
        self.redraw()

    def draw(self, canvas: Canvas) -> Text:
        """Draw one chart, or one above the other."""
        if self._trend is None:
            return charts.centred_message(canvas, "")
        if self.place == 0:
            return self._latency(self._trend, canvas)
        if self.place == 1:
            return self._mae(self._trend, canvas)
        upper = canvas.height * 3 // 5
        text = self._latency(self._trend, _lines(canvas, upper))
        # A chart has no blank lines at its end, and the second must start on its own line.
        text.append("\n" * (upper - text.plain.count("\n")))
        return text.append_text(self._mae(self._trend, _lines(canvas, canvas.height - upper)))

    def _latency(self, trend: Trend, canvas: Canvas) -> Text:
        changes = {change.at: trend_wording.changed(change) for change in trend.changes}
        runs = [
            _dated(trend, place, point, changes, point.median_ms) for place, point in enumerate(trend.history.points)
        ]
        levels = [Step(first=level.first, last=level.last, value=level.median_ms) for level in trend.levels]
        return charts.trend_points(
            runs, canvas, unit="ms", subject="median latency, 95 % interval", levels=levels if trend.changes else (),
            cursor=self._cursor, even=self._even, log=self._log[0], gutter=_GUTTER,
        )  # fmt: skip

    def _mae(self, trend: Trend, canvas: Canvas) -> Text:
        changes = {change.at: "rose" if change.after > change.before else "fell" for change in trend.mae_changes}
        runs = [_dated(trend, place, point, changes, point.mae) for place, point in enumerate(trend.history.points)]
        return charts.trend_points(
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
        software=trend_wording.versions(software) if software else "",
        change=changes.get(place, ""),
    )
