"""The pane with the charts of one run: five views by key, redrawn for the size it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import RenderResult
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from etui import charts
from etui.charts import Canvas, Past, Series
from etui.results import RunDocument, RunSummary
from etui.text import plain
from etui.tui.actions import bindings
from etui.tui.terminal import chart_palette
from etui.tui.widgets.chart_source import eager_series, past_runs, program_series

VIEWS = ("histogram", "ecdf", "blocks", "trend", "MAE")
_WITH_LOG = {0, 1, 3, 4}
_SHORTEST_TITLE = 52


class ChartPane(Widget):
    """Charts of the run that ``show_run`` was given last. The actions of scope ``chart`` are its methods."""

    DEFAULT_CSS = """
    ChartPane {
        border: round $border-blurred;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        border-title-align: left;
        border-subtitle-align: right;
        link-style: none;
        link-color: $text-muted;
        link-background: transparent;
        height: 1fr;
        padding: 0 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("chart")]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._view = 0
        # One switch a view: a MAE over decades does not ask for a logarithmic histogram.
        self._log = [False, False, False, False, True]
        self._document: RunDocument | None = None
        self._series: tuple[Series, Series] | None = None
        self._past: list[Past] = []
        self._drawn: dict[tuple[object, ...], Text] = {}

    def on_mount(self) -> None:
        """Write the title, and follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())
        self._write_titles()

    def show_run(self, document: RunDocument | None, past: Sequence[RunSummary]) -> None:
        """Show this run, with the past runs of the same model, precision and delegate; None for no run."""
        self._document = document
        self._series = None if document is None else (program_series(document), eager_series(document))
        self._past = [] if document is None else past_runs(document, past)
        self._drawn.clear()
        self._write_titles()
        self.refresh()

    @property
    def view(self) -> str:
        """The name of the view that is shown."""
        return VIEWS[self._view]

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
        """Show the trend of the latency."""
        self._choose(3)

    def action_view_5(self) -> None:
        """Show the trend of the MAE."""
        self._choose(4)

    def action_log_scale(self) -> None:
        """Turn the logarithmic scale on or off."""
        if self._view not in _WITH_LOG:
            self.notify("The blocks are shown in percent, which has no logarithmic scale.", timeout=3)
            return
        self._log[self._view] = not self._log[self._view]
        self._write_titles()
        self.refresh()

    def on_resize(self) -> None:
        """Shorten or lengthen the title."""
        self._write_titles()

    def render(self) -> RenderResult:
        """The chart for the size there is, drawn once."""
        palette = chart_palette(self.app)
        canvas = Canvas(width=self.content_size.width, height=self.content_size.height, palette=palette)
        key = (self._view, self._log[self._view], canvas)
        if key not in self._drawn:
            if len(self._drawn) > 20:
                self._drawn.clear()
            self._drawn[key] = self._draw(canvas)
        return self._drawn[key]

    def _draw(self, canvas: Canvas) -> Text:
        document, log = self._document, self._log[self._view]
        if document is None or self._series is None:
            return charts.sentence(canvas, "No run under the cursor: press r to start one, or i to import results.")
        if self._view == 3:
            return charts.trend_latency(self._past, canvas, log=log)
        if self._view == 4:
            return charts.trend_mae(self._past, canvas, log=log)
        program, eager = self._series
        if not program.count and not eager.count:
            return charts.sentence(canvas, _why_nothing(document))
        if self._view == 0:
            return charts.histogram(program, eager, canvas, log=log)
        if self._view == 1:
            return charts.ecdf(program, eager, canvas, log=log)
        return charts.block_strip(program, eager, canvas)

    def _choose(self, view: int) -> None:
        self._view = view
        self._write_titles()
        self.refresh()

    def _write_titles(self) -> None:
        narrow = self.size.width < _SHORTEST_TITLE
        parts = []
        for number, name in enumerate(VIEWS):
            if number == self._view:
                log = " log" if self._log[number] and number in _WITH_LOG else ""
                parts.append(f"[bold reverse] {number + 1} {name}{log} [/]")
            else:
                label = str(number + 1) if narrow else f"{number + 1} {name}"
                parts.append(f"[@click=view_{number + 1}]{label}[/]")
        self.border_title = " ".join(parts) if narrow else "  ".join(parts)
        subject = ""
        if (document := self._document) is not None:
            subject = plain(f"{document.model.name} {document.precision}/{document.delegate}")
        self.border_subtitle = Content(subject)


def _why_nothing(document: RunDocument) -> str:
    if document.summary_only:
        return "Only a summary of this run was imported: there are no samples to draw."
    if document.status in ("queued", "preparing", "measuring"):
        return f"This run is {document.status}: its latencies appear with the first block."
    return f"This run has no latencies: it is {document.status}. Enter tells why."
