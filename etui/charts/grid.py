"""A grid of styled cells that charts draw on, and functions that draw axes and curves."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui.charts.palette import Palette
from etui.charts.scale import Scale, tick_label
from etui.text import width as cells

# plotext has one global figure.
_ONE_FIGURE = threading.Lock()


class Canvas(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a chart in cells, and its palette."""

    width: int
    height: int
    palette: Palette


class Grid:
    """Cells to put characters on; (0, 0) is the top left. Characters outside the grid are ignored."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._cells: list[list[tuple[str, str]]] = [[(" ", "")] * width for _ in range(height)]

    def put(self, x: int, y: int, text: str, style: str = "") -> None:
        """Write characters of width 1 from (x, y) to the right."""
        if not 0 <= y < self.height:
            return
        row = self._cells[y]
        for offset, character in enumerate(text):
            if 0 <= x + offset < self.width:
                row[x + offset] = (character, style)

    def is_free(self, x: int, y: int) -> bool:
        """Whether the cell is blank; cells outside the grid are."""
        return not (0 <= y < self.height and 0 <= x < self.width) or self._cells[y][x][0] == " "

    def text(self) -> Text:
        """Return all rows as one text without trailing blanks, with adjacent cells of one style joined."""
        result = Text(no_wrap=True, end="")
        for number, row in enumerate(self._cells):
            if number:
                result.append("\n")
            last = max((x for x, (character, _) in enumerate(row) if character != " "), default=-1)
            run, style = "", ""
            for character, own in row[: last + 1]:
                if own != style and run:
                    result.append(run, style or None)
                    run = ""
                style = own
                run += character
            result.append(run, style or None)
        return result


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """The area between the axes: its left column, top row, and size in cells."""

    left: int
    top: int
    width: int
    height: int

    def column(self, share: float) -> int:
        """Return the column of a position from 0 to 1 along the horizontal axis."""
        return self.left + round(min(1.0, max(0.0, share)) * (self.width - 1))

    def row(self, share: float) -> int:
        """Return the row of a position from 0 (bottom) to 1 along the vertical axis."""
        return self.top + self.height - 1 - round(min(1.0, max(0.0, share)) * (self.height - 1))


def horizontal_axis(grid: Grid, plot: Plot, scale: Scale, unit: str, palette: Palette) -> None:
    """Draw the axis line below the plot and the values below it, with the unit at the end."""
    glyphs = palette.glyphs
    line, labels = plot.top + plot.height, plot.top + plot.height + 1
    grid.put(plot.left - 1, line, glyphs.corner + glyphs.axis * plot.width, palette.muted)
    ticks = scale.ticks(max(2, plot.width // 9))
    limit = plot.left + plot.width - cells(unit) - 1
    grid.put(limit + 1, labels, unit, palette.muted)
    free = 0
    for tick in ticks:
        column = plot.column(scale.place(tick))
        label = tick_label(tick, ticks)
        start = max(free, column - cells(label) // 2)
        grid.put(column, line, glyphs.tick, palette.muted)
        if start + cells(label) <= limit and abs(start + cells(label) // 2 - column) <= 2:
            grid.put(start, labels, label, palette.text)
            free = start + cells(label) + 1


def vertical_axis(grid: Grid, plot: Plot, scale: Scale, palette: Palette) -> None:
    """Draw the axis line left of the plot, with values left of the line."""
    glyphs = palette.glyphs
    for y in range(plot.top, plot.top + plot.height):
        grid.put(plot.left - 1, y, glyphs.side, palette.muted)
    ticks = scale.ticks(max(2, (plot.height + 1) // 2))
    taken: set[int] = set()
    for tick in ticks:
        y = plot.row(scale.place(tick))
        if y in taken:
            continue
        taken.add(y)
        label = tick_label(tick, ticks)
        grid.put(plot.left - 1 - cells(label), y, label, palette.text)
        grid.put(plot.left - 1, y, glyphs.side_tick, palette.muted)


def gutter_for(scale: Scale, height: int) -> int:
    """Return the number of columns for the values of a vertical axis and its line."""
    ticks = scale.ticks(max(2, (height + 1) // 2))
    return max((cells(tick_label(tick, ticks)) for tick in ticks), default=1) + 1


def curve(grid: Grid, plot: Plot, places: Sequence[tuple[float, float]], marker: str, style: str) -> None:
    """Draw a line through points (0 to 1 in both directions) with plotext, over the present cells."""
    if len(places) < 2 or plot.width < 2 or plot.height < 1:
        return
    import plotext

    with _ONE_FIGURE:
        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plot_size(plot.width, plot.height)
        plotext.frame(False)
        plotext.clear_color()
        plotext.xticks([])
        plotext.yticks([])
        plotext.xlim(0, 1)
        plotext.ylim(0, 1)
        plotext.plot([x for x, _ in places], [y for _, y in places], marker=marker)
        drawn = Text.from_ansi(plotext.build()).plain
        plotext.clear_figure()
    for y, row in enumerate(drawn.split("\n")[: plot.height]):
        for x, character in enumerate(row[: plot.width]):
            if character not in (" ", "\u2800"):
                grid.put(plot.left + x, plot.top + y, character, style)


def centred_message(canvas: Canvas, message: str) -> Text:
    """Return a centred message in place of a chart."""
    import textwrap

    lines = textwrap.wrap(message, max(8, canvas.width - 4))[: max(1, canvas.height)]
    grid = Grid(canvas.width, canvas.height)
    top = max(0, (canvas.height - len(lines)) // 2)
    for number, line in enumerate(lines):
        grid.put(max(0, (canvas.width - cells(line)) // 2), top + number, line, canvas.palette.muted)
    return grid.text()
