"""The chart of latency over input size, batch, sequence length or threads: one line per configuration."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui import text
from etui.charts.data import SLOTS
from etui.charts.distribution import TOO_SMALL
from etui.charts.grid import Canvas, Grid, Plot, centred_message, curve, vertical_axis
from etui.charts.palette import Palette
from etui.charts.scale import Scale, scale_over
from etui.charts.time_plot import Mark, draw_marks, start_plot, value_scale
from etui.results import Interval

NOTHING = "The runs do not differ in input size, batch, sequence length or threads."


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a line: its place on the horizontal axis with its label, and its value with the interval."""

    at: float
    label: str
    value: float
    interval: Interval | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one configuration, in ascending order of their places."""

    name: str
    steps: Sequence[Step]


def sweep_lines(lines: Sequence[Line], canvas: Canvas, *, axis: str, unit: str = "ms", log: bool = False) -> Text:
    """Draw up to ``SLOTS`` lines, each with its own glyph, but no more than there is room for their names; the
    horizontal axis has the values of the points."""
    shown = [line for line in lines if line.steps][:SLOTS]
    if not shown:
        return centred_message(canvas, NOTHING)
    if canvas.width < 24 or canvas.height < 6:
        return centred_message(canvas, TOO_SMALL)
    palette, glyphs = canvas.palette, canvas.palette.glyphs
    most_rows = max(1, canvas.height - 5)
    legend = _legend_rows(shown, canvas, axis, len(lines) - len(shown))
    while len(legend) > most_rows and len(shown) > 1:
        shown = shown[:-1]
        legend = _legend_rows(shown, canvas, axis, len(lines) - len(shown))
    ends = [end for line in shown for step in line.steps for end in (step.value, *(step.interval or ()))]
    scale = value_scale(ends, log=log)
    grid, plot = start_plot(canvas, scale, unit, top=min(len(legend), most_rows))
    vertical_axis(grid, plot, scale, palette)
    steps = {step.at: step.label for line in shown for step in line.steps}
    across = scale_over(list(steps), log=min(steps) > 0 and max(steps) >= 4 * min(steps), margin=0.05)
    _axis(grid, plot, across, steps, palette)
    for slot, line in enumerate(shown):
        if glyphs.curve == "braille":
            places = [(across.place(step.at), min(1.0, max(0.0, scale.place(step.value)))) for step in line.steps]
            curve(grid, plot, places, glyphs.curve, palette.series[slot])
    marks = [
        Mark(
            column=plot.column(across.place(step.at)),
            glyph=glyphs.series[slot],
            style=palette.series[slot],
            value=step.value,
            interval=step.interval,
        )
        for slot, line in enumerate(shown)
        for step in line.steps
    ]
    draw_marks(grid, plot, scale, marks, palette, line=False)
    for y, entries in enumerate(legend[: plot.top]):
        x = plot.left + 1
        for own, name in entries:
            if own is not None:
                grid.put(x, y, glyphs.series[own], palette.series[own])
                x += 2
            grid.put(x, y, name, palette.text if own is not None else palette.muted)
            x += text.width(name) + 3
    return grid.text()


def _legend_rows(lines: Sequence[Line], canvas: Canvas, axis: str, hidden: int) -> list[list[tuple[int | None, str]]]:
    """Return the name of the axis and the slots and names of the lines, as many on each row as fit."""
    entries: list[tuple[int | None, str]] = [(None, f"over {axis}:")]
    entries += [(slot, text.plain(line.name)) for slot, line in enumerate(lines)]
    if hidden:
        entries.append((None, f"and {text.counted(hidden, 'other line')}"))
    rows: list[list[tuple[int | None, str]]] = [[]]
    used, room = 0, canvas.width - 14
    for entry in entries:
        size = text.width(entry[1]) + 5
        if used and used + size > room:
            rows.append([])
            used = 0
        rows[-1].append(entry)
        used += size
    return rows


def _axis(grid: Grid, plot: Plot, across: Scale, steps: dict[float, str], palette: Palette) -> None:
    """Draw the axis with a tick and, if there is room, a label at each value."""
    line, glyphs = plot.top + plot.height, palette.glyphs
    grid.put(plot.left - 1, line, glyphs.corner + glyphs.axis * plot.width, palette.muted)
    free = 0
    for at in sorted(steps):
        column, label = plot.column(across.place(at)), steps[at]
        grid.put(column, line, glyphs.tick, palette.muted)
        start = max(free, min(column - text.width(label) // 2, grid.width - text.width(label)))
        if start <= column:
            grid.put(start, line + 1, label, palette.text)
            free = start + text.width(label) + 1
