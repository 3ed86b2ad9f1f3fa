"""A graph next to a list of its nodes: each node is a row, and the edges between rows are lines beside the rows.

A row that uses the result of the row directly above has a filled mark, any other an open one. All other edges of a
node share one vertical line, from its row to the last row that uses its result; a row that uses it is connected to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

MOST_LANES = 12
"""The number of vertical lines next to each other that are drawn."""


class LaneGlyphs(msgspec.Struct, frozen=True, kw_only=True):
    """The characters. ``begin``, ``end`` and ``tap`` connect a row to a line; the second of each pair is used if the
    row is also connected to a line further to the right."""

    after: str = "●"
    apart: str = "○"
    down: str = "│"
    across: str = "─"
    begin: tuple[str, str] = ("┐", "┬")
    end: tuple[str, str] = ("┘", "┴")
    tap: tuple[str, str] = ("┤", "┼")


ASCII_LANES = LaneGlyphs(
    after="*", apart="o", down="|", across="-", begin=(".", "."), end=("'", "'"), tap=("+", "+")
)  # fmt: skip


class Lanes(msgspec.Struct, frozen=True, kw_only=True):
    """The drawing of each row, all of the same width, and the number of edges that are not drawn for lack of room."""

    rows: list[str]
    missing: int


class _Line(msgspec.Struct, frozen=True):
    """The line of a node: its row, and the rows that use its result."""

    source: int
    targets: tuple[int, ...]

    @property
    def top(self) -> int:
        return min(self.source, *self.targets)

    @property
    def bottom(self) -> int:
        return max(self.source, *self.targets)


def lanes(count: int, edges: Iterable[tuple[int, int]], glyphs: LaneGlyphs) -> Lanes:
    """Draw the edges, pairs of a row and a row that uses its result, next to ``count`` rows."""
    direct: set[int] = set()
    targets: dict[int, list[int]] = {}
    for source, target in edges:
        if target == source + 1:
            direct.add(target)
        else:
            targets.setdefault(source, []).append(target)
    placed, missing = _placed([_Line(source, tuple(each)) for source, each in targets.items()])
    at: list[list[_Line | None]] = [[None] * len(placed) for _ in range(count)]
    for lane, lines in enumerate(placed):
        for line in lines:
            for row in range(line.top, line.bottom + 1):
                at[row][lane] = line
    rows = [_row(row, at[row], glyphs.after if row in direct else glyphs.apart, glyphs) for row in range(count)]
    return Lanes(rows=rows, missing=missing)


def _placed(lines: Sequence[_Line]) -> tuple[list[list[_Line]], int]:
    """Return the lines of each lane, short ones next to the rows, and the number of edges of those without a lane."""
    placed: list[list[_Line]] = []
    missing = 0
    for line in sorted(lines, key=lambda each: (each.bottom - each.top, each.top)):
        free = next(
            (lane for lane in placed if all(line.bottom < each.top or line.top > each.bottom for each in lane)), None
        )
        if free is not None:
            free.append(line)
        elif len(placed) < MOST_LANES:
            placed.append([line])
        else:
            missing += len(line.targets)
    return placed, missing


def _row(row: int, at: Sequence[_Line | None], mark: str, glyphs: LaneGlyphs) -> str:
    connected = [line is not None and (row == line.source or row in line.targets) for line in at]
    last = max((lane for lane, is_connected in enumerate(connected) if is_connected), default=-1)
    cells = [mark]
    for lane, line in enumerate(at):
        across = glyphs.across if lane <= last else " "
        if line is None:
            cells.append(across * 2)
        elif not connected[lane]:
            cells.append(across + glyphs.down)
        else:
            pair = glyphs.begin if row == line.top else glyphs.end if row == line.bottom else glyphs.tap
            cells.append(across + pair[lane < last])
    return "".join(cells)
