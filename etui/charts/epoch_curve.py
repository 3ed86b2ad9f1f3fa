"""One figure of a training over its epochs, such as the loss or the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from etui.charts.grid import Canvas, centred_message, curve, horizontal_axis, vertical_axis
from etui.charts.scale import Scale
from etui.charts.time_plot import start_plot, value_scale
from etui.text import number, shortened

LEAST_WIDTH, LEAST_HEIGHT = 30, 6
"""The smallest canvas on which the axes leave room for a curve."""

_TOP = 1
_LEAST_EPOCHS, _AHEAD = 4, 4 / 3
"""The axis has at least this number of epochs, and ends at this multiple of those that are done."""

_WIDE_RANGE = 50.0
"""Values whose largest and smallest differ by more than this factor have a logarithmic axis."""


def epoch_curve(
    title: str, points: Sequence[tuple[float, float]], epochs: int, canvas: Canvas, *, log: bool = False
) -> Text:
    """Return a plot of (epoch, value) from epoch 0 to ``epochs``, with the last value after the title. An epoch that is
    in progress has a fraction. With ``log`` the scale is logarithmic if the values have a wide range."""
    if not points:
        return centred_message(canvas, f"{title}: no value yet")
    values = [value for _, value in points]
    least = min((value for value in values if value > 0), default=1.0)
    wide = log and min(values) > 0 and max(values) > _WIDE_RANGE * least
    scale = value_scale(values, log=wide)
    grid, plot = start_plot(canvas, scale, "", top=_TOP)
    palette = canvas.palette
    heading = shortened(f"{title} {number(values[-1], 4)}", canvas.width)
    grid.put(min(plot.left, canvas.width - len(heading)), 0, heading, palette.text)
    vertical_axis(grid, plot, scale, palette)
    across = Scale(low=0.0, high=float(max(1, epochs)), whole=True)
    horizontal_axis(grid, plot, across, "epoch", palette)
    glyphs = palette.glyphs
    if glyphs.curve == "braille" and len(points) > 1:
        places = [(across.place(epoch), min(1.0, max(0.0, scale.place(value)))) for epoch, value in points]
        curve(grid, plot, places, glyphs.curve, palette.series[0])
        shown = points[-1:]
    else:
        shown = points
    for epoch, value in shown:
        grid.put(plot.column(across.place(epoch)), plot.row(scale.place(value)), glyphs.series[0], palette.series[0])
    return grid.text()


def epochs_shown(done: float, total: int) -> int:
    """Return the epoch at which the axis ends if ``done`` of ``total`` epochs are done: sooner than ``total`` if most
    of them are still to come."""
    return min(total, max(_LEAST_EPOCHS, math.ceil(done * _AHEAD)))
