"""A plain table: columns as wide as they need to be, and the least important ones left out on a narrow terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from etui.text import shortened, width

_GAP = "  "
_MOST_CELLS = 200


@dataclass(frozen=True)
class Column:
    """One column: its heading, whether figures stand in it, how soon it is left out (0 never, 9 first), and how many
    cells its text may take before it is cut."""

    heading: str
    right: bool = False
    spare: int = 0
    most: int = _MOST_CELLS


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], available: int | None = None) -> str:
    """The table's lines, headings first, cells made plain and cut at what their column takes. ``available`` cells are
    kept to where columns can be left out; None means the terminal's width, or no limit where the output is no
    terminal."""
    headings = [shortened(column.heading, column.most) for column in columns]
    cells = [[shortened(cell, column.most) for cell, column in zip(row, columns, strict=True)] for row in rows]
    widths = [
        max([width(heading), *(width(row[index]) for row in cells)]) for index, heading in enumerate(headings)
    ]
    shown = _that_fit(columns, widths, _terminal_width() if available is None else available)
    lines = [[headings[index] for index in shown], *([row[index] for index in shown] for row in cells)]
    return "\n".join(
        _GAP.join(_padded(cell, widths[index], columns[index].right) for cell, index in zip(line, shown, strict=True))
        .rstrip()
        for line in lines
    )  # fmt: skip


def _that_fit(columns: Sequence[Column], widths: Sequence[int], available: int | None) -> list[int]:
    shown = list(range(len(columns)))
    while available is not None and sum(widths[index] + len(_GAP) for index in shown) - len(_GAP) > available:
        spare = max(shown, key=lambda index: columns[index].spare)
        if columns[spare].spare == 0:
            break
        shown.remove(spare)
    return shown


def _padded(cell: str, cells: int, right: bool) -> str:
    padding = " " * (cells - width(cell))
    return padding + cell if right else cell + padding


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
