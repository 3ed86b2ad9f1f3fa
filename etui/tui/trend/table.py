"""The runs of a trend as a table, the newest first; the chart marks the run under its cursor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import ClassVar

from textual.message import Message

from etui import text
from etui.analysis import trust
from etui.analysis.trends import Trend
from etui.analysis.trust import Trust
from etui.tui.glyphs import TRUST_TONES
from etui.tui.widgets.row_painter import Cell, Placed
from etui.tui.widgets.virtual_table import RowList, VirtualTable
from etui.wording import trend as trend_wording

_COLUMNS = (
    ("when", 16, False), ("median ms", 10, True), ("95 % interval", 16, True), ("MAE", 9, True), ("change", 16, False),
    ("versions changed", 30, False), ("verdict", 8, False), ("flags", 24, False),
)  # fmt: skip
_LEAST = 8


_INTERVAL = 2
"""The index of the column of intervals."""

_Point = tuple[str, list[str], Trust]
"""A run of the trend: its id, the text of its cells, and the trust in its median."""


class TrendTable(VirtualTable[_Point]):
    """One row per run."""

    DEFAULT_CSS = """
    TrendTable { border-top: solid $border-blurred; border-title-color: $text-muted; padding: 0 1; }
    TrendTable:focus { border-top: solid $border; border-title-color: $text-accent; }
    """
    gap: ClassVar[int] = 2

    class Moved(Message):
        """The cursor moved to another run: its index among the points of the trend."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    class Opened(Message):
        """The run under the cursor was double-clicked."""

    @property
    def place(self) -> int | None:
        """The index of the run under the cursor among the points of the trend, which are oldest first."""
        return self.count - 1 - self.cursor if self.count else None

    def show(self, trend: Trend, run: str) -> None:
        """Show this trend, with the cursor on ``run`` if it is part of it."""
        points = [
            (point.run, cells, trust.of_latency(point.median_ms, point.interval_ms, point.flags))
            for point, cells in zip(trend.history.points, rows(trend), strict=True)
        ]
        self.source = RowList(points[::-1], key=itemgetter(0))
        self._cursor_key = run
        self.border_title = "Runs, newest first"
        self.lay_out()
        self.rows_changed()
        self.scroll_to_cursor()

    def place_columns(self, width: int) -> Sequence[Placed[_Point]]:
        """Return the columns that fit, the last one possibly narrower."""
        placed: list[Placed[_Point]] = []
        for number, (title, size, right) in enumerate(_COLUMNS):
            size = min(size, width)
            if size < _LEAST:
                break
            placed.append(Placed(width=size, cell=partial(self._cell, number), title=title, right=right))
            width -= size + self.gap
        return placed

    def _cell(self, number: int, point: _Point) -> Cell:
        shown, trusted = text.plain(point[1][number]), point[2]
        if number != _INTERVAL or not shown or shown == text.MISSING:
            return shown, ""
        return f"{shown} {self._glyphs.of_trust(trusted)}", TRUST_TONES[trusted]

    def cursor_moved(self) -> None:
        """Report the run under the cursor."""
        if self.place is not None:
            self.post_message(self.Moved(self.place))

    def row_clicked(self, *, was_current: bool, double: bool) -> None:
        """Open the run on a double click."""
        if double:
            self.post_message(self.Opened())


def rows(trend: Trend) -> list[list[str]]:
    """Return one list of cells per run, oldest first."""
    changes = {change.at: trend_wording.changed(change) for change in trend.changes}
    result = []
    for place, point in enumerate(trend.history.points):
        done = point.status == "done"
        result.append(
            [
                text.local_time(point.at),
                text.number(point.median_ms) if done else point.status,
                text.interval(point.interval_ms) if done else "",
                text.number(point.mae) if point.mae is not None else "",
                changes.get(place, ""),
                ", ".join(f"{item.name} {item.now or 'removed'}" for item in trend.software.get(place, ())),
                point.verdict or "",
                ", ".join(point.flags) if done else point.error or "",
            ]
        )
    return result


def markdown_rows(trend: Trend) -> tuple[Sequence[str], list[list[str]]]:
    """Return headings and rows with the runs' ids, oldest first."""
    ids = [point.run for point in trend.history.points]
    headings = [title for title, _, _ in _COLUMNS]
    return [*headings, "run"], [[*row, run] for row, run in zip(rows(trend), ids, strict=True)]
