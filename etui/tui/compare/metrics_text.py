"""A comparison's metrics side by side as text: rows, cells, and the widths of the columns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.analysis import side_by_side
from etui.analysis.side_by_side import Cell, Row
from etui.text import number, signed, width
from etui.tui.glyphs import Glyphs

_GROUPS = {
    "latency": "Latency", "start": "Start", "memory": "Memory", "size": "Size", "accuracy": "Accuracy",
    "delegation": "Delegation", "environment": "Environment",
}  # fmt: skip
NARROWEST, _WIDEST_NAME, _WIDEST_TEXT = 10, 34, 28


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """A run's column: its id, name, slot, and verdict (which colours its median)."""

    run: str
    name: str
    slot: int
    verdict: str | None = None


class Shown(msgspec.Struct, frozen=True):
    """A cell as text: the value, its change, and half the width of the change's interval; text is left-aligned."""

    figure: str
    change: str
    half: str
    best: bool
    is_text: bool


class Widths(msgspec.Struct, frozen=True):
    """The widths of a run's column in cells: of the widest value, change and half interval, and of the whole column."""

    figure: int
    change: int
    half: int
    whole: int


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The table as it is drawn: lines (a string is a group's heading), the cells of each, the width of the names, and
    the widths of each run's column."""

    headings: list[Heading] = []
    lines: list[Row | str] = []
    cells: list[list[Shown]] = []
    label: int = NARROWEST
    widths: list[Widths] = []


def sheet(headings: Sequence[Heading], rows: Sequence[Row], signs: Glyphs, *, everything: bool) -> Sheet:
    """Lay out the metrics that differ, or ``everything``. Slow for hundreds of runs; can be called in a thread."""
    lines: list[Row | str] = []
    cells: list[list[Shown]] = []
    group = ""
    for row in rows:
        if not (everything or row.differs or len(headings) == 1):
            continue
        if row.group != group:
            group = row.group
            lines.append(_GROUPS.get(group, group))
            cells.append([])
        lines.append(row)
        cells.append([_shown(cell, signs) for cell in row.cells])
    columns = zip(headings, *(row for row in cells if row), strict=True)
    return Sheet(
        headings=list(headings),
        lines=lines,
        cells=cells,
        label=max([NARROWEST, *(width(line.name) + 2 for line in lines if isinstance(line, Row))]),
        widths=[_widths(heading.name, column) for heading, *column in columns],
    )


def _widths(name: str, cells: Sequence[Shown]) -> Widths:
    figures = [cell for cell in cells if not cell.is_text]
    figure = max([5, *(width(cell.figure) for cell in figures)])
    change = max([0, *(width(cell.change) for cell in figures)])
    half = max([0, *(width(cell.half) for cell in figures)])
    numbers = figure + (change + 1 if change else 0) + (half + 1 if half else 0) + 2
    texts = max([0, *(width(cell.figure) for cell in cells if cell.is_text)])
    whole = max(NARROWEST, numbers, min(texts, _WIDEST_TEXT), min(width(name) + 3, _WIDEST_NAME))
    return Widths(figure, change, half, whole)


def _half_width(cell: Cell) -> str:
    """Return the larger distance from a change to an end of its interval: in the unit in which ``signed`` prints the
    change, percent or a factor."""
    if cell.change is None or cell.ci95 is None:
        return ""
    half = max(cell.change - cell.ci95[0], cell.ci95[1] - cell.change)
    if signed(cell.change).endswith("x"):
        return number(half / 100, 2)
    return f"{half:.1f}" if half < 99.95 else f"{half:,.0f}"


def _shown(cell: Cell, signs: Glyphs) -> Shown:
    half = _half_width(cell)
    return Shown(
        figure=side_by_side.shown(Cell(value=cell.value)),
        change=signed(cell.change) if cell.change is not None else "",
        half=f"{signs.about}{half}" if half else "",
        best=cell.best,
        is_text=isinstance(cell.value, str),
    )
