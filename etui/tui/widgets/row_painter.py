"""Draws the headings and rows of a table: a gutter, then one cell per column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from etui.text import width as cells
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import arrowed, fitted

Row = TypeVar("Row")

Part = tuple[str, str | Style]
"""A text with the name of its tone, or with a style; its background is that of the row."""
Cell = Part | list[Part]
"""One part is fitted to the width of the column; a list of parts is drawn as it is."""


class Placed(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """A column at its width in cells. Clicks and keys sort by ``name`` if ``sorts``; ``clips`` cuts without a mark,
    ``middle`` in the middle; ``current``: the cursor is on the column."""

    width: int
    cell: Callable[[Row], Cell]
    title: str | list[Part] = ""
    name: str = ""
    sorts: bool = False
    right: bool = False
    clips: bool = False
    middle: bool = False
    current: bool = False


class Painter(msgspec.Struct, frozen=True, kw_only=True):
    """Draws lines of ``width`` cells, with ``gap`` cells after each column; ``style`` returns a style by its name."""

    width: int
    gutter: int
    gap: int
    glyphs: Glyphs
    style: Callable[[str], Style]

    def heading(self, columns: Sequence[Placed[Row]], sorting: tuple[str, bool] | None) -> Strip:
        """Return the line of headings; ``sorting``: the name of the sorted column, and whether it descends."""
        header = self.style("header")
        segments = [Segment(" " * self.gutter, header)]
        left = self.gutter
        for column in columns:
            left += column.width + self.gap
            if isinstance(column.title, str):
                if sorting is not None and column.name == sorting[0]:
                    title, after = arrowed(
                        column.title,
                        column.width,
                        self.glyphs,
                        right=column.right,
                        has_gap=self.gap > 0 and left <= self.width,
                        descending=sorting[1],
                    )
                    ground = self.style("sorted")
                    segments += [Segment(title, ground), Segment(after.ljust(self.gap), ground if after else header)]
                    continue
                segments.append(Segment(fitted(column.title, column.width, self.glyphs, right=column.right), header))
            else:
                ground = self.style("cursor" if column.current else "")
                segments += self._parts(column.title, column.width, ground)
            segments.append(Segment(" " * self.gap, header))
        return Strip(segments).adjust_cell_length(self.width, header)

    def row(self, row: Row, columns: Sequence[Placed[Row]], gutter: Sequence[Part], ground: Style) -> Strip:
        """Return the line of a row, with this gutter and on this background."""
        on, glyphs, after = self._on, self.glyphs, Segment(" " * self.gap, ground)
        segments = [Segment(text, on(ground, tone) if tone else ground) for text, tone in gutter]
        for column in columns:
            own = self.style("cursor") if column.current else ground
            cell = column.cell(row)
            if isinstance(cell, list):
                segments += self._parts(cell, column.width, own)
            else:
                text, tone = cell
                text = fitted(text, column.width, glyphs, right=column.right, clips=column.clips, middle=column.middle)
                segments.append(Segment(text, on(own, tone) if tone else own))
            segments.append(after)
        return Strip(segments).adjust_cell_length(self.width, ground)

    def column_at(self, columns: Sequence[Placed[Row]], x: int) -> Placed[Row] | None:
        """Return the column at a horizontal position; None if there is none."""
        left = self.gutter
        for column in columns:
            if left <= x < left + column.width + self.gap:
                return column
            left += column.width + self.gap
        return None

    def _parts(self, parts: Sequence[Part], width: int, ground: Style) -> Iterator[Segment]:
        for text, tone in parts:
            yield Segment(text, self._on(ground, tone) if tone else ground)
        yield Segment(" " * max(0, width - sum(cells(text) for text, _ in parts)), ground)

    def _on(self, ground: Style, tone: str | Style) -> Style:
        return ground + (self.style(tone) if isinstance(tone, str) else tone)
