"""A scrolling view that renders each line of text only when it is visible."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text

from etui.tui.widgets.virtual_table import VirtualTable


class LineView(VirtualTable[Text]):
    """Lines of text instead of rows in columns. A subclass implements ``line_count`` and ``line``."""

    has_heading: ClassVar[bool] = False
    has_cursor: ClassVar[bool] = False
    gutter_width: ClassVar[int] = 0

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(_Lines(self), id=id)

    def line_count(self) -> int:
        """Return the number of lines."""
        raise NotImplementedError

    def line(self, index: int) -> Text:
        """Return a line."""
        raise NotImplementedError


class _Lines:
    """The lines of a view as the rows of a table without a cursor."""

    def __init__(self, view: LineView) -> None:
        self._view = view

    def __len__(self) -> int:
        return self._view.line_count()

    def at(self, index: int) -> Text | None:
        return self._view.line(index)

    def key(self, row: Text) -> str:
        return row.plain

    def index_of(self, key: str) -> int | None:
        return None
