"""Charts of the latency distribution: histograms, one above the other, and cumulative curves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from rich.text import Text

from etui import text
from etui.charts.data import Series
from etui.charts.grid import Canvas, Grid, Plot, centred_message, curve, horizontal_axis
from etui.charts.palette import Palette
from etui.charts.scale import Scale, scale_over

NOTHING = "No latencies yet: they appear after the first block."
TOO_SMALL = "Not enough room for a chart."
LEGEND_FROM = 72
_LEGEND = 27
_OUTLIERS = 0.01
_FAR = 5
"""In interquartile ranges."""
_ROWS_FOR_MARKS = 3


def histogram(program: Series, eager: Series | None, canvas: Canvas, *, log: bool = False) -> Text:
    """Draw the distribution of the program's latencies above that of eager, on one axis in ms, each scaled to its peak.

    The median and, if known, the 95th percentile are marked. Up to 1 % of the samples of a series may be beyond the
    axis; their number is written.
    """
    shown = [series for series in (program, eager) if series is not None and any(series.blocks)]
    if not shown:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 2 + 2 * len(shown):
        return centred_message(canvas, TOO_SMALL)
    palette = canvas.palette
    scale = shared_scale(shown, log)
    legend_right = canvas.width >= LEGEND_FROM
    body = canvas.height - 2
    grid = Grid(canvas.width, canvas.height)
    gutter = 5
    width = canvas.width - gutter - (_LEGEND + 2 if legend_right else 0)
    top = 0
    for number, series in enumerate(shown):
        rows = (body - top) // (len(shown) - number)
        style = palette.program if series is program else palette.eager
        heading = 0 if legend_right else 1
        gap = 1 if legend_right and number and rows > 3 else 0
        plot = Plot(left=gutter, top=top + heading + gap, width=width, height=max(1, rows - heading - gap))
        beyond = _bars(grid, plot, scale, series, style, palette)
        if legend_right:
            _legend_right(grid, gutter + width + 2, plot, series, beyond, style, palette)
        else:
            _legend_above(grid, top, series, beyond, style, palette, tall=plot.height >= _ROWS_FOR_MARKS)
        top += rows
    axis = Plot(left=gutter, top=0, width=width, height=body)
    horizontal_axis(grid, axis, scale, "ms (log)" if log else "ms", palette)
    grid.put(gutter - 2, body, "n", palette.muted)
    return grid.text()


def ecdf(program: Series, eager: Series | None, canvas: Canvas, *, log: bool = False) -> Text:
    """Draw the cumulative distribution of the latencies in ms, for the program and eager."""
    shown = [series for series in (program, eager) if series is not None and any(series.blocks)]
    if not shown:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 5:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    scale = shared_scale(shown, log)
    grid = Grid(canvas.width, canvas.height)
    gutter = 6
    plot = Plot(left=gutter, top=1, width=canvas.width - gutter - 1, height=canvas.height - 3)
    share_axis(grid, plot, palette)
    column = gutter
    for series in reversed(shown):
        is_program = series is program
        marker = glyphs.curve if is_program else glyphs.other_curve
        curve(grid, plot, steps(series, scale, plot.width), marker, palette.program if is_program else palette.eager)
    for series, label in zip(shown, _labels(shown, canvas.width - gutter, palette), strict=True):
        is_program = series is program
        style = palette.program if is_program else palette.eager
        sample = ("⠤⠒" if glyphs.curve == "braille" else glyphs.curve * 2) if is_program else glyphs.other_curve * 2
        grid.put(column, 0, sample, style)
        grid.put(column + 3, 0, label, doubt_style(series, palette))
        column += 3 + text.width(label) + 3
    horizontal_axis(grid, plot, scale, "ms (log)" if log else "ms", palette)
    return grid.text()


def share_axis(grid: Grid, plot: Plot, palette: Palette) -> None:
    """Draw the vertical axis of a cumulative curve, 0 to 100 %, with guides at the median and the 95th percentile."""
    glyphs, gutter = palette.glyphs, plot.left
    for y in range(plot.top, plot.top + plot.height):
        grid.put(gutter - 1, y, glyphs.side, palette.muted)
    taken: set[int] = set()
    for share in (0.5, 1.0, 0.0, 0.95, 0.25, 0.75):
        y = plot.row(share)
        if y in taken or (share in (0.95, 0.25, 0.75) and {y - 1, y + 1} & taken):
            continue
        taken.add(y)
        grid.put(gutter - 1, y, glyphs.side_tick, palette.muted)
        label = text.percent(share)
        grid.put(gutter - 1 - len(label), y, label, palette.text)
        if share in (0.5, 0.95):
            grid.put(gutter, y, glyphs.guide * plot.width, palette.muted)


def shared_scale(shown: Sequence[Series], log: bool) -> Scale:
    """Return a scale over all samples except outliers: the slowest 1 % of each series, and samples far from the
    quartiles. A few outliers would otherwise compress all others into one column."""
    ends: list[float] = []
    for series in shown:
        ordered = sorted(series.samples)
        hundredth = ordered[max(0, math.ceil(len(ordered) * (1 - _OUTLIERS)) - 1)]
        low, high = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
        far = high + max(_FAR * (high - low), series.middle / 4)
        ends += [ordered[0], min(hundredth, far), series.middle]
    scale = scale_over(ends, log=log)
    return scale if log or scale.low >= 0 else Scale(low=0.0, high=scale.high)


def _bars(grid: Grid, plot: Plot, scale: Scale, series: Series, style: str, palette: Palette) -> int:
    """Draw one series and return the number of its samples beyond the axis."""
    glyphs = palette.glyphs
    counts, step, beyond = bins(scale, series, plot.width)
    peak = max(counts, default=0) or 1
    # Marks have a separate row if there is room, so that they do not hide a bar.
    tall = plot.height - 1 if plot.height >= _ROWS_FOR_MARKS else plot.height
    for x in range(plot.width):
        eighths = math.ceil(counts[x // step] / peak * tall * 8)
        for level in range(tall):
            fill = min(8, eighths - level * 8)
            if fill > 0:
                grid.put(plot.left + x, plot.top + plot.height - 1 - level, glyphs.levels[fill], style)
    for y in range(plot.top, plot.top + plot.height):
        grid.put(plot.left - 1, y, glyphs.side, palette.muted)
    if series.p95 is not None and scale.place(series.p95) <= 1:
        _mark(grid, plot, plot.column(scale.place(series.p95)), glyphs.percentile, glyphs.percentile_top, palette)
    _mark(grid, plot, plot.column(scale.place(series.middle)), glyphs.median, glyphs.median_top, palette)
    peak = round(peak * series.total / len(series.samples))
    label = str(peak) if peak < 10_000 else f"{peak // 1000}k"
    grid.put(plot.left - 1 - len(label), plot.top, label, palette.text)
    grid.put(plot.left - 1, plot.top, glyphs.side_tick, palette.muted)
    return beyond


def bins(scale: Scale, series: Series, width: int) -> tuple[list[int], int, int]:
    """Return the number of samples in each bin along ``width`` columns, the width of a bin in columns, and the number
    of the series' samples beyond the axis. Requires a sample."""
    places = [scale.place(sample) * (width - 1) for sample in series.samples]
    inside = [place for place in places if -0.5 <= place < width - 0.5]
    step = _bin_width(inside, width)
    counts = [0] * math.ceil(width / step)
    for place in inside:
        counts[int((place + 0.5) / step)] += 1
    return counts, step, round((len(places) - len(inside)) * series.total / len(places))


