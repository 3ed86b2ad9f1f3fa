"""Charts over past runs of one choice in order of date: the median latency with its interval, and the MAE."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui import text
from etui.charts.data import Past
from etui.charts.dates import date_axis
from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, curve, gutter_for, sentence, vertical_axis
from etui.charts.palette import Palette
from etui.charts.scale import Scale, scale_over

NO_RUNS = "No run of this model, precision and delegate has ended yet."


class _Point(msgspec.Struct, frozen=True, kw_only=True):
    run: Past
    value: float | None
    low: float | None = None
    high: float | None = None
    glyph: str
    style: str


def trend_latency(past: Sequence[Past], canvas: Canvas, *, log: bool = False) -> Text:
    """The median of each run with its 95 % interval; runs that failed stand on the axis."""
    palette = canvas.palette
    points = []
    for run in past:
        low, high = run.interval_ms or (None, None)
        value = None if run.failed else run.median_ms
        glyph, style = _look(run, palette)
        points.append(_Point(run=run, value=value, low=low, high=high, glyph=glyph, style=style))
    return _trend(points, canvas, log=log, unit="ms", subject="median latency, 95 % interval")


def trend_mae(past: Sequence[Past], canvas: Canvas, *, log: bool = False) -> Text:
    """The mean absolute error of each run's outputs; runs that failed or missed their tolerance are marked."""
    palette = canvas.palette
    points = []
    for run in past:
        glyph, style = _look(run, palette)
        if run.verdict == "FAIL":
            glyph, style = palette.glyphs.missed, palette.bad
        elif run.verdict == "UNPROVEN":
            glyph, style = palette.glyphs.unproven, palette.eager
        points.append(_Point(run=run, value=None if run.failed else run.mae, glyph=glyph, style=style))
    return _trend(points, canvas, log=log, unit="MAE", subject="mean absolute error of the outputs")


def _look(run: Past, palette: Palette) -> tuple[str, str]:
    glyphs = palette.glyphs
    if run.failed:
        return glyphs.failed, palette.bad
    if run.kind == "chosen":
        return glyphs.chosen, palette.mark
    if run.kind == "other":
        return glyphs.other, palette.eager
    return glyphs.program, palette.program


def _trend(points: list[_Point], canvas: Canvas, *, log: bool, unit: str, subject: str) -> Text:
    points = [point for point in points if point.value is not None or point.run.failed]
    measured = [point for point in points if point.value is not None]
    if not points:
        return sentence(canvas, NO_RUNS)
    if canvas.width < 24 or canvas.height < 6:
        return sentence(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    points = points[-_most(canvas.width) :]
    values = [value for point in points for value in (point.value, point.low, point.high) if value is not None]
    log = log and any(value > 0 for value in values)
    scale = scale_over(values or [1.0], log=log, margin=0.08)
    if not log and scale.low < 0:
        scale = Scale(low=0.0, high=scale.high)
    rows = canvas.height - 3
    gutter = max(len(unit) + 2, gutter_for(scale, rows))
    plot = Plot(left=gutter, top=1, width=canvas.width - gutter - 1, height=rows)
    grid = Grid(canvas.width, canvas.height)
    if measured:
        vertical_axis(grid, plot, scale, palette)
    columns = [plot.column((index + 0.5) / len(points)) for index in range(len(points))]
    line = [
        ((column - plot.left) / max(1, plot.width - 1), min(1.0, max(0.0, scale.place(point.value))))
        for column, point in zip(columns, points, strict=True)
        if point.value is not None and point.run.kind != "other"
    ]
    if glyphs.curve == "braille":
        curve(grid, plot, line, glyphs.curve, palette.muted)
    for column, point in zip(columns, points, strict=True):
        if point.value is None:
            grid.put(column, plot.top + plot.height - 1, point.glyph, point.style)
            continue
        if point.low is not None and point.high is not None:
            for y in range(plot.row(scale.place(point.high)), plot.row(scale.place(point.low)) + 1):
                grid.put(column, y, glyphs.whisker, point.style)
        grid.put(column, plot.row(scale.place(point.value)), point.glyph, point.style)
    grid.put(max(0, gutter - 1 - len(unit)), 0, unit, palette.muted)
    subjects = [f"{subject}, log scale", "log scale"] if log else [subject]
    _legend(grid, gutter + 1, points, subjects, palette)
    moments = [text.moment(point.run.at) for point in points]
    date_axis(grid, plot, columns, moments, palette, tick_all=False)
    return grid.text()


def _legend(grid: Grid, x: int, points: list[_Point], subjects: Sequence[str], palette: Palette) -> None:
    """What is drawn, in the longest words there is room for, and what the signs mean."""
    glyphs = palette.glyphs
    words = {
        glyphs.chosen: "this run",
        glyphs.failed: "failed",
        glyphs.missed: "out of tolerance",
        glyphs.unproven: "unproven",
        glyphs.other: "other box, threads or weights",
    }
    used = {point.glyph: point.style for point in points}
    parts = [(glyph, used[glyph], word) for glyph, word in words.items() if glyph in used]
    needed = sum(len(word) + 5 for _, _, word in parts)
    subject = next((words for words in subjects if x + len(words) + 3 + needed <= grid.width), "")
    if subject:
        grid.put(x, 0, subject, palette.muted)
        x += len(subject) + 3
    for glyph, style, word in parts:
        if x + 2 + len(word) > grid.width:
            break
        grid.put(x, 0, glyph, style)
        grid.put(x + 2, 0, word, palette.text)
        x += len(word) + 5


def _most(width: int) -> int:
    """How many runs have a column of their own; older ones are left out."""
    return max(1, math.floor((width - 10) / 2))
