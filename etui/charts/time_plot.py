"""The plot shared by the charts over past runs: scale, points with intervals, connecting line, legend and dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from etui.charts.grid import Canvas, Grid, Plot, curve, gutter_for
from etui.charts.palette import Palette
from etui.charts.scale import Scale, scale_over
from etui.results import Interval


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a plot. Without a ``value`` (the run failed) its glyph is on the axis. ``interval_style``
    defaults to ``style``."""

    column: int
    glyph: str
    style: str
    value: float | None = None
    interval: Interval | None = None
    interval_style: str | None = None


def value_scale(values: Sequence[float], *, log: bool) -> Scale:
    """Return a scale over the values that does not go below zero; logarithmic if ``log`` and a value is positive."""
    scale = scale_over(list(values) or [1.0], log=log and any(value > 0 for value in values), margin=0.08)
    return scale if scale.log or scale.low >= 0 else Scale(low=0.0, high=scale.high)


def start_plot(canvas: Canvas, scale: Scale, unit: str, *, top: int, gutter: int = 0) -> tuple[Grid, Plot]:
    """Return a grid with the unit written, and the plot area below its first ``top`` lines, with at least ``gutter``
    columns for the values."""
    rows = canvas.height - top - 2
    gutter = max(gutter, len(unit) + 2, gutter_for(scale, rows))
    grid = Grid(canvas.width, canvas.height)
    grid.put(max(0, gutter - 1 - len(unit)), 0, unit, canvas.palette.muted)
    return grid, Plot(left=gutter, top=top, width=canvas.width - gutter - 1, height=rows)


def draw_marks(grid: Grid, plot: Plot, scale: Scale, marks: Sequence[Mark], palette: Palette, *, line: bool) -> None:
    """Draw the intervals and glyphs of the marks, and with ``line`` (not in ASCII) the line through the values."""
    glyphs = palette.glyphs
    if line and glyphs.curve == "braille":
        points = [
            ((mark.column - plot.left) / max(1, plot.width - 1), min(1.0, max(0.0, scale.place(mark.value))))
            for mark in marks
            if mark.value is not None
        ]
        curve(grid, plot, points, glyphs.curve, palette.muted)
    for mark in marks:
        if mark.value is None:
            grid.put(mark.column, plot.top + plot.height - 1, mark.glyph, mark.style)
        elif mark.interval is not None:
            low, high = mark.interval
            style = mark.style if mark.interval_style is None else mark.interval_style
            for y in range(plot.row(scale.place(high)), plot.row(scale.place(low)) + 1):
                grid.put(mark.column, y, glyphs.whisker, style)
    # Values last, so that neither an interval nor a failed run in the same column hides one.
    for mark in marks:
        if mark.value is not None:
            grid.put(mark.column, plot.row(scale.place(mark.value)), mark.glyph, mark.style)


def draw_legend(grid: Grid, x: int, entries: Sequence[tuple[str, str, str]], palette: Palette) -> None:
    """Write (glyph, style, label) entries on the first line from ``x`` on, as many as fit."""
    for glyph, style, label in entries:
        if x + 2 + len(label) > grid.width:
            break
        grid.put(x, 0, glyph, style)
        grid.put(x + 2, 0, label, palette.text)
        x += len(label) + 5


def date_axis(
    grid: Grid,
    plot: Plot,
    columns: Sequence[int],
    moments: Sequence[datetime | None],
    palette: Palette,
    *,
    tick_all: bool,
) -> None:
    """Draw the axis line below the plot, and below it the date of each run (or its time if all are of one day) if it
    fits and differs from the previous label. With ``tick_all`` every run has a tick, else only the labelled ones."""
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
