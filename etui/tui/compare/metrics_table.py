"""The table of a comparison: one row per metric, one column per run, with the baseline always visible."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from etui.analysis import side_by_side
from etui.analysis.side_by_side import Row
from etui.text import plain
from etui.tui.compare.metrics_text import NARROWEST, Heading, Sheet, Shown, Widths
from etui.tui.defect_guard import Guarded
from etui.tui.glyphs import Glyphs, glyphs_of
from etui.tui.runs_columns import fitted
from etui.tui.terminal import chart_palette, draws_unicode
from etui.tui.widgets.line_view import HalfPages, move_bindings

_GAP = 2


class MetricsTable(Guarded, HalfPages, ScrollView, can_focus=True):
    """Metrics side by side. The cursor is a run: left and right move it, up and down scroll the rows."""

    DEFAULT_CSS = """
    MetricsTable { height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; }
    MetricsTable > .figures--header { color: $faint; text-style: bold; }
    MetricsTable > .figures--group { color: $primary; text-style: bold; }
    MetricsTable > .figures--name { color: $foreground; }
    MetricsTable > .figures--cursor { background: $panel; text-style: bold; }
    MetricsTable:focus > .figures--cursor { background: $cursor; text-style: bold; }
    MetricsTable > .figures--faint { color: $faint; }
    MetricsTable > .figures--good { color: $success; }
    MetricsTable > .figures--bad { color: $error; }
    MetricsTable > .figures--best { color: $accent; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"figures--{name}" for name in ("header", "group", "name", "cursor", "faint", "good", "bad", "best")
    }
    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    class Moved(Message):
        """The cursor moved to another run."""

        def __init__(self, run: str) -> None:
            super().__init__()
            self.run = run

    class Opened(Message):
        """The user requested the details of a run."""

        def __init__(self, run: str) -> None:
            super().__init__()
            self.run = run

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._headings: list[Heading] = []
        self._lines: list[Row | str] = []
        self._cells: list[list[Shown]] = []
        self._label = NARROWEST
        self._widths: list[Widths] = []
        self._cursor = 0
        self._left = 1
        self._styles: dict[str, Style] = {}

    # Contents

    @property
    def run(self) -> str | None:
        """The run under the cursor."""
        return self._headings[self._cursor].run if self._headings else None

    @property
    def row_names(self) -> list[str]:
        """The names of the rows, without the groups."""
        return [line.name for line in self._lines if isinstance(line, Row)]

    def show(self, shown: Sheet) -> None:
        """Show this sheet; the cursor stays on its run."""
        before = self.run
        self._headings, self._lines, self._cells = shown.headings, shown.lines, shown.cells
        self._label, self._widths = shown.label, shown.widths
        ids = [heading.run for heading in self._headings]
        self._cursor = ids.index(before) if before in ids else max(0, min(self._cursor, len(ids) - 1))
        self._resize()
        self._show_cursor()

    def put_cursor(self, run: str) -> None:
        """Move the cursor to a run."""
        ids = [heading.run for heading in self._headings]
        if run in ids:
            self._go(ids.index(run))

    def line_text(self, index: int) -> str:
        """Return a line of the table as it is drawn."""
        return self._row_strip(index, self.scrollable_content_region.width).text

    def move(self, columns: int) -> None:
        """Move the cursor by this number of runs to the right, or left if negative."""
        self._go(self._cursor + columns)

    def _go(self, place: int) -> None:
        place = max(0, min(place, len(self._headings) - 1))
        if place != self._cursor and self._headings:
            self._cursor = place
            self._show_cursor()
            self.post_message(self.Moved(self._headings[place].run))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked run; open it on a double click."""
        offset = event.get_content_offset(self)
        if offset is None or not self._headings:
            return
        left = self._label + _GAP
        for place in self._columns(self.scrollable_content_region.width):
            left += self._widths[place].whole + _GAP
            if offset.x < left:
                self._go(place)
                if event.chain == 2:
                    self.post_message(self.Opened(self._headings[place].run))
                return

    # Layout

    def _resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines) + 1)
        self._scroll_update(self.virtual_size)
        self.refresh()

    def on_resize(self) -> None:
        """Keep the cursor visible."""
        self._resize()
        self._show_cursor()

    def _columns(self, room: int) -> list[int]:
        """Return the indices of the visible runs: the baseline, and as many from ``_left`` on as fit; the last may be
        cut off."""
        shown, used = [], self._label + _GAP
        for place in [0, *range(self._left, len(self._headings))]:
            if place >= len(self._headings) or used >= room:
                break
            shown.append(place)
            used += self._widths[place].whole + _GAP
        return shown

    def _show_cursor(self) -> None:
        """Scroll sideways until the cursor's column is fully visible."""
        if not self._headings:
            return
        room = self.scrollable_content_region.width
        if self._cursor and self._cursor < self._left:
            self._left = self._cursor
        self._left = max(1, min(self._left, len(self._headings) - 1))
        fixed = self._label + _GAP + self._widths[0].whole + _GAP
        while self._cursor > self._left:
            needed = sum(self._widths[place].whole + _GAP for place in range(self._left, self._cursor + 1)) - _GAP
            if fixed + needed <= room:
                break
            self._left += 1
        # Fill empty space at the right with columns from the left.
        while self._left > 1:
            needed = sum(widths.whole + _GAP for widths in self._widths[self._left - 1 :]) - _GAP
            if fixed + needed > room:
                break
            self._left -= 1
        self.refresh()

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = {}

    def render_line(self, y: int) -> Strip:
        """Draw the headings, or a row."""
        room = self.scrollable_content_region.width
        if y == 0:
            return self._header(room)
        index = y - 1 + round(self.scroll_offset.y)
        if index >= len(self._lines):
            return Strip.blank(room, self._style(""))
        return self._row_strip(index, room)

    def _header(self, room: int) -> Strip:
        if not self._headings:
            return Strip.blank(room, self._style(""))
        signs, palette = glyphs_of(self), chart_palette(self.app)
        plain_style, header = self._style(""), self._style("header")
        hidden = self._left - 1
        label = f"{signs.cut}{hidden:,} left" if hidden else ""
        segments = [Segment(fitted(label, self._label + _GAP, signs), header)]
        for place in self._columns(room):
            heading, size = self._headings[place], self._widths[place].whole
            here = place == self._cursor
            ground = self._style("cursor") if here else plain_style
            glyph = palette.glyphs.series[heading.slot]
            colour = Style.parse(palette.series[heading.slot]) if palette.series[heading.slot] else Style()
            cursor = signs.cursor if here else " "
            segments.append(Segment(cursor, ground + Style(color=self._style("group").color)))
            segments.append(Segment(f"{glyph} ", ground + Style(color=colour.color, bold=True)))
            name = fitted(plain(heading.name), size - 3, signs, right=False)
            segments.append(Segment(name, ground + Style(bold=True)))
            segments.append(Segment(" " * _GAP, plain_style))
        return Strip(segments).adjust_cell_length(room, plain_style)

    def _row_strip(self, index: int, room: int) -> Strip:
        line, plain_style = self._lines[index], self._style("")
        if isinstance(line, str):
            return Strip([Segment(line, self._style("group"))]).adjust_cell_length(room, plain_style)
        signs = glyphs_of(self)
        segments = [Segment(fitted(f"  {line.name}", self._label + _GAP, signs), self._style("name"))]
        for place in self._columns(room):
            segments += self._cell_segments(line, index, place, signs)
        return Strip(segments).adjust_cell_length(room, plain_style)

    def _cell_segments(self, line: Row, index: int, place: int, signs: Glyphs) -> list[Segment]:
        cell, size = self._cells[index][place], self._widths[place]
        ground = self._style("cursor") if place == self._cursor else self._style("")
        gap = Segment(" " * _GAP, self._style(""))
        if cell.is_text:
            return [Segment(fitted(cell.figure, size.whole, signs), ground), gap]
        star = best_sign(self.app) if cell.best else " "
        parts = [Segment(f"{cell.figure:>{size.figure}}", ground + self._tone("best" if cell.best else ""))]
        parts.append(Segment(f" {star}", ground + self._tone("best")))
        if size.change:
            verdict = self._headings[place].verdict
            tone = {"faster": "good", "slower": "bad"}.get(verdict or "", "") if line.name == "median ms" else ""
            parts.append(Segment(f"{cell.change:>{size.change}} ", ground + self._tone(tone)))
        if size.half:
            parts.append(Segment(f"{cell.half:>{size.half}} ", ground + self._tone("faint")))
        used = sum(len(part.text) for part in parts)
        return [*parts, Segment(" " * max(0, size.whole - used), ground), gap]

    def _tone(self, name: str) -> Style:
        if not name:
            return Style()
        whole = self._style(name)
        return Style(color=whole.color, bold=whole.bold)

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"figures--{name}") if name else self.rich_style
            self._styles[name] = style
        return style


def best_sign(app: App[object]) -> str:
    """Return the mark of the best value of a row."""
    return "★" if draws_unicode(app) else side_by_side.BEST
