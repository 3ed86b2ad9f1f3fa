"""The chart of a run's blocks: each block's median and spread in the order measured, relative to the run's median."""

from __future__ import annotations

import statistics

from rich.text import Text

from etui import text
from etui.charts.data import Deviation, Series
from etui.charts.distribution import NOTHING, TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, centred_message, gutter_for, vertical_axis
from etui.charts.scale import scale_over


def block_strip(program: Series, eager: Series | None, canvas: Canvas) -> Text:
    """Draw each block's median and the span from its 10th to its 90th percentile, in percent of the variant's median;
    beyond 100 % as multiples of it.

    Relative to their medians, a program and a much slower eager model share one axis, so that drift of the machine
    shows in both.
    """
    shown = [series for series in (program, eager) if series is not None and any(series.blocks)]
    if not shown:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 6:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    percents = {series.name: _spans(series) for series in shown}
    unit = Deviation.over(high for each in percents.values() for _, _, _, high in each)
    spans = {
        name: [(number, unit.of(low), unit.of(middle), unit.of(high)) for number, low, middle, high in each]
        for name, each in percents.items()
    }
    ends = [end for each in spans.values() for _, low, _, high in each for end in (low, high)]
    scale = scale_over([unit.of(-1.0), unit.of(1.0), *ends])
    gutter = max(6, gutter_for(scale, canvas.height - 3) + 1)
    plot = Plot(left=gutter, top=1, width=canvas.width - gutter - 1, height=canvas.height - 3)
    grid = Grid(canvas.width, canvas.height)
    vertical_axis(grid, plot, scale, palette)
    grid.put(gutter, plot.row(scale.place(unit.of(0.0))), glyphs.guide * plot.width, palette.muted)
    numbers = sorted({number for each in spans.values() for number, *_ in each})
    column = gutter
    names = [unit.legend(series) for series in shown]
    if gutter + sum(text.width(name) + 5 for name in names) > canvas.width:
        names = [text.plain(series.name) for series in shown]
    for order, (series, name) in enumerate(zip(shown, names, strict=True)):
        style = palette.program if series is program else palette.eager
        point = glyphs.program if series is program else glyphs.eager
        grid.put(column, 0, point, style)
        grid.put(column + 2, 0, name, palette.text)
        column += 2 + text.width(name) + 3
        for number, low, middle, high in spans[series.name]:
            x = _place(plot, numbers.index(number), len(numbers)) + order
            for y in range(plot.row(scale.place(high)), plot.row(scale.place(low)) + 1):
                grid.put(x, y, glyphs.whisker, style)
            grid.put(x, plot.row(scale.place(middle)), point, style)
    grid.put(0, 0, unit.unit, palette.muted)
    line = plot.top + plot.height
    grid.put(gutter - 1, line, glyphs.corner + glyphs.axis * plot.width, palette.muted)
    axis = "block"
    grid.put(gutter + plot.width - len(axis), line + 1, axis, palette.muted)
    free = 0
    for index, number in enumerate(numbers):
        x, label = _place(plot, index, len(numbers)), str(number + 1)
        grid.put(x, line, glyphs.tick, palette.muted)
        if x >= free and x + len(label) < gutter + plot.width - len(axis):
            grid.put(x, line + 1, label, palette.text)
            free = x + len(label) + 1
    return grid.text()


def _place(plot: Plot, index: int, count: int) -> int:
    """Return the column of a block: evenly spaced, with a maximum distance."""
    slot = min(12.0, plot.width / count)
    return plot.left + int(slot * (index + 0.5))


def _spans(series: Series) -> list[tuple[int, float, float, float]]:
    """Return each block's number, 10th percentile, median and 90th percentile, in percent from the series' median."""
    spans = []
    for index, block in enumerate(series.blocks):
        if not block:
            continue
        tenths = statistics.quantiles(block, n=10, method="inclusive") if len(block) > 1 else [block[0]]
        number = series.numbers[index] if index < len(series.numbers) else index
        ends = (tenths[0], statistics.median(block), tenths[-1])
        low, mid, high = map(series.percent_from_middle, ends)
        spans.append((number, low, mid, high))
    return spans
