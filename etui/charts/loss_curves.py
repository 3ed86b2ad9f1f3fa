"""The losses of a training loop over its steps, one series for each optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from etui.charts.data import SLOTS
from etui.charts.grid import Canvas, centred_message, horizontal_axis, vertical_axis
from etui.charts.scale import Scale
from etui.charts.time_plot import draw_legend, start_plot, value_scale

_WIDE_RANGE = 50.0
"""Losses whose largest and smallest differ by more than this factor have a logarithmic axis."""
_TOP = 1


def loss_curves(series: Sequence[tuple[str, Sequence[float | None]]], canvas: Canvas) -> Text:
    """Return a plot of losses by step, each series with its own glyph; a loss that is not finite has a cross at the
    top. At most six series are drawn."""
    series = series[:SLOTS]
    finite = [value for _, losses in series for value in losses if value is not None]
    steps = max((len(losses) for _, losses in series), default=0)
    if not steps:
        return centred_message(canvas, "no step ended")
    least = min((value for value in finite if value > 0), default=1.0)
    scale = value_scale(finite, log=max(finite, default=1.0) > _WIDE_RANGE * least)
    grid, plot = start_plot(canvas, scale, "loss", top=_TOP)
    palette = canvas.palette
    vertical_axis(grid, plot, scale, palette)
    across = Scale(low=1.0, high=float(max(2, steps)), whole=True)
    horizontal_axis(grid, plot, across, "step", palette)
    for number in range(1, steps + 1):
        x = plot.column(across.place(number))
        # Where series coincide, each is seen at some steps.
        for turn in range(len(series)):
            slot = (turn + number) % len(series)
            losses = series[slot][1]
            if number > len(losses):
                continue
            value = losses[number - 1]
            if value is None:
                grid.put(x, plot.top, palette.glyphs.failed, palette.bad)
            else:
                grid.put(x, plot.row(scale.place(value)), palette.glyphs.series[slot], palette.series[slot])
    legend = [(palette.glyphs.series[slot], palette.series[slot], name) for slot, (name, _) in enumerate(series)]
    if any(value is None for _, losses in series for value in losses):
        legend.append((palette.glyphs.failed, palette.bad, "not finite"))
    draw_legend(grid, plot.left, legend, palette)
    return grid.text()
