"""The chart of a choice's history: a figure of each run over time, its levels, and what changed where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from rich.text import Text

from etui import text
from etui.charts.dates import date_axis
from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, curve, gutter_for, sentence, vertical_axis
from etui.charts.palette import Palette
from etui.charts.scale import Scale, scale_over
from etui.results import Interval

NOTHING = "No run of this choice has this figure."


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """One run: when, its figure with the interval where there is one, and what is to be known at its place.

    ``failed`` runs stand on the axis. ``suspect`` marks an accuracy that is out of tolerance or unproven. ``software``
    are the versions that came with it in words, ``change`` what its level is against the one before.
    """

    at: str
    value: float | None = None
    interval: Interval | None = None
    failed: bool = False
    suspect: bool = False
    software: str = ""
    change: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A level from one run to another (places, the last included)."""

    first: int
    last: int
    value: float


def history(
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
    """Each run's figure, oldest left: at its time, or ``even`` at equal steps. The run at ``cursor`` is marked. At
    least ``gutter`` columns are left for the values, so that charts one above the other line up."""
    values = [end for run in runs for end in (run.value, *(run.interval or ())) if end is not None and not run.failed]
    if not runs or not values:
        return sentence(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 6:
        return sentence(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    log = log and any(value > 0 for value in values)
    scale = scale_over(values, log=log, margin=0.08)
    if not log and scale.low < 0:
        scale = Scale(low=0.0, high=scale.high)
    has_changes = any(run.change for run in runs)
    has_software = any(run.software for run in runs)
    heads = 1 + has_changes + has_software
    if canvas.height < heads + 6:
        has_software = has_software and canvas.height >= 8
        has_changes = has_changes and canvas.height >= 7
        heads = 1 + has_changes + has_software
    rows = canvas.height - heads - 2
    gutter = max(gutter, len(unit) + 2, gutter_for(scale, rows))
    plot = Plot(left=gutter, top=heads, width=canvas.width - gutter - 1, height=rows)
    grid = Grid(canvas.width, canvas.height)
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
    _points(grid, plot, scale, runs, columns, palette, joined=not levels)
    row = 1
    if has_changes:
        _labels(grid, row, [(column, run.change) for run, column in zip(runs, columns, strict=True)], palette.mark)
        row += 1
    if has_software:
        _labels(grid, row, [(column, run.software) for run, column in zip(runs, columns, strict=True)], palette.muted)
    grid.put(max(0, gutter - 1 - len(unit)), 0, unit, palette.muted)
    _legend(grid, gutter + 1, runs, f"{subject}, log scale" if log else subject, palette)
    date_axis(grid, plot, columns, moments, palette, tick_all=True)
    if cursor is not None and 0 <= cursor < len(runs):
        grid.put(columns[cursor], plot.top + plot.height, glyphs.cursor, palette.program)
    return grid.text()


def _points(
    grid: Grid,
    plot: Plot,
    scale: Scale,
    runs: Sequence[Dated],
    columns: Sequence[int],
    palette: Palette,
    *,
    joined: bool,
) -> None:
    glyphs = palette.glyphs
    line = [
        ((column - plot.left) / max(1, plot.width - 1), min(1.0, max(0.0, scale.place(run.value))))
        for run, column in zip(runs, columns, strict=True)
        if run.value is not None and not run.failed
    ]
    if joined and glyphs.curve == "braille":
        curve(grid, plot, line, glyphs.curve, palette.muted)
    for run, column in zip(runs, columns, strict=True):
        if run.failed:
            grid.put(column, plot.top + plot.height - 1, glyphs.failed, palette.bad)
        elif run.value is not None and run.interval is not None:
            low, high = run.interval
            for y in range(plot.row(scale.place(high)), plot.row(scale.place(low)) + 1):
                grid.put(column, y, glyphs.whisker, palette.program)
    for run, column in zip(runs, columns, strict=True):
        if run.value is not None and not run.failed:
            glyph = glyphs.missed if run.suspect else glyphs.program
            grid.put(column, plot.row(scale.place(run.value)), glyph, palette.bad if run.suspect else palette.program)


def _columns(plot: Plot, moments: Sequence[datetime | None], even: bool) -> list[int]:
    """The column of each run. A time that cannot be read takes that of the run before."""
    count = len(moments)
    if not even:
        seconds: list[float] = []
        for moment in moments:
            seconds.append(moment.timestamp() if moment else seconds[-1] if seconds else 0.0)
        span = max(seconds) - min(seconds)
        if span > 0:
            return [plot.column(0.02 + 0.96 * (one - min(seconds)) / span) for one in seconds]
    return [plot.column((place + 0.5) / count) for place in range(count)]


def _labels(grid: Grid, row: int, labels: Sequence[tuple[int, str]], style: str) -> None:
    """Words at their columns, the newest first where there is no room for all."""
    free = grid.width
    for column, words in reversed(labels):
        words = text.plain(words)
        if not words:
            continue
        start = min(column, free - text.width(words))
        if start < 0 or start < column - text.width(words):
            continue
        grid.put(start, row, words, style)
        free = start - 2


def _legend(grid: Grid, x: int, runs: Sequence[Dated], subject: str, palette: Palette) -> None:
    grid.put(x, 0, subject, palette.muted)
    x += len(subject) + 3
    for glyph, words, style, wanted in (
        (palette.glyphs.failed, "did not end well", palette.bad, any(run.failed for run in runs)),
        (palette.glyphs.missed, "out of tolerance or unproven", palette.bad, any(run.suspect for run in runs)),
    ):
        if wanted and x + 2 + len(words) <= grid.width:
            grid.put(x, 0, glyph, style)
            grid.put(x + 2, 0, words, palette.text)
            x += len(words) + 5
