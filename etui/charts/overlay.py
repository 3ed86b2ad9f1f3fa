"""Charts of up to six runs: histograms on one axis, cumulative curves, and block medians.

Each run has the colour and glyph of its slot in every chart.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui import text
from etui.charts.data import SLOTS, Deviation, Series
from etui.charts.distribution import LEGEND_FROM, TOO_SMALL, bins, share_axis, shared_scale, steps
from etui.charts.grid import Canvas, Grid, Plot, centred_message, curve, gutter_for, horizontal_axis, vertical_axis
from etui.charts.palette import Palette
from etui.charts.scale import scale_over

NOTHING = "None of these runs has samples: imported summaries and some failed runs have none."
_LEGEND = 40
"""The maximum width of the legend in cells."""
_LEAST_BARS = 20


class Overlaid(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a chart, with its slot from 0 to 5."""

    series: Series
    slot: int


def overlaid_histograms(runs: Sequence[Overlaid], canvas: Canvas, *, log: bool = False) -> Text:
    """Draw the distribution of each run, one above the other on one axis in ms, each scaled to its own peak.

    Up to 1 % of a run's samples may be beyond the axis; that is marked at the end of its line.
    """
    runs = _with_samples(runs)
    if not runs:
        return centred_message(canvas, NOTHING)
    body = canvas.height - 2
    if canvas.width < 24 or body < 1:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    shown = runs[:body]
    scale = shared_scale([run.series for run in shown], log)
    labels = [(text.plain(run.series.name), f"{text.number(run.series.middle)} ms") for run in shown]
    figures = max(text.width(figure) for _, figure in labels)
    names = max(text.width(name) for name, _ in labels)
    names = max(4, min(names, canvas.width - _LEAST_BARS - figures - 6))
    gutter = names + figures + 5
    width = canvas.width - gutter - 2
    grid = Grid(canvas.width, canvas.height)
    top = 0
    for number, run in enumerate(shown):
        rows = (body - top) // (len(shown) - number)
        gap = 1 if rows > 2 and number else 0
        plot = Plot(left=gutter, top=top + gap, width=width, height=rows - gap)
        style, foot = palette.series[run.slot], plot.top + plot.height - 1
        counts, step, beyond = bins(scale, run.series, width)
        peak = max(counts, default=0) or 1
        for x in range(width):
            # Round up, so that a bin with a single sample is visible.
            eighths = -(-counts[x // step] * plot.height * 8 // peak)
            for level in range(plot.height):
                fill = min(8, eighths - level * 8)
                if fill > 0:
                    grid.put(gutter + x, foot - level, glyphs.levels[fill], style)
        for y in range(plot.top, foot + 1):
            grid.put(gutter - 1, y, glyphs.side, palette.muted)
        name, figure = labels[number]
        grid.put(0, foot, glyphs.series[run.slot], style)
        grid.put(2, foot, name[:names], palette.text)
        grid.put(gutter - 2 - len(figure), foot, figure, palette.text)
        if plot.height > 1:
            count = text.counted(run.series.total, "inference")
            grid.put(gutter - 2 - len(count), foot - 1, count, palette.muted)
        if beyond:
            grid.put(gutter + width, foot, glyphs.beyond, palette.muted)
        top += rows
    axis = Plot(left=gutter, top=0, width=width, height=body)
    horizontal_axis(grid, axis, scale, "ms (log)" if log else "ms", palette)
    if len(shown) < len(runs):
        grid.put(0, body + 1, f"{len(runs) - len(shown)} more", palette.muted)
    return grid.text()


def overlaid_ecdf(runs: Sequence[Overlaid], canvas: Canvas, *, log: bool = False) -> Text:
    """Draw the cumulative distribution of the latencies in ms, one curve per run, with the run's glyph at the quartiles
    and the 95th percentile."""
    runs = _with_samples(runs)
    if not runs:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 5:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    scale = shared_scale([run.series for run in runs], log)
    grid = Grid(canvas.width, canvas.height)
    items = [(run.slot, f"{run.series.name}  {text.number(run.series.middle)} ms") for run in runs]
    plot = _framed(grid, canvas, items, gutter=6)
    share_axis(grid, plot, palette)
    for run in runs:
        curve(grid, plot, steps(run.series, scale, plot.width), glyphs.curve, palette.series[run.slot])
    for run in runs:
        ordered = sorted(run.series.samples)
        for share in (0.25, 0.5, 0.75, 0.95):
            place = scale.place(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
            if 0 <= place <= 1:
                grid.put(plot.column(place), plot.row(share), glyphs.series[run.slot], palette.series[run.slot])
    horizontal_axis(grid, plot, scale, "ms (log)" if log else "ms", palette)
    return grid.text()


def overlaid_blocks(runs: Sequence[Overlaid], canvas: Canvas) -> Text:
    """Draw each run's block medians in the order measured, in percent of its own median, beyond 100 % as multiples of
    it: runs that drift together indicate drift of the machine."""
    runs = _with_samples(runs)
    if not runs:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 6:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    percents = [_shares(run.series) for run in runs]
    unit = Deviation.over(percent for by_number in percents for percent in by_number.values())
    shares = [{number: unit.of(percent) for number, percent in by_number.items()} for by_number in percents]
    scale = scale_over([unit.of(-1.0), unit.of(1.0), *(share for by_number in shares for share in by_number.values())])
    numbers = sorted({number for by_number in shares for number in by_number})
    grid = Grid(canvas.width, canvas.height)
    items = [(run.slot, unit.legend(run.series)) for run in runs]
    plot = _framed(grid, canvas, items, gutter=max(6, gutter_for(scale, canvas.height - 3) + 1))
    vertical_axis(grid, plot, scale, palette)
    grid.put(0, plot.top, unit.unit, palette.muted)
    grid.put(plot.left, plot.row(scale.place(unit.of(0.0))), glyphs.guide * plot.width, palette.muted)
    slot_width = min(14.0, plot.width / len(numbers))
    line = plot.top + plot.height
    grid.put(plot.left - 1, line, glyphs.corner + glyphs.axis * plot.width, palette.muted)
    free = 0
    for index, number in enumerate(numbers):
        middle = plot.left + int(slot_width * (index + 0.5))
        grid.put(middle, line, glyphs.tick, palette.muted)
        label = str(number + 1)
        if middle >= free and middle + len(label) < plot.left + plot.width - 6:
            grid.put(middle, line + 1, label, palette.text)
            free = middle + len(label) + 1
        spread = min(len(runs), max(1, int(slot_width) - 1))
        for order, (run, share) in enumerate(zip(runs, shares, strict=True)):
            if number in share:
                # Next to each other if there is room, so that none hides another.
                x = middle - spread // 2 + order * spread // len(runs)
                grid.put(x, plot.row(scale.place(share[number])), glyphs.series[run.slot], palette.series[run.slot])
    grid.put(plot.left + plot.width - 5, line + 1, "block", palette.muted)
    return grid.text()


def _with_samples(runs: Sequence[Overlaid]) -> list[Overlaid]:
    return [run for run in runs if any(run.series.blocks)][:SLOTS]


def _shares(series: Series) -> dict[int, float]:
    """Return each block's median by block number, in percent from the run's median."""
    numbers = series.numbers or list(range(len(series.blocks)))
    return {
        number: series.percent_from_middle(statistics.median(block))
        for number, block in zip(numbers, series.blocks, strict=True)
        if block
    }


def _framed(grid: Grid, canvas: Canvas, items: Sequence[tuple[int, str]], *, gutter: int) -> Plot:
    """Draw a legend right of the plot or above it, and return the remaining plot area."""
    palette = canvas.palette
    if canvas.width >= LEGEND_FROM and canvas.height - 2 >= len(items):
        wide = min(_LEGEND, max(text.width(text.plain(label)) for _, label in items) + 2)
        for row, (slot, label) in enumerate(items):
            _legend_line(grid, canvas.width - wide, row, slot, text.plain(label)[: wide - 2], palette)
        return Plot(left=gutter, top=0, width=canvas.width - gutter - wide - 2, height=canvas.height - 2)
    x = 0
    for slot, label in items:
        # Above the plot only the names are shown, cut off at the edge.
        shown = text.plain(label).partition("  ")[0]
        _legend_line(grid, x, 0, slot, shown, palette)
        x += text.width(shown) + 4
    return Plot(left=gutter, top=1, width=canvas.width - gutter - 1, height=canvas.height - 3)


def _legend_line(grid: Grid, x: int, y: int, slot: int, label: str, palette: Palette) -> None:
    grid.put(x, y, palette.glyphs.series[slot], palette.series[slot])
    grid.put(x + 2, y, label, palette.text)
