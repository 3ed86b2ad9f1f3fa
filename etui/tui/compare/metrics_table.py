"""The table of a comparison: one row per metric, one column per run, with the baseline always visible."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.style import Style
from textual.app import App

from etui.analysis import side_by_side
from etui.analysis.side_by_side import Row
from etui.text import shortened_start
from etui.tui.compare.metrics_text import MEDIAN, Sheet, Shown, Widths
from etui.tui.compare.run_messages import RunMoved, RunOpened
from etui.tui.glyphs import TRUST_TONES
from etui.tui.runs_columns import fitted
from etui.tui.terminal import chart_palette, draws_unicode
from etui.tui.widgets.row_painter import Cell, Part, Placed
from etui.tui.widgets.virtual_table import RowList, VirtualTable

_GAP = 1

_Metric = tuple[str, list[Shown]]
"""A row: the name of the metric, and its cell of each run."""


class MetricsTable(VirtualTable[_Metric | str]):
    """Metrics side by side. The cursor is a run: left and right move it, up and down scroll the rows."""

    DEFAULT_CSS = "MetricsTable { overflow-y: scroll; }"
    has_cursor: ClassVar[bool] = False
    gutter_width: ClassVar[int] = 0
    gap: ClassVar[int] = _GAP

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sheet = Sheet()
        self._widths: list[Widths] = []
        self._column = 0
        self._left = 1

    @property
    def shows_intervals(self) -> bool:
        """Whether there is room for the intervals."""
        return any(size.half for size in self._widths)

    # Contents

    @property
    def run(self) -> str | None:
        """The run under the cursor."""
        return self._sheet.headings[self._column].run if self._sheet.headings else None

    @property
    def _runs(self) -> list[str]:
        return [heading.run for heading in self._sheet.headings]

    def show(self, shown: Sheet) -> None:
        """Show this sheet; the cursor stays on its run."""
        before, self._sheet = self.run, shown
        ids = self._runs
        self._column = ids.index(before) if before in ids else max(0, min(self._column, len(ids) - 1))
        lines = zip(shown.lines, shown.cells, strict=True)
        rows = [(line.name, cells) if isinstance(line, Row) else line for line, cells in lines]
        self.source = RowList(rows) if ids else None
        self.lay_out()

    def put_cursor(self, run: str) -> None:
        """Move the cursor to a run, without a message about it."""
        if run in self._runs and run != self.run:
            self._column = self._runs.index(run)
            self.lay_out()

    def move_right(self, columns: int) -> None:
        """Move the cursor by this number of runs to the right, or left if negative."""
        place = max(0, min(self._column + columns, len(self._sheet.headings) - 1))
        if self._sheet.headings:
            self._go(self._sheet.headings[place].run)

    def _go(self, run: str) -> None:
        if run in self._runs and run != self.run:
            self.put_cursor(run)
            self.post_message(RunMoved(run))

    def column_clicked(self, column: Placed[_Metric | str], *, double: bool) -> None:
        """Move the cursor to the clicked run; open it on a double click."""
        self._go(column.name)
        if double and column.name:
            self.post_message(RunOpened(column.name))

    # Columns

    def place_columns(self, width: int) -> Sequence[Placed[_Metric | str]]:
        """Return the names, the baseline, and as many runs as fit from the one on with which the cursor's run is
        visible; the last may be cut off."""
        self._widths = self._sheet.widths(width - self._sheet.label - _GAP, _GAP)
        self._show_cursor(width)
        signs, sheet, hidden = self._glyphs, self._sheet, self._left - 1
        title = f"{signs.cut}{hidden:,} left" if hidden else ""
        placed: list[Placed[_Metric | str]] = [Placed(width=sheet.label, cell=_name, title=title)]
        used = sheet.label + _GAP
        for place in [0, *range(self._left, len(sheet.headings))]:
            if used >= width:
                break
            size = self._widths[place].whole
            placed.append(
                Placed(
                    width=size,
                    cell=partial(self._cell, place),
                    title=self._title(place),
                    name=sheet.headings[place].run,
                    current=place == self._column,
                )
            )
            used += size + _GAP
        return placed

    def _show_cursor(self, room: int) -> None:
        """Scroll sideways until the cursor's column is fully visible."""
        widths = self._widths
        if not widths:
            return
        if self._column and self._column < self._left:
            self._left = self._column
        self._left = max(1, min(self._left, len(widths) - 1))
        fixed = self._sheet.label + _GAP + widths[0].whole + _GAP

        def fits(first: int, last: int) -> bool:
            return fixed + sum(size.whole + _GAP for size in widths[first : last + 1]) - _GAP <= room

        while self._column > self._left and not fits(self._left, self._column):
            self._left += 1
        # Fill empty space at the right with columns from the left.
        while self._left > 1 and fits(self._left - 1, len(widths) - 1):
            self._left -= 1

    def _title(self, place: int) -> list[Part]:
        heading, palette, size = self._sheet.headings[place], chart_palette(self.app), self._widths[place].whole - 3
        colour = Style.parse(palette.series[heading.slot]).color if palette.series[heading.slot] else None
        return [
            (self._glyphs.cursor if place == self._column else " ", Style(color=self.style("live").color)),
            (f"{palette.glyphs.series[heading.slot]} ", Style(color=colour, bold=True)),
            (fitted(shortened_start(heading.name, size, self._glyphs.cut), size, self._glyphs), Style(bold=True)),
        ]

    def _cell(self, place: int, row: _Metric | str) -> Cell:
        if isinstance(row, str):
            return "", ""
        cell, size = row[1][place], self._widths[place]
        if cell.is_text:
            return cell.figure, ""
        best = "best" if cell.best else ""
        parts: list[Part] = [
            (f"{cell.figure:>{size.figure}}", best),
            (best_sign(self.app) if cell.best else " ", "best"),
        ]
        if size.change:
            verdict = self._sheet.headings[place].verdict if row[0] == MEDIAN else ""
            tone = TRUST_TONES[cell.trust] or {"faster": "good", "slower": "bad"}.get(verdict, "")
            parts.append((f" {cell.brief_change if size.brief else cell.change:>{size.change}}", tone))
        if size.half:
            parts.append((f" {cell.half:>{size.half}}", TRUST_TONES[cell.trust] or "faint"))
        return parts


def _name(row: _Metric | str) -> Cell:
    return (row, "group") if isinstance(row, str) else (f"  {row[0]}", "")


def best_sign(app: App[object]) -> str:
    """Return the mark of the best value of a row."""
    return "★" if draws_unicode(app) else side_by_side.BEST
