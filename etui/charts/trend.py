"""The chart of a configuration's trend: a figure of each run over time, its levels, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from rich.text import Text

from etui import text
from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, centred_message, vertical_axis
from etui.charts.palette import Palette
from etui.charts.time_plot import Mark, date_axis, draw_legend, draw_marks, start_plot, value_scale
from etui.results import Interval

NOTHING = "No run of this configuration has this figure."


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its time, its figure with the interval if known, and remarks.

    ``failed`` runs are on the axis. ``suspect`` marks an accuracy that is out of tolerance or unproven. ``software``
    names the versions that changed with it, ``change`` how its level differs from the previous one.
    """

    at: str
    value: float | None = None
    interval: Interval | None = None
    failed: bool = False
    suspect: bool = False
    software: str = ""
    change: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A level between two runs (indices, the last included)."""

    first: int
    last: int
    value: float


def trend_points(
    runs: Sequence[Dated],
    canvas: Canvas,
    *,
    unit: str,
    subject: str,
    levels: Sequence[Step] = (),
    cursor: int | None = None,
    even: bool = False,
    log: bool = False,
    gutter: int = 0,
) -> Text:
    """Draw each run's figure, oldest left, spaced by time or with ``even`` evenly. The run at ``cursor`` is marked. At
    least ``gutter`` columns are for the values, so that charts above each other are aligned."""
    values = [end for run in runs for end in (run.value, *(run.interval or ())) if end is not None and not run.failed]
    if not runs or not values:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 6:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    scale = value_scale(values, log=log)
    has_changes = any(run.change for run in runs)
    has_software = any(run.software for run in runs)
    heads = 1 + has_changes + has_software
    if canvas.height < heads + 6:
        has_software = has_software and canvas.height >= 8
        has_changes = has_changes and canvas.height >= 7
        heads = 1 + has_changes + has_software
    grid, plot = start_plot(canvas, scale, unit, top=heads, gutter=gutter)
    vertical_axis(grid, plot, scale, palette)
    moments = [text.moment(run.at) for run in runs]
    columns = _columns(plot, moments, even)
    for run, column in zip(runs, columns, strict=True):
        if run.software or run.change:
            style = palette.mark if run.change else palette.muted
            for y in range(plot.top, plot.top + plot.height):
                grid.put(column, y, glyphs.mark_line, style)
    for level in levels:
        left, right = columns[level.first], columns[level.last]
        grid.put(left, plot.row(scale.place(level.value)), glyphs.level * (right - left + 1), palette.mark)
    draw_marks(grid, plot, scale, _marks(runs, columns, palette), palette, line=not levels)
    row = 1
    if has_changes:
        _labels(grid, row, [(column, run.change) for run, column in zip(runs, columns, strict=True)], palette.mark)
        row += 1
    if has_software:
        _labels(grid, row, [(column, run.software) for run, column in zip(runs, columns, strict=True)], palette.muted)
    _legend(grid, plot.left + 1, runs, f"{subject}, log scale" if scale.log else subject, palette)
    date_axis(grid, plot, columns, moments, palette, tick_all=True)
    if cursor is not None and 0 <= cursor < len(runs):
        grid.put(columns[cursor], plot.top + plot.height, glyphs.cursor, palette.program)
    return grid.text()


def _marks(runs: Sequence[Dated], columns: Sequence[int], palette: Palette) -> list[Mark]:
    glyphs = palette.glyphs
    marks = []
    for run, column in zip(runs, columns, strict=True):
        if run.failed:
            marks.append(Mark(column=column, glyph=glyphs.failed, style=palette.bad))
        elif run.value is not None:
            glyph, style = (glyphs.missed, palette.bad) if run.suspect else (glyphs.program, palette.program)
            marks.append(
                Mark(
                    column=column, glyph=glyph, style=style, value=run.value, interval=run.interval,
                    interval_style=palette.program,
                )
            )  # fmt: skip
    return marks


def _columns(plot: Plot, moments: Sequence[datetime | None], even: bool) -> list[int]:
    """Return the column of each run. A time that cannot be parsed counts as that of the previous run."""
    count = len(moments)
    if not even:
        seconds: list[float] = []
        for moment in moments:
            seconds.append(moment.timestamp() if moment else seconds[-1] if seconds else 0.0)
        span = max(seconds) - min(seconds)
        if span > 0:
            return [plot.column(0.02 + 0.96 * (second - min(seconds)) / span) for second in seconds]
    return [plot.column((index + 0.5) / count) for index in range(count)]


def _labels(grid: Grid, row: int, labels: Sequence[tuple[int, str]], style: str) -> None:
    """Write labels at their columns; if not all fit, the newest take precedence."""
    free = grid.width
    for column, label in reversed(labels):
        label = text.plain(label)
        if not label:
            continue
        start = min(column, free - text.width(label))
        if start < 0 or start < column - text.width(label):
            continue
        grid.put(start, row, label, style)
        free = start - 2


def _legend(grid: Grid, x: int, runs: Sequence[Dated], subject: str, palette: Palette) -> None:
    grid.put(x, 0, subject, palette.muted)
    entries = []
    if any(run.failed for run in runs):
        entries.append((palette.glyphs.failed, palette.bad, "not completed"))
    if any(run.suspect for run in runs):
        entries.append((palette.glyphs.missed, palette.bad, "out of tolerance or unproven"))
    draw_legend(grid, x + len(subject) + 3, entries, palette)
