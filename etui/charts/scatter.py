"""The scatter plot of latency against another metric, with the Pareto front joined by a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui import text
from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, centred_message, curve, gutter_for, horizontal_axis, vertical_axis
from etui.charts.scale import Scale, scale_over

NOTHING = "No run has both a latency and this metric."
DECADE = 10.0
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""
MOST_NAMES = 60
"""The number of runs that are not on the front whose names are placed: more would cover each other anyway."""


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """One run: latency on the horizontal axis, ``value`` on the vertical one (infinite: at the upper edge)."""

    name: str
    latency_ms: float
    value: float
    slot: int | None = None
    front: bool = False


def scatter(dots: Sequence[Dot], canvas: Canvas, *, unit: str, log: bool = False) -> Text:
    """Draw each run as a dot, with its name if there is a free place: those of the front first, then those with a slot,
    then up to ``MOST_NAMES`` others. ``log`` is for the latency; the other axis is logarithmic if its values span a
    decade and are not decibels."""
    if not dots:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 6:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    across = scale_over([dot.latency_ms for dot in dots], log=log, margin=0.06)
    if not log and across.low < 0:
        across = Scale(low=0.0, high=across.high)
    finite = [dot.value for dot in dots if not math.isinf(dot.value)]
    up = scale_over(finite or [1.0], log=not (unit == "SQNR dB" or unit.endswith("%")) and _decades(finite), margin=0.1)
    if len(finite) < len(dots) and finite:
        # Leave room for exact (infinite) values above the finite ones.
        up = Scale(low=up.low, high=up.high + 0.25 * (up.high - up.low), log=up.log)
    rows = canvas.height - 3
    gutter = max(len("exact") + 1 if len(finite) < len(dots) else 0, gutter_for(up, rows) + 1)
    plot = Plot(left=gutter, top=1, width=canvas.width - gutter - 1, height=rows)
    grid = Grid(canvas.width, canvas.height)
    if finite:
        vertical_axis(grid, plot, up, palette)
    if len(finite) < len(dots):
        grid.put(0, plot.top, " " * (gutter - 1), palette.text)
        grid.put(gutter - 6, plot.top, "exact", palette.text)
    grid.put(0, 0, unit, palette.muted)
    places = {id(dot): (plot.column(across.place(dot.latency_ms)), _row(plot, up, dot.value)) for dot in dots}
    front = sorted((dot for dot in dots if dot.front), key=lambda dot: dot.latency_ms)
    if glyphs.curve == "braille" and len(front) > 1:
        line = [
            ((x - plot.left) / max(1, plot.width - 1), 1 - (y - plot.top) / max(1, plot.height - 1))
            for x, y in (places[id(dot)] for dot in front)
        ]
        curve(grid, plot, line, glyphs.curve, palette.muted)
    # Draw the front last, on top.
    for dot in sorted(dots, key=lambda dot: (dot.front, dot.slot is not None)):
        x, y = places[id(dot)]
        glyph = glyphs.others if dot.slot is None else glyphs.series[dot.slot]
        style = palette.muted if dot.slot is None else palette.series[dot.slot]
        grid.put(x, y, glyph, f"{style} bold".strip() if dot.front and "bold" not in style else style)
    taken: list[tuple[int, int, int]] = [(y, x, x + 1) for x, y in places.values()]
    rest = sorted((dot for dot in dots if not dot.front), key=lambda dot: dot.slot is None)
    for dot in [*front, *rest[:MOST_NAMES]]:
        x, y = places[id(dot)]
        _name(grid, plot, x, y, text.plain(dot.name), palette.mark if dot.front else palette.muted, taken)
    horizontal_axis(grid, plot, across, "ms (log)" if log else "ms", palette)
    return grid.text()


def _decades(values: Sequence[float]) -> bool:
    positive = [value for value in values if value > 0]
    return len(positive) == len(values) and bool(values) and max(values) / min(values) >= DECADE


def _row(plot: Plot, scale: Scale, value: float) -> int:
    return plot.top if math.isinf(value) else plot.row(scale.place(value))


def _name(grid: Grid, plot: Plot, x: int, y: int, name: str, style: str, taken: list[tuple[int, int, int]]) -> None:
    """Write a name right of its dot, else left, above or below, or nowhere if there is no free place."""
    size = text.width(name)
    beside = ((x + 2, y), (x - 1 - size, y), (x - size // 2, y - 1), (x - size // 2, y + 1))
    for start, row in (*beside, *((left, y + step) for step in (-1, 1) for left in (x + 1, x - size))):
        start = max(plot.left, start) if row != y else start
        end = start + size
        inside = plot.left <= start and end <= plot.left + plot.width and plot.top <= row < plot.top + plot.height
        if inside and all(row != line or end < left or start > right for line, left, right in taken):
            grid.put(start, row, name, style)
            taken.append((row, start, end))
            return
