"""The pictures of a comparison: up to six runs over each other, and which of all runs to ship."""

from __future__ import annotations

import math

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from etui import charts
from etui.analysis import pareto
from etui.analysis.pareto import Front
from etui.charts import Canvas, Dot, Overlaid
from etui.charts.scatter import DECADE
from etui.results import RunDocument
from etui.tui.compare.selection import Selection
from etui.tui.compare.source import Outcome
from etui.tui.details.sheet import wrapped
from etui.tui.terminal import chart_palette
from etui.tui.widgets.chart_source import named_series

VIEWS = ("histogram", "ecdf", "blocks", "accuracy", "size")
_FRONTS = 3
_SHORTEST_TITLE = 60
_MOST_WORDS = 4


class ComparePictures(Widget):
    """Five views by key, redrawn for the size there is."""

    DEFAULT_CSS = """
    ComparePictures {
        border: round $border-blurred; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        border-subtitle-align: right; link-style: none; link-color: $text-muted; link-background: transparent;
        height: 1fr; padding: 0 1;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view = 0
        self._log: dict[int, bool] = {}
        self._outcome: Outcome | None = None
        self._overlaid: list[Overlaid] = []
        self._slots: dict[str, int] = {}
        self._drawn: dict[tuple[object, ...], Text] = {}
        self._hidden = 0

    @property
    def view(self) -> str:
        """The name of the view that is shown."""
        return VIEWS[self._view]

    @property
    def is_log(self) -> bool:
        """Whether the axis of milliseconds is logarithmic: as chosen, else where the runs lie decades apart."""
        return self._log.get(self._view, self._decades_apart())

    def on_mount(self) -> None:
        """Write the titles, and follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())
        self._write_titles()

    def show(self, outcome: Outcome, selection: Selection, near: str) -> None:
        """Draw the base and the runs around ``near``."""
        documents = {one.id: one for one in (outcome.compared.base, *outcome.compared.others)}
        pictured = [one for one in selection.pictured(near) if one in documents]
        self._outcome = outcome
        self._slots = {one: selection.slot(one) for one in pictured}
        self._overlaid = [_overlaid(documents[one], outcome, selection.slot(one)) for one in pictured]
        self._hidden = len(documents) - len(pictured)
        self._drawn.clear()
        self._write_titles()
        self.refresh()

    def choose(self, view: int) -> None:
        """Show another view."""
        self._view = view
        self._write_titles()
        self.refresh()

    def turn_log(self) -> bool:
        """Turn the logarithmic axis on or off; returns False where the view has none."""
        if VIEWS[self._view] == "blocks":
            return False
        self._log[self._view] = not self.is_log
        self._write_titles()
        self.refresh()
        return True

    def on_resize(self) -> None:
        """Shorten or lengthen the title."""
        self._write_titles()

    def render(self) -> RenderResult:
        """The view for the size there is, drawn once."""
        palette = chart_palette(self.app)
        canvas = Canvas(width=self.content_size.width, height=self.content_size.height, palette=palette)
        key = (self._view, self.is_log, canvas)
        if key not in self._drawn:
            if len(self._drawn) > 20:
                self._drawn.clear()
            self._drawn[key] = self._draw(canvas)
        return self._drawn[key]

    def _draw(self, canvas: Canvas) -> Text:
        if self._outcome is None:
            return charts.sentence(canvas, "")
        if self._view >= _FRONTS:
            front = self._outcome.accuracy if VIEWS[self._view] == "accuracy" else self._outcome.size
            return self._draw_front(front, self._outcome, canvas)
        if VIEWS[self._view] == "histogram":
            return charts.overlaid_histograms(self._overlaid, canvas, log=self.is_log)
        if VIEWS[self._view] == "ecdf":
            return charts.overlaid_ecdf(self._overlaid, canvas, log=self.is_log)
        return charts.overlaid_blocks(self._overlaid, canvas)

    def _draw_front(self, front: Front, outcome: Outcome, canvas: Canvas) -> Text:
        names = outcome.compared.names
        said = pareto.sentences(front, names)
        lines = [line for words in said for line in wrapped(words, max(20, canvas.width))]
        most = max(1, min(_MOST_WORDS, canvas.height - 6))
        if len(lines) > most:
            # The first sentence answers; what does not fit is in the copy as Markdown.
            lines = wrapped(" ".join(said), max(20, canvas.width))[:most]
        dots = [
            Dot(
                name=names[one.run], latency_ms=one.latency_ms, value=one.value, slot=self._slots.get(one.run),
                front=one.front,
            )
            for one in front.places
        ]  # fmt: skip
        rest = Canvas(width=canvas.width, height=max(0, canvas.height - len(lines)), palette=canvas.palette)
        text = Text(no_wrap=True, end="")
        for line in lines:
            text.append(line, canvas.palette.mark or None).append("\n")
        return text.append_text(charts.scatter(dots, rest, unit=front.measure, log=self.is_log))

    def _decades_apart(self) -> bool:
        if self._outcome is None or VIEWS[self._view] == "blocks":
            return False
        if self._view >= _FRONTS:
            front = self._outcome.accuracy if VIEWS[self._view] == "accuracy" else self._outcome.size
            medians = [one.latency_ms for one in front.places]
        else:
            medians = [one.series.middle for one in self._overlaid if any(one.series.blocks)]
        medians = [one for one in medians if one > 0 and math.isfinite(one)]
        return bool(medians) and max(medians) / min(medians) >= DECADE

    def _write_titles(self) -> None:
        narrow = self.size.width < _SHORTEST_TITLE
        parts: list[str] = []
        for number, name in enumerate(VIEWS):
            log = " log" if number == self._view and self.is_log else ""
            words = f"{number + 1} {name}{log}"
            if number == self._view:
                parts.append(f"[bold reverse] {words} [/]")
            else:
                shown = str(number + 1) if narrow else words
                parts.append(f"[@click=screen.view_{number + 1}]{shown}[/]")
        self.border_title = " ".join(parts) if narrow else "  ".join(parts)
        pictured = len(self._overlaid)
        hidden = self._hidden and self._view < _FRONTS
        self.border_subtitle = f"{pictured} of {pictured + self._hidden:,} runs" if hidden else ""


def _overlaid(document: RunDocument, outcome: Outcome, slot: int) -> Overlaid:
    return Overlaid(series=named_series(outcome.compared.names[document.id], document), slot=slot)
