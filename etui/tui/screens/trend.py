"""The trend screen: past runs of a configuration as a summary of changes, a chart over time, and a table."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from etui.actions import Scope, bindings
from etui.analysis import trends
from etui.analysis.trends import Trend
from etui.errors import EtuiError
from etui.store import Store
from etui.text import counted, local_time, plain, wrapped
from etui.tui.database import Database
from etui.tui.defect_guard import Guarded
from etui.tui.error_text import to_text
from etui.tui.run_actions import RunActions
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs, sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.trend.chart import TrendChart
from etui.tui.trend.table import TrendTable, markdown_rows
from etui.tui.widgets.key_bar import Footer, KeyBar
from etui.tui.widgets.virtual_table import VirtualTable
from etui.tui.workers import start
from etui.wording import trend as trend_wording

MOST_POINTS = 200
_ROOMY_LINES, _LEAST_LINES_WITH_CHART = 30, 20


class TrendScreen(Guarded, Screen[None]):
    """Shows the past runs of a run's configuration. The actions of scope ``trend`` are its methods."""

    app: ScreenHost
    scope: ClassVar[Scope] = "trend"
    DEFAULT_CSS = """
    TrendScreen { layout: vertical; }
    TrendScreen #trend-title { height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
    TrendScreen #trend-words { height: auto; max-height: 25%; padding: 0 1; overflow-y: auto;
        scrollbar-size-vertical: 1; }
    TrendScreen #trend-chart { height: 1fr; min-height: 7; }
    TrendScreen #trend-points { height: 8; }
    TrendScreen.-zoomed #trend-words, TrendScreen.-zoomed #trend-points { display: none; }
    TrendScreen KeyBar { height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("trend")]

    def __init__(self, database: Database, run_id: str) -> None:
        super().__init__()
        self._database = database
        self._run_id = run_id
        self._actions = RunActions(self)
        self.trend: Trend | None = None

    def compose(self) -> ComposeResult:
        """Title, summary, chart, runs, keys."""
        yield Static("Trend", id="trend-title", markup=False)
        yield Static("reading past runs", id="trend-words", markup=False)
        yield TrendChart(id="trend-chart")
        yield TrendTable(id="trend-points")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Read the past runs."""
        self._points.focus()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._write_summary())
        start(self, self._read, group="trend")

    @property
    def _points(self) -> TrendTable:
        return self.query_one(TrendTable)

    @property
    def _chart(self) -> TrendChart:
        return self.query_one(TrendChart)

    @property
    def summary(self) -> str:
        """The text of the summary."""
        return str(self.query_one("#trend-words", Static).content)

    async def _read(self) -> None:
        try:
            trend = await self._database.read(self._trend_of)
        except EtuiError as error:
            self.query_one("#trend-words", Static).update(Text(f"Cannot show the trend: {plain(to_text(error))}."))
            return
        self.trend = trend
        self._chart.show(trend)
        self._points.show(trend, self._run_id)
        self._chart.put_cursor(self._points.place)
        self._write_title(trend)
        self._write_summary()
        self._lay_out()
        self.refresh_bindings()

    def _trend_of(self, store: Store) -> Trend:
        return trends.trend(store.history(self._run_id, MOST_POINTS))

    def _write_title(self, trend: Trend) -> None:
        count = len(trend.history.points)
        shown = counted(count, "run")
        if count < trend.history.total:
            shown = f"the newest {count:,} of {trend.history.total:,} runs"
        line = Text(f"Trend  {trend_wording.name(trend)}")
        dot = glyphs(self.app).dot
        line.append(f" {dot} {shown} {dot} {trend_wording.circumstances(trend)}", "not bold")
        self.query_one("#trend-title", Static).update(line)

    def _write_summary(self) -> None:
        if self.trend is None:
            return
        styles = sheet_styles(self.app)
        text = Text(no_wrap=True)
        for number, sentence in enumerate(trend_wording.sentences(self.trend)):
            for line in wrapped(sentence, max(20, self.size.width - 4)):
                text.append("\n" if text.plain else "")
                text.append(line, _tone(self.trend, number, styles) or None)
        self.query_one("#trend-words", Static).update(Content.from_rich_text(text))

    def on_resize(self, event: events.Resize) -> None:
        """Wrap the summary, and divide the height."""
        del event
        self.call_after_refresh(self._write_summary)
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        """Give the table the height of its rows, up to a third of the screen, or a quarter of a low one; in a terminal
        without room for a chart, all that is left."""
        # A border, the headings and the runs.
        needed, height = 2 + self._points.count, self.size.height
        roomy = height >= _ROOMY_LINES
        self._chart.display = height >= _LEAST_LINES_WITH_CHART or self.has_class("-zoomed")
        self._points.styles.height = "1fr"
        if self._chart.display:
            self._points.styles.height = max(4, min(needed, height // 3 if roomy else height // 4))

    @on(TrendTable.Moved)
    def _moved(self, event: TrendTable.Moved) -> None:
        self._chart.put_cursor(event.place)
        self.refresh_bindings()

    @on(TrendTable.Opened)
    def _opened(self) -> None:
        self.action_details()

    def footer(self) -> Footer:
        """Return the keys for the run under the cursor; for an enlarged chart those of its views."""
        if self.has_class("-zoomed"):
            return Footer(["trend.zoom", "trend.spacing", "trend.log_scale", "trend.close"])
        if self._points.place is None:
            return Footer(["trend.close"])
        return Footer(["trend.details", "trend.compare", "trend.zoom", "trend.spacing", "trend.copy", "trend.close"])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the comparison of the first run, which has none before it."""
        if action == "compare" and self.is_mounted and self.trend is not None:
            return bool(self._points.place)
        return super().check_action(action, parameters)

    # Actions

    def action_details(self) -> None:
        """Open the details of the run under the cursor."""
        if self.trend is not None and (place := self._points.place) is not None:
            self.app.open_details(self.trend.history.points[place].run)

    def action_compare(self) -> None:
        """Compare the run under the cursor with the one before it."""
        if self.trend is None or not (place := self._points.place):
            return
        points = self.trend.history.points
        before, run = points[place - 1].run, points[place].run
        self.app.open_comparison([before, run], baseline=before, cursor=run)

    @on(VirtualTable.MenuRequested)
    def action_menu(self) -> None:
        """List what can be done with the run under the cursor, and with the trend."""
        if self.trend is None or (place := self._points.place) is None:
            return
        point = self.trend.history.points[place]
        of_others = ["trend.compare"] if place else []
        names = ["trend.details", *of_others, "trend.copy", "trend.spacing", "trend.log_scale", "trend.zoom"]
        self._actions.menu(f"Run {point.run[:6]}, {local_time(point.at)}", names)

    def action_older(self) -> None:
        """Go to the previous run."""
        self._points.move(1)

    def action_newer(self) -> None:
        """Go to the next run."""
        self._points.move(-1)

    def action_spacing(self) -> None:
        """Switch between spacing by time and even spacing."""
        self._chart.turn_spacing()

    def action_view_1(self) -> None:
        """Show the latency."""
        self._chart.choose(0)

    def action_view_2(self) -> None:
        """Show the MAE."""
        self._chart.choose(1)

    def action_view_3(self) -> None:
        """Show both."""
        self._chart.choose(2)

    def action_log_scale(self) -> None:
        """Switch the logarithmic axis on or off."""
        self._chart.turn_log()

    def action_copy(self) -> None:
        """Copy the summary and the runs as Markdown."""
        from etui.report import markdown
        from etui.tui.markdown import copy_markdown

        if (trend := self.trend) is None:
            return
        lines = [f"## {markdown.escaped(f'Trend of {trend_wording.name(trend)}')}", ""]
        lines += markdown.bullets([*trend_wording.sentences(trend), trend_wording.circumstances(trend)])
        headings, rows = markdown_rows(trend)
        lines += ["", *markdown.table(headings, rows), ""]
        self.notify(copy_markdown(self.app, "\n".join(lines)), title="Copied", markup=False)

    def action_zoom(self) -> None:
        """Enlarge the chart to the full height, or restore it."""
        self.toggle_class("-zoomed")
        self._lay_out()
        self.query_one(KeyBar).refresh()
        if not self.has_class("-zoomed"):
            self._points.focus()

    def action_close(self) -> None:
        """Go back; from an enlarged chart, to the runs."""
        if self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.dismiss()


def _tone(trend: Trend, number: int, styles: Styles) -> str:
    """Return the style of a sentence: the changes come first, newest first."""
    if number < len(trend.changes):
        return styles.bad if list(reversed(trend.changes))[number].ratio < 1 else styles.good
    return styles.strong if number == 0 else ""
