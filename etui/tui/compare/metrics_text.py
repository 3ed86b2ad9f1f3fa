"""A comparison's metrics side by side as text: rows, cells, and the widths of the columns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.analysis import side_by_side, trust
from etui.analysis.side_by_side import Cell, Row
from etui.analysis.trust import Trust
from etui.facts import RunSummary
from etui.text import number, signed, width
from etui.tui.glyphs import Glyphs

_GROUPS = {
    "latency": "Latency", "start": "Start", "memory": "Memory", "size": "Size", "accuracy": "Accuracy",
    "delegation": "Delegation", "environment": "Environment",
}  # fmt: skip
MEDIAN = RunSummary.latency_median_ms.compared_heading
_MEASURED_TIMES = ("latency", "start")
NARROWEST, _WIDEST_NAME, _WIDEST_TEXT = 10, 34, 28
_ROOMY_GAP = 1
"""The cells after a column in addition to the table's gap, if there is room."""


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """A run's column: its id, name, slot, verdict, and the trust in its latency compared with that of the base."""

    run: str
    name: str
    slot: int
    verdict: str = ""
    trust: Trust = "good"


class Shown(msgspec.Struct, frozen=True):
    """A cell as text: the value, its change, the change in two digits, and half the width of the change's interval;
    text is left-aligned. ``trust`` is the trust in the change, which has its sign."""

    figure: str
    change: str
    brief_change: str
    half: str
    best: bool
    is_text: bool
    trust: Trust = "good"


class Widths(msgspec.Struct, frozen=True):
    """The widths of a run's column in cells: of the widest value, change and half interval, and of the whole column.
    ``brief``: it shows the changes in two digits."""

    figure: int
    change: int
    half: int
    whole: int
    brief: bool = False


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The table as it is drawn: lines (a string is a group's heading), the cells of each, the width of the names, and
    the widths of each run's column: with everything, without the intervals, and with changes in two digits."""

    headings: list[Heading] = []
    lines: list[Row | str] = []
    cells: list[list[Shown]] = []
    label: int = NARROWEST
    layouts: list[list[Widths]] = []

    def widths(self, room: int, gap: int) -> list[Widths]:
        """Return the widths of the columns in the layout with most content that fits ``room`` cells, else in the
        narrowest."""
        for widths in self.layouts:
            if sum(size.whole + gap for size in widths) - gap <= room:
                return self._with_names(widths, room, gap)
        return self.layouts[-1] if self.layouts else []

    def _with_names(self, widths: list[Widths], room: int, gap: int) -> list[Widths]:
        """Give the cells that are left to columns whose name is cut off."""
        left = room - sum(size.whole + gap for size in widths) + gap
        result = []
        for heading, size in zip(self.headings, widths, strict=True):
            more = max(0, min(left, width(heading.name) + 3 - size.whole, _WIDEST_NAME - size.whole))
            left -= more
            result.append(msgspec.structs.replace(size, whole=size.whole + more))
        return result


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
        cells.append(
            [_shown(cell, signs, _trust(row, cell, heading)) for cell, heading in zip(row.cells, headings, strict=True)]
        )
    cells = _aligned(cells, len(headings), signs)
    columns = list(zip(headings, *(row for row in cells if row), strict=True))
    return Sheet(
        headings=list(headings),
        lines=lines,
        cells=cells,
        label=max([NARROWEST, *(width(line.name) + 2 for line in lines if isinstance(line, Row))]),
        layouts=[
            [_whole(heading.name, column) for heading, *column in columns],
            [_without_intervals(heading.name, column) for heading, *column in columns],
            [_brief(column) for _, *column in columns],
        ],
    )


def _trust(row: Row, cell: Cell, heading: Heading) -> Trust:
    """Return the trust in a change: in a latency that of the comparison, unless the metric has its own interval."""
    if cell.change is None or row.group not in _MEASURED_TIMES:
        return "good"
    if row.name != MEDIAN and cell.ci95 is not None:
        low, high = cell.ci95
        return trust.of_interval(100 + cell.change, (100 + low, 100 + high))
    return heading.trust if row.group == "latency" else "good"


def _aligned(rows: Sequence[list[Shown]], columns: int, signs: Glyphs) -> list[list[Shown]]:
    """Add the signs of trust to the changes; in a column that has one, a space to those that can be relied on."""
    marked = {place for place in range(columns) if any(row[place].trust != "good" for row in rows if row)}

    def signed_cell(cell: Shown) -> Shown:
        sign = signs.of_trust(cell.trust)
        return msgspec.structs.replace(cell, change=cell.change + sign, brief_change=cell.brief_change + sign)

    return [
        [signed_cell(cell) if place in marked and cell.change else cell for place, cell in enumerate(row)]
        for row in rows
    ]


def _whole(name: str, cells: Sequence[Shown]) -> Widths:
    half = max([0, *(width(cell.half) for cell in cells)])
    texts = min(_text_width(cells), _WIDEST_TEXT)
    return _widths(cells, half, max(texts, min(width(name) + 3, _WIDEST_NAME)), spare=_ROOMY_GAP)


def _without_intervals(name: str, cells: Sequence[Shown]) -> Widths:
    texts = min(_text_width(cells), _WIDEST_TEXT // 2)
    return _widths(cells, 0, max(texts, min(width(name) + 3, _WIDEST_NAME // 2)), spare=_ROOMY_GAP)


def _brief(cells: Sequence[Shown]) -> Widths:
    return _widths(cells, 0, NARROWEST, brief=True)


def _widths(cells: Sequence[Shown], half: int, least: int, *, spare: int = 0, brief: bool = False) -> Widths:
    figures = [cell for cell in cells if not cell.is_text]
    figure = max([5, *(width(cell.figure) for cell in figures)])
    change = max([0, *(width(cell.brief_change if brief else cell.change) for cell in figures)])
    # The value, the mark of the best, and the others with a space before them.
    numbers = figure + 1 + (change + 1 if change else 0) + (half + 1 if half else 0)
    return Widths(figure, change, half, max(NARROWEST, numbers, least) + spare, brief)


def _text_width(cells: Sequence[Shown]) -> int:
    return max([0, *(width(cell.figure) for cell in cells if cell.is_text)])


def _half_width(cell: Cell) -> str:
    """Return the larger distance from a change to an end of its interval: in the unit in which ``signed`` prints the
    change, percent or a factor."""
    if cell.change is None or cell.ci95 is None:
        return ""
    half = max(cell.change - cell.ci95[0], cell.ci95[1] - cell.change)
    if signed(cell.change).endswith("x"):
        return number(half / 100, 2)
    return f"{half:.1f}" if half < 99.95 else f"{half:,.0f}"


def _brief_change(change: float) -> str:
    """Return a change in two digits, such as ``-68 %`` and ``+5.3 %``."""
    return f"{change:+.0f} %" if 9.95 <= abs(change) < 100 else signed(change)


def _shown(cell: Cell, signs: Glyphs, trusted: Trust) -> Shown:
    half = _half_width(cell)
    return Shown(
        figure=side_by_side.shown(Cell(value=cell.value)),
        change=signed(cell.change) if cell.change is not None else "",
        brief_change=_brief_change(cell.change) if cell.change is not None else "",
        half=f"{signs.about}{half}" if half else "",
        best=cell.best,
        is_text=isinstance(cell.value, str),
        trust=trusted,
    )
