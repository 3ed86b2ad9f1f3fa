"""Charts over past runs of one configuration in order of date: the median latency with its interval, and the MAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.text import Text

from etui import text
from etui.charts.data import Past
from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, centred_message, vertical_axis
from etui.charts.palette import Palette
from etui.charts.time_plot import Mark, date_axis, draw_legend, draw_marks, start_plot, value_scale

NO_RUNS = "No finished run of this configuration yet."


def trend_latency(past: Sequence[Past], canvas: Canvas, *, log: bool = False) -> Text:
    """Draw the median of each run with its 95 % interval; failed runs are on the axis."""
    runs = [run for run in past if run.failed or run.median_ms is not None]

    def mark(run: Past, column: int) -> Mark:
        glyph, style = _look(run, canvas.palette)
        value = None if run.failed else run.median_ms
        return Mark(column=column, glyph=glyph, style=style, value=value, interval=run.interval_ms)

    return _draw(runs, mark, canvas, log=log, unit="ms", subject="median latency, 95 % interval")


def trend_mae(past: Sequence[Past], canvas: Canvas, *, log: bool = False) -> Text:
    """Draw the mean absolute error of each run's outputs; runs that failed or are out of tolerance are marked."""
    runs = [run for run in past if run.failed or run.mae is not None]

    def mark(run: Past, column: int) -> Mark:
        palette = canvas.palette
        glyph, style = _look(run, palette)
        if run.verdict == "FAIL":
            glyph, style = palette.glyphs.missed, palette.bad
        elif run.verdict == "UNPROVEN":
            glyph, style = palette.glyphs.unproven, palette.eager
        return Mark(column=column, glyph=glyph, style=style, value=None if run.failed else run.mae)

    return _draw(runs, mark, canvas, log=log, unit="MAE", subject="mean absolute error of the outputs")


def _look(run: Past, palette: Palette) -> tuple[str, str]:
    glyphs = palette.glyphs
    if run.failed:
        return glyphs.failed, palette.bad
    if run.is_chosen:
        return glyphs.chosen, palette.mark
    return glyphs.program, palette.program


def _draw(
    runs: Sequence[Past], mark: Callable[[Past, int], Mark], canvas: Canvas, *, log: bool, unit: str, subject: str
) -> Text:
    if not runs:
        return centred_message(canvas, NO_RUNS)
    if canvas.width < 24 or canvas.height < 6:
        return centred_message(canvas, TOO_SMALL)
    palette = canvas.palette
    runs = runs[-_most(canvas.width) :]
    values = [end for each in (mark(run, 0) for run in runs) for end in (each.value, *(each.interval or ()))]
    scale = value_scale([value for value in values if value is not None], log=log)
    grid, plot = start_plot(canvas, scale, unit, top=1)
    columns = [plot.column((index + 0.5) / len(runs)) for index in range(len(runs))]
    marks = [mark(run, column) for run, column in zip(runs, columns, strict=True)]
    if any(each.value is not None for each in marks):
        vertical_axis(grid, plot, scale, palette)
    draw_marks(grid, plot, scale, marks, palette, line=True)
    subjects = [f"{subject}, log scale", "log scale"] if scale.log else [subject]
    _legend(grid, plot.left + 1, marks, subjects, palette)
    date_axis(grid, plot, columns, [text.moment(run.at) for run in runs], palette, tick_all=False)
    return grid.text()


def _legend(grid: Grid, x: int, marks: Sequence[Mark], subjects: Sequence[str], palette: Palette) -> None:
    """Write the longest subject that fits, and the meaning of the glyphs."""
    glyphs = palette.glyphs
    labels = {
        glyphs.chosen: "this run",
        glyphs.failed: "failed",
        glyphs.missed: "out of tolerance",
        glyphs.unproven: "unproven",
    }
    used = {mark.glyph: mark.style for mark in marks}
    entries = [(glyph, used[glyph], label) for glyph, label in labels.items() if glyph in used]
    needed = sum(len(label) + 5 for _, _, label in entries)
    subject = next((subject for subject in subjects if x + len(subject) + 3 + needed <= grid.width), "")
    if subject:
        grid.put(x, 0, subject, palette.muted)
        x += len(subject) + 3
    draw_legend(grid, x, entries, palette)


def _most(width: int) -> int:
    """Return the number of runs that get a column; older ones are omitted."""
    return max(1, math.floor((width - 10) / 2))
