"""A plain-text table with fitted columns; the least important ones are omitted on a narrow terminal."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from etui.table_columns import fitting_columns
from etui.text import shortened, width

_GAP = "  "
_MOST_CELLS = 200


@dataclass(frozen=True)
class Column:
    """One column: its heading, whether it is right-aligned, its priority for omission (0 never, 9 first), and the
    number of terminal cells at which its text is cut."""

    heading: str
    right: bool = False
    spare: int = 0
    most: int = _MOST_CELLS


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], available: int | None = None) -> str:
    """Return the lines of the table, headings first, with plain and shortened cells. Columns are omitted to fit
    ``available`` terminal cells; None means the terminal's width, or no limit if the output is not a terminal."""
    return "\n".join(table_lines(columns, rows, available, part=max(1, len(rows))))


def table_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], available: int | None = None, *, part: int = 1_000
) -> Iterator[str]:
    """Yield the lines of a table as ``table`` returns them, for rows that need not fit in memory.

    The first ``part`` rows decide which columns fit; a later part may widen a column from there on.
    """
    left = iter(rows)
    headings = [shortened(column.heading, column.most) for column in columns]
    widths = [width(heading) for heading in headings]
    shown: list[int] = []
    while True:
        cells = [
            [shortened(cell, column.most) for cell, column in zip(row, columns, strict=True)]
            for row in itertools.islice(left, part)
        ]
        widths = [max([cells_wide, *(width(row[index]) for row in cells)]) for index, cells_wide in enumerate(widths)]
        if not shown:
            shown = _shown_columns(columns, widths, terminal_width() if available is None else available)
            yield _line(columns, widths, shown, headings)
        for row in cells:
            yield _line(columns, widths, shown, row)
        if len(cells) < part:
            return


def _line(columns: Sequence[Column], widths: Sequence[int], shown: Sequence[int], cells: Sequence[str]) -> str:
    return _GAP.join(_padded(cells[index], widths[index], columns[index].right) for index in shown).rstrip()


def _shown_columns(columns: Sequence[Column], widths: Sequence[int], available: int | None) -> list[int]:
    if available is None:
        return list(range(len(columns)))
    return fitting_columns(widths, [column.spare for column in columns], available, gap=len(_GAP))


def _padded(cell: str, cells: int, right: bool) -> str:
    padding = " " * (cells - width(cell))
    return padding + cell if right else cell + padding


def terminal_width() -> int | None:
    """Return the width of the terminal in cells; None if the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def ascii_only() -> bool:
    """Whether the encoding of standard output cannot represent block characters."""
    return not (sys.stdout.encoding or "").lower().startswith("utf")