def _mark(grid: Grid, plot: Plot, column: int, line: str, top: str, palette: Palette) -> None:
    """Mark a column: from the top down to its bar, or across the bar if there is no room above it."""
    if plot.height >= _ROWS_FOR_MARKS:
        grid.put(column, plot.top, top, palette.mark)
        for y in range(plot.top + 1, plot.top + plot.height):
            if grid.is_free(column, y):
                grid.put(column, y, line, palette.mark)
        return
    foot = plot.top + plot.height - 1
    if not grid.is_free(column, foot) and grid.is_free(column - 1, foot) and grid.is_free(column + 1, foot):
        return
    for y in range(plot.top, plot.top + plot.height):
        grid.put(column, y, line, palette.mark)


def _bin_width(places: list[float], width: int) -> int:
    """Return the columns per bin by the Freedman-Diaconis rule, at most an eighth of the width."""
    if len(places) < 4:
        return 1
    low, _, high = statistics.quantiles(places, n=4)
    wanted: float = 2 * (high - low) / len(places) ** (1 / 3)
    return max(1, min(round(wanted), width // 8 or 1))


def _legend_right(grid: Grid, x: int, plot: Plot, series: Series, beyond: int, style: str, palette: Palette) -> None:
    glyphs = palette.glyphs
    tall = plot.height >= _ROWS_FOR_MARKS
    lines = [
        (glyphs.levels[-1], style, text.plain(series.name)[: _LEGEND - 2], "bold"),
        (
            glyphs.median_top if tall else glyphs.median,
            palette.mark,
            f"median {text.number(series.middle)} ms{spread(series, palette)}",
            doubt_style(series, palette),
        ),
    ]
    if series.p95 is not None:
        mark = glyphs.percentile_top if tall else glyphs.percentile
        lines.append((mark, palette.mark, f"p95    {text.number(series.p95)} ms", palette.text))
    lines.append((" ", "", text.counted(series.total, "inference"), palette.muted))
    if beyond:
        lines.append((glyphs.beyond, palette.muted, f"{beyond} beyond the axis", palette.muted))
    for number, (glyph, glyph_style, label, label_style) in enumerate(lines[: plot.height]):
        grid.put(x, plot.top + number, glyph, glyph_style)
        grid.put(x + 2, plot.top + number, label, label_style)


def _legend_above(grid: Grid, y: int, series: Series, beyond: int, style: str, palette: Palette, *, tall: bool) -> None:
    glyphs = palette.glyphs
    median, percentile = (glyphs.median_top, glyphs.percentile_top) if tall else (glyphs.median, glyphs.percentile)
    parts = [
        (glyphs.levels[-1], style, text.plain(series.name)),
        (median, palette.mark, f"{text.number(series.middle)} ms{spread(series, palette)}"),
    ]
    if series.p95 is not None:
        parts.append((percentile, palette.mark, f"p95 {text.number(series.p95)} ms"))
    if beyond:
        parts.append((glyphs.beyond, palette.muted, f"{beyond} beyond"))
    x = 0
    for number, (glyph, glyph_style, label) in enumerate(parts):
        if x and x + 2 + text.width(label) > grid.width:
            break
        grid.put(x, y, glyph, glyph_style)
        grid.put(x + 2, y, label, doubt_style(series, palette) if number == 1 else palette.text)
        x += 2 + text.width(label) + 2


def _labels(shown: Sequence[Series], room: int, palette: Palette) -> list[str]:
    """Return the names of the curves with as much about their medians as fits ``room`` columns."""
    names = [text.plain(series.name) for series in shown]
    medians = [f"  median {text.number(series.middle)} ms" for series in shown]
    for ends in (
        [median + spread(series, palette) for series, median in zip(shown, medians, strict=True)],
        [median + _sign(series) for series, median in zip(shown, medians, strict=True)],
        [_sign(series) for series in shown],
    ):
        labels = [name + end for name, end in zip(names, ends, strict=True)]
        if sum(text.width(label) + 6 for label in labels) - 3 <= room:
            return labels
    return names


def spread(series: Series, palette: Palette) -> str:
    """Return half the width of the median's interval and the sign of its doubt, such as `` ±7.4%!``; the sign alone if
    the interval is not known."""
    if series.half_width is None:
        return _sign(series)
    percent = 100 * series.half_width
    return f" {palette.glyphs.about}{percent:.{1 if percent < 9.95 else 0}f}%{_sign(series)}"


def _sign(series: Series) -> str:
    return {"": "", "warn": "!", "bad": "?"}[series.doubt]


def doubt_style(series: Series, palette: Palette) -> str:
    """Return the style of a median's label by its doubt."""
    return {"": palette.text, "warn": palette.warn, "bad": palette.bad}[series.doubt]


def steps(series: Series, scale: Scale, width: int) -> list[tuple[float, float]]:
    """Return the corners of the cumulative curve as (x, y) from 0 to 1, thinned to the resolution of the columns."""
    ordered = sorted(series.samples)
    count = len(ordered)
    stride = max(1, count // (4 * width))
    places = [(-1.0, 0.0)]
    for index in [*range(0, count, stride), count - 1]:
        x = scale.place(ordered[index])
        places += [(x, places[-1][1]), (x, (index + 1) / count)]
    places.append((2.0, 1.0))
    clipped = [(min(1.0, max(0.0, x)), y) for x, y in places]
    return [place for place in clipped if place[0] < 1.0 or place[1] == 1.0]
