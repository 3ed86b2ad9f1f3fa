"""A plain-text table with fitted columns and aligned numbers; on a narrow terminal the least important columns are
omitted, then texts are wrapped or cut.

What is not printed on a terminal is neither omitted nor cut, except text of other origins that is extremely long.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from etui.cli.number_alignment import NumberAlignment
from etui.table_columns import fitting_columns
from etui.text import WHOLE_CELLS, shortened, shortened_start, width, wrapped

_GAP = "  "
_MOST_CELLS = 200
_LEAST_CELLS, _LEAST_WRAPPED, _LEAST_LINE = 6, 24, 40


@dataclass(frozen=True)
class Column:
    """One column: its heading, whether it has numbers, which are aligned to the right with their decimal points below
    each other, and its priority for omission on a terminal (0 never, 9 first).

    ``most`` is the number of cells that its texts take if the terminal has no room for more. A text that does not fit
    is cut at its end with an ellipsis, at its start (``cut="start"``), or without an ellipsis (``cut="clean"``); with
    ``wraps`` it continues on the next line. Numbers, and texts of a column that is ``whole``, are never cut.
    """

    heading: str
    right: bool = False
    spare: int = 0
    most: int = _MOST_CELLS
    wraps: bool = False
    whole: bool = False
    cut: Literal["end", "start", "clean"] = "end"


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], available: int | None = None) -> str:
    """Return the lines of the table, headings first, with plain cells. Columns are omitted and texts cut to fit
    ``available`` terminal cells; None means the terminal's width, or no limit if the output is not a terminal."""
    return "\n".join(table_lines(columns, rows, available, part=max(1, len(rows))))


def table_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], available: int | None = None, *, part: int = 1_000
) -> Iterator[str]:
    """Yield the headings and then the rows of a table as ``table`` returns them, for rows that need not fit in memory.

    The first ``part`` rows decide which columns are omitted; a later part may change widths from there on.
    """
    room = terminal_width() if available is None else available
    layout = _Layout(columns, room)
    left = iter(rows)
    is_first = True
    while True:
        cells = [
            [
                shortened(cell, WHOLE_CELLS if column.wraps else _MOST_CELLS)
                for cell, column in zip(row, columns, strict=True)
            ]
            for row in itertools.islice(left, part)
        ]
        cells = layout.add(cells)
        if is_first:
            yield layout.headings()
            is_first = False
        for row in cells:
            yield layout.line(row)
        if len(cells) < part:
            return


class _Layout:
    """The widths of the columns of one table, and which are shown."""

    def __init__(self, columns: Sequence[Column], room: int | None) -> None:
        self._columns, self._room = columns, room
        self._headings = [shortened(column.heading, _MOST_CELLS) for column in columns]
        self._natural = [width(heading) for heading in self._headings]
        self._numbers = [NumberAlignment() if column.right else None for column in columns]
        self._shown: list[int] | None = None
        self._widths = list(self._natural)

    def add(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        """Make room for more rows, and return them with their numbers aligned."""
        for index, numbers in enumerate(self._numbers):
            if numbers is not None:
                numbers.add(row[index] for row in rows)
        made = [
            [
                cell if numbers is None else numbers.padded(cell)
                for cell, numbers in zip(row, self._numbers, strict=True)
            ]
            for row in rows
        ]
        self._natural = [max([wide, *(width(row[index]) for row in made)]) for index, wide in enumerate(self._natural)]
        self._fit()
        return made

    def headings(self) -> str:
        """Return the line of the headings."""
        return self.line(self._headings)

    def line(self, row: Sequence[str]) -> str:
        """Return the line of a row; several lines if texts are wrapped."""
        cells = {index: self._lines_of(index, row[index]) for index in self._shown or ()}
        height = max(map(len, cells.values()), default=1)
        return "\n".join(
            _GAP.join(
                self._padded(index, lines[number] if number < len(lines) else "") for index, lines in cells.items()
            ).rstrip()
            for number in range(height)
        )

    def _fit(self) -> None:
        """Decide which columns are shown, and how wide each is."""
        if self._room is None:
            self._shown = list(range(len(self._columns)))
            self._widths = list(self._natural)
            return
        least = [
            min(wide, max(column.most, width(heading))) if not column.wraps else min(wide, _LEAST_WRAPPED)
            for wide, column, heading in zip(self._natural, self._columns, self._headings, strict=True)
        ]
        if self._shown is None:
            spare = [column.spare for column in self._columns]
            self._shown = fitting_columns(least, spare, self._room, gap=len(_GAP))
        self._widths = least
        free = self._room - self._total()
        for index in self._shown:
            more = min(max(0, free), self._natural[index] - least[index])
            self._widths[index] += more
            free -= more
        while free < 0:
            texts = [one for one in self._shown if self._can_shrink(one)]
            if not texts:
                return
            widest = max(texts, key=lambda one: self._widths[one])
            self._widths[widest] -= 1
            free += 1

    def _can_shrink(self, index: int) -> bool:
        column = self._columns[index]
        return not (column.right or column.whole) and self._widths[index] > _LEAST_CELLS

    def _total(self) -> int:
        shown = self._shown or []
        return sum(self._widths[index] for index in shown) + len(_GAP) * max(0, len(shown) - 1)

    def _lines_of(self, index: int, cell: str) -> list[str]:
        cells, column = self._widths[index], self._columns[index]
        if width(cell) <= cells:
            return [cell]
        if column.wraps:
            return wrapped(cell, cells)
        if column.cut == "start":
            return [shortened_start(cell, cells)]
        return [shortened(cell, cells, "" if column.cut == "clean" else _ellipsis())]

    def _padded(self, index: int, cell: str) -> str:
        padding = " " * (self._widths[index] - width(cell))
        return padding + cell if self._columns[index].right else cell + padding


def terminal_width() -> int | None:
    """Return the width of the terminal in cells; None if the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped_to_terminal(line: str) -> str:
    """Return a line wrapped to the terminal's width, further lines indented; unchanged if the output is not a
    terminal."""
    available = terminal_width()
    if available is None or width(line) <= available:
        return line
    room = max(_LEAST_LINE, available)
    return "\n".join(textwrap.wrap(line, room, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False))


def ascii_only() -> bool:
    """Whether the encoding of standard output cannot represent block characters."""
    return not (sys.stdout.encoding or "").lower().startswith("utf")


def _ellipsis() -> str:
    return "~" if ascii_only() else "…"
