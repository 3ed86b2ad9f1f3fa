"""Precision over recall of one category, for the program and for eager PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from etui.charts.grid import Canvas, Grid, Plot, curve, horizontal_axis, vertical_axis
from etui.charts.scale import Scale
from etui.charts.time_plot import draw_legend, start_plot

_TOP = 1
_FEWEST_ROWS = 3


def precision_recall(program: Sequence[float], eager: Sequence[float], canvas: Canvas) -> Text:
    """Return a plot of precisions at evenly spaced recalls from 0 to 1. Where both coincide, the program is drawn."""
    scale = Scale(low=0.0, high=1.0)
    grid, plot = start_plot(canvas, scale, "precision", top=_TOP)
    if plot.height < _FEWEST_ROWS or plot.width < _FEWEST_ROWS:
        return Text()
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    vertical_axis(grid, plot, scale, palette)
    horizontal_axis(grid, plot, scale, "recall", palette)
    series = ((eager, glyphs.eager, palette.eager), (program, glyphs.program, palette.program))
    if glyphs.curve == "braille":
        for values, _, style in series:
            curve(grid, plot, _places(values), glyphs.curve, style)
    for values, glyph, style in series:
        _points(grid, plot, values, glyph, style)
    legend = [(glyphs.program, palette.program, "program"), (glyphs.eager, palette.eager, "eager")]
    draw_legend(grid, plot.left, legend, palette)
    return grid.text()


def _places(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(place / max(1, len(values) - 1), value) for place, value in enumerate(values)]


def _points(grid: Grid, plot: Plot, values: Sequence[float], glyph: str, style: str) -> None:
    for recall, precision in _places(values):
        grid.put(plot.column(recall), plot.row(precision), glyph, style)
