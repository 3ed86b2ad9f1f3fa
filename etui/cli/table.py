"""A plain table: columns as wide as they need to be, and the least important ones left out on a narrow terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from etui.text import plain, width

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """One column: its heading, whether figures stand in it, and how soon it is left out (0 never, 9 first)."""

    heading: str
    right: bool = False
    spare: int = 0


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], available: int | None = None) -> str:
    """The table's lines, headings first, cells made plain. ``available`` cells are kept to where columns can be left
    out; None means the terminal's width, or no limit where the output is no terminal."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [
        max([width(column.heading), *(width(row[index]) for row in cells)]) for index, column in enumerate(columns)
    ]
    shown = _that_fit(columns, widths, _terminal_width() if available is None else available)
    lines = [[columns[index].heading for index in shown], *([row[index] for index in shown] for row in cells)]
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
