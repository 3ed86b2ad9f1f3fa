"""A bar chart of a figure over a program's layers: one column per layer, or the worst of several layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, centred_message, gutter_for, vertical_axis
from etui.charts.scale import Scale, scale_over
from etui.text import width as cells

_WIDEST = 3


def depth(
    values: Sequence[float | None],
    canvas: Canvas,
    *,
    worst: str = "low",
    log: bool = False,
    threshold: float | None = None,
    marked: int | None = None,
    unit: str = "",
    subject: str = "",
) -> Text:
    """Draw bars from the first layer to the last.

    ``worst`` tells whether low or high values are bad: of layers that share a column the worst is drawn. ``threshold``
    is drawn as a dashed line, ``marked`` is the layer to mark on the axis. A layer without a value (an exact one) has
    no bar. ``log`` draws the logarithm and skips values that are not positive.
    """
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    known = [value for value in values if value is not None and math.isfinite(value) and (value > 0 or not log)]
    if not known:
        return centred_message(canvas, f"No layer has a value of {unit or 'this figure'}.")
    if canvas.width < 24 or canvas.height < 5:
        return centred_message(canvas, TOO_SMALL)
    scale = _scale(known, threshold, log)
    height = canvas.height - 2
    gutter = gutter_for(scale, height)
    plot = Plot(left=gutter, top=1, width=canvas.width - gutter, height=height)
    grid = Grid(canvas.width, canvas.height)
    grid.put(gutter, 0, subject, palette.text)
    vertical_axis(grid, plot, scale, palette)
    columns, wide = _columns(values, plot.width, worst, log)
    step = wide + (1 if wide > 1 and (wide + 1) * len(columns) <= plot.width else 0)
    past, mark = plot.left + len(columns) * step, None
    for number, (value, layers) in enumerate(columns):
        left = plot.left + number * step
        if value is not None:
            bad = threshold is not None and (value < threshold if worst == "low" else value > threshold)
            style = palette.bad if bad else palette.program
            _bar(grid, plot, left, wide, scale.place(value), glyphs.levels, style)
        if marked is not None and marked in layers:
            mark = left + wide // 2
    if threshold is not None:
        y = plot.row(scale.place(threshold))
        for x in range(plot.left, plot.left + plot.width):
            if grid.is_free(x, y):
                grid.put(x, y, glyphs.guide, palette.mark)
    _axis(grid, plot, len(values), min(past, plot.left + plot.width), unit, canvas)
    if mark is not None:
        grid.put(mark, plot.top + plot.height, glyphs.missed, palette.bad)
    return grid.text()


def _scale(known: list[float], threshold: float | None, log: bool) -> Scale:
    every = [*known, *([threshold] if threshold is not None and (threshold > 0 or not log) else [])]
    scale = scale_over(every, log=log, margin=0.05)
    if not log:
        # Bars start at zero unless a value is negative.
        return Scale(low=min(0.0, scale.low) if min(every) < 0 else 0.0, high=max(scale.high, 1e-12))
    return Scale(low=scale.low / 1.5, high=scale.high, log=True)


def _columns(
    values: Sequence[float | None], width: int, worst: str, log: bool
) -> tuple[list[tuple[float | None, range]], int]:
    """Return the worst value of each column with its layers, and the width of a column."""
    count = len(values)
    pitch = min(_WIDEST + 1, width // count)
    wide = max(1, pitch - 1 if pitch > 2 else pitch)
    places = min(count, width)
    columns = []
    for number in range(places):
        layers = range(number * count // places, (number + 1) * count // places)
        known = [value for i in layers if (value := values[i]) is not None and (value > 0 or not log)]
        chosen = (min(known) if worst == "low" else max(known)) if known else None
        columns.append((chosen, layers))
    return columns, wide


def _bar(grid: Grid, plot: Plot, left: int, wide: int, share: float, levels: str, style: str) -> None:
    """Draw a bar as high as a share of the plot, at least an eighth of a cell."""
    eighths = max(1, round(min(1.0, max(0.0, share)) * plot.height * 8))
    for row in range(plot.height):
        level = min(8, eighths - row * 8)
        if level <= 0:
            break
        grid.put(left, plot.top + plot.height - 1 - row, levels[level] * wide, style)


def _axis(grid: Grid, plot: Plot, count: int, past: int, unit: str, canvas: Canvas) -> None:
    """Draw the axis with the numbers of the first and the last layer."""
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    y = plot.top + plot.height
    grid.put(plot.left - 1, y, glyphs.corner + glyphs.axis * plot.width, palette.muted)
    first, last = " 1 ", f" {count:,} "
    grid.put(plot.left, y, first, palette.muted)
    if count > 1:
        grid.put(max(plot.left + cells(first), past - cells(last)), y, last, palette.muted)
    if unit:
        grid.put(max(0, canvas.width - cells(unit) - 1), 0, unit, palette.muted)
