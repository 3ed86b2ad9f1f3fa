"""The screen with the history of a choice: what changed in words, the runs over time, and a table of them."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
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
from etui.text import counted, plain
from etui.tui.defect_guard import Guarded
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs, sheet_styles
from etui.tui.text_layout import Styles, wrapped
from etui.tui.trend.chart import TrendChart
from etui.tui.trend.table import TrendTable, markdown_rows
from etui.tui.widgets.key_bar import KeyBar
from etui.tui.workers import start
from etui.wording import trend as trend_words

MOST_POINTS = 200
_ROOMY_LINES = 30


class TrendScreen(Guarded, Screen[None]):
    """The runs of the same choice as one run. The actions of scope ``trend`` are its methods."""

    app: ScreenHost
    scope: ClassVar[Scope] = "trend"
    DEFAULT_CSS = """
    TrendScreen { layout: vertical; }
    TrendScreen #trend-title { height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
    TrendScreen #trend-words { height: auto; max-height: 25%; padding: 0 1; overflow-y: auto;
        scrollbar-size-vertical: 1; }
    TrendScreen #trend-chart { height: 1fr; min-height: 7; }
    TrendScreen #trend-points { height: 8; }
    TrendScreen KeyBar { height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("trend")]

    def __init__(self, database: Path, run_id: str) -> None:
        super().__init__()
        self._database = database
        self._run_id = run_id
        self.trend: Trend | None = None

    def compose(self) -> ComposeResult:
        """Title, words, chart, runs, keys."""
        yield Static("Trend", id="trend-title", markup=False)
        yield Static("reading the history", id="trend-words", markup=False)
        yield TrendChart(id="trend-chart")
        yield TrendTable(id="trend-points")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Read the history."""
        self._points.focus()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._write_words())
        start(self, self._read, group="trend")

    @property
    def _points(self) -> TrendTable:
        return self.query_one(TrendTable)

    @property
    def _chart(self) -> TrendChart:
        return self.query_one(TrendChart)

    @property
    def words(self) -> str:
        """What is said of the history."""
        return str(self.query_one("#trend-words", Static).content)

    async def _read(self) -> None:
        try:
            found = await asyncio.to_thread(partial(_trend_of, self._database, self._run_id))
        except EtuiError as error:
            self.query_one("#trend-words", Static).update(Text(f"There is no trend to show: {plain(str(error))}."))
            return
        self.trend = found
        self._chart.show(found)
        self._points.show(found, self._run_id)
        self._chart.put_cursor(self._points.place)
        self._write_title(found)
        self._write_words()
        self._lay_out()
        self.refresh_bindings()

    def _write_title(self, found: Trend) -> None:
        count = len(found.history.points)
        shown = counted(count, "run")
        if count < found.history.total:
            shown = f"the newest {count:,} of {found.history.total:,} runs"
        line = Text(f"Trend  {trend_words.name(found)}")
        dot = glyphs(self.app).dot
        line.append(f" {dot} {shown} {dot} {trend_words.circumstances(found)}", "not bold")
        self.query_one("#trend-title", Static).update(line)

    def _write_words(self) -> None:
        if self.trend is None:
            return
        styles = sheet_styles(self.app)
        text = Text(no_wrap=True)
        for number, words in enumerate(trend_words.sentences(self.trend)):
            for line in wrapped(words, max(20, self.size.width - 4)):
                text.append("\n" if text.plain else "")
                text.append(line, _tone(self.trend, number, styles) or None)
        self.query_one("#trend-words", Static).update(Content.from_rich_text(text))

    def on_resize(self, event: events.Resize) -> None:
        """Wrap the words, and share the height."""
        del event
        self.call_after_refresh(self._write_words)
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        """The table takes what its runs need, up to a third of the height, or a quarter where there is little."""
        needed, height = self._points.row_count() + 1, self.size.height
        roomy = height >= _ROOMY_LINES
        self._points.styles.height = max(4, min(needed, height // 3 if roomy else height // 4))

    @on(TrendTable.Moved)
    def _moved(self, event: TrendTable.Moved) -> None:
        self._chart.put_cursor(event.place)

    @on(TrendTable.Opened)
    def _opened(self) -> None:
        self.action_details()

    # What the keys do

    def action_details(self) -> None:
        """Open the details of the run under the cursor."""
        from etui.tui.screens.details import DetailsScreen

        if self.trend is not None and (place := self._points.place) is not None:
            self.app.push_screen(DetailsScreen(self._database, self.trend.history.points[place].run))

    def action_older(self) -> None:
        """The run before."""
        self._points.move(1)

    def action_newer(self) -> None:
        """The run after."""
        self._points.move(-1)

    def action_spacing(self) -> None:
        """True times, or even steps."""
        self._chart.turn_spacing()

    def action_view_1(self) -> None:
        """The latency."""
        self._chart.choose(0)

    def action_view_2(self) -> None:
        """The MAE."""
        self._chart.choose(1)

    def action_view_3(self) -> None:
        """Both."""
        self._chart.choose(2)

    def action_log_scale(self) -> None:
        """Turn the logarithmic axis on or off."""
        self._chart.turn_log()

    def action_copy(self) -> None:
        """Copy words and runs as Markdown."""
        from etui.report import markdown
        from etui.tui.markdown import copy_markdown

        if (found := self.trend) is None:
            return
        lines = [f"## {markdown.escaped(f'Trend of {trend_words.name(found)}')}", ""]
        lines += markdown.bullets([*trend_words.sentences(found), trend_words.circumstances(found)])
        headings, rows = markdown_rows(found)
        lines += ["", *markdown.table(headings, rows), ""]
        self.notify(copy_markdown(self.app, "\n".join(lines)), title="Copied", markup=False)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()


def _trend_of(database: Path, run_id: str) -> Trend:
    with Store.open(database, create=False) as store:
        return trends.trend(store.history(run_id, MOST_POINTS))


def _tone(found: Trend, number: int, styles: Styles) -> str:
    """The changes come first, the newest before the others."""
    if number < len(found.changes):
        return styles.bad if list(reversed(found.changes))[number].ratio < 1 else styles.good
    return styles.strong if number == 0 else ""
