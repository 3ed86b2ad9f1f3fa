"""The axis of a chart over past runs: their dates under the columns where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from etui.charts.grid import Grid, Plot
from etui.charts.palette import Palette


def date_axis(
    grid: Grid,
    plot: Plot,
    columns: Sequence[int],
    moments: Sequence[datetime | None],
    palette: Palette,
    *,
    tick_all: bool,
) -> None:
    """The axis line under the plot, and under it the date of a run (its hour where all are of one day) wherever there
    is room and it is another than the last written. Every run has a tick with ``tick_all``, else only those named."""
    glyphs, line = palette.glyphs, plot.top + plot.height
    grid.put(plot.left - 1, line, glyphs.corner + glyphs.axis * plot.width, palette.muted)
    known = [moment for moment in moments if moment]
    one_day = len({moment.date() for moment in known}) == 1
    one_year = len({moment.year for moment in known}) == 1
    last, free = "", 0
    for column, moment in zip(columns, moments, strict=True):
        if moment is None:
            continue
        pattern = "%b %d %H:%M" if one_day and not last else "%H:%M" if one_day else "%b %d" if one_year else "%Y-%m-%d"
        label = f"{moment:{pattern}}"
        start = min(max(free, column - len(label) // 2), grid.width - len(label))
        has_room = start >= free and abs(start + len(label) // 2 - column) <= len(label)
        named = has_room and label != last
        if named or tick_all:
            grid.put(column, line, glyphs.tick, palette.muted)
        if named:
            grid.put(start, line + 1, label, palette.text)
            last, free = label, start + len(label) + 2
