"""A table or tree of the details, whose rows can be sorted, folded and filtered, with text above and below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.message import Message

from etui.actions import bindings
from etui.charts.bars import bar
from etui.text import plain
from etui.tui.details.text_view import Writer
from etui.tui.details.tree_rows import Column, Node, Rows, sized_columns
from etui.tui.glyphs import Glyphs
from etui.tui.terminal import draws_unicode, sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.widgets.row_painter import Cell, Placed
from etui.tui.widgets.virtual_table import VirtualTable

_EDGES = 2


class TreeTable(VirtualTable[Node]):
    """The cursor stays on its row when the rows are sorted or filtered."""

    DEFAULT_CSS = """
    TreeTable > .table--bad { text-style: bold; }
    TreeTable > .table--live { text-style: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("rows")]

    class Moved(Message):
        """The cursor moved to another row; None if there is no row."""

        def __init__(self, node: Node | None) -> None:
            super().__init__()
            self.node = node

    class Asked(Message):
        """The user requested an action of the tab: ``filter``, ``view`` or ``side``."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Rows | None = None
        self._head: Writer | None = None
        self._tail: Writer | None = None
        self.kinds_of_view = 1
        self.has_sides = False

    # Contents

    def show(self, rows: Rows | None, head: Writer, tail: Writer | None = None) -> None:
        """Show these rows between two texts; the cursor stays on its row if it is still there."""
        self.source = self.rows = rows
        self._head, self._tail = head, tail
        self.lay_out()
        self.rows_changed()
        self.refresh_bindings()

    @property
    def node(self) -> Node | None:
        """The row under the cursor."""
        return self.row

    def lay_out(self) -> None:
        """Fit the texts and the columns to the width."""
        width, styles = max(20, self.content_width - _EDGES), sheet_styles(self.app)
        self.above = _lines(self._head, width, styles)
        self.below = _lines(self._tail, width, styles)
        super().lay_out()

    def find_cursor(self) -> int | None:
        """Return the index of the cursor's row, else of the nearest branch that contains it."""
        node, place = self._cursor_row, None
        while node is not None and place is None and self.rows is not None:
            place, node = self.rows.index_of(node.key), node.parent
        return place

    def cursor_moved(self) -> None:
        """Report the row under the cursor."""
        self.post_message(self.Moved(self.node))
        self.refresh_bindings()

    def row_clicked(self, *, was_current: bool, double: bool) -> None:
        """Expand or collapse the row on a second click."""
        if was_current or double:
            self.action_fold()

    # Columns

    @property
    def sorting(self) -> tuple[str, bool] | None:
        """The name of the sorted column, and whether it descends."""
        return (self.rows.sort, self.rows.descending) if self.rows is not None else None

    def place_columns(self, width: int) -> Sequence[Placed[Node]]:
        """Return the columns that fit, with one cell left at the right."""
        if self.rows is None:
            return []
        unicode = draws_unicode(self.app)
        placed = []
        for column, size in sized_columns(self.rows.columns, max(19, width - 1)):
            if column.share is not None:
                cell = partial(_bar, column, size, unicode)
            else:
                cell = partial(_cell, column, self.rows, self._glyphs)
            placed.append(
                Placed(
                    width=size,
                    cell=cell,
                    title=column.title,
                    name=column.name,
                    sorts=bool(column.sorts),
                    right=column.right,
                )
            )
        return placed

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable what does not apply to these rows; left and right change tabs if the rows are not a tree."""
        if action in ("fold", "open", "shut", "turn_all"):
            return self.rows is not None and self.rows.is_tree
        if action in ("filter", "sort", "sort_direction"):
            return self.rows is not None and bool(self.rows.roots)
        if action == "view":
            return self.rows is not None and self.kinds_of_view > 1
        if action == "side":
            return self.rows is not None and self.has_sides
        return super().check_action(action, parameters)

    def action_open(self) -> None:
        """Expand the row, or go to its first child if it is expanded."""
        node = self.node
        if self.rows is None or node is None or not node.children:
            return
        if self.rows.is_open(node):
            self.move_to(self.cursor + 1)
        else:
            self.rows.set_open(node, True)
            self.rows_changed()

    def action_shut(self) -> None:
        """Collapse the row, or go to its parent."""
        node = self.node
        if self.rows is None or node is None:
            return
        if node.children and self.rows.is_open(node):
            self.rows.set_open(node, False)
            self.rows_changed()
        elif node.parent is not None:
            self.move_to(self.rows.shown.index(node.parent))

    def action_fold(self) -> None:
        """Expand or collapse the row."""
        node = self.node
        if self.rows is not None and node is not None and node.children:
            self.rows.set_open(node, not self.rows.is_open(node))
            self.rows_changed()

    def action_turn_all(self) -> None:
        """Expand or collapse every row."""
        if self.rows is not None:
            self.rows.toggle_all()
            self.rows_changed()
            self.scroll_to_cursor()

    def action_sort_direction(self) -> None:
        """Reverse the sort order."""
        if self.rows is not None:
            self.rows.reverse()
            self.move_to_top()

    def action_filter(self) -> None:
        """Request the tab's filter."""
        self.post_message(self.Asked("filter"))

    def action_view(self) -> None:
        """Request the tab's next view."""
        self.post_message(self.Asked("view"))

    def action_side(self) -> None:
        """Request the other side."""
        self.post_message(self.Asked("side"))

    def sort_by(self, name: str) -> None:
        """Sort by a column in its default direction."""
        if self.rows is not None:
            self.rows.sort_by(name)
            self.move_to_top()

    def move_to_top(self) -> None:
        """Move the cursor to the first row, and scroll the heading to the top if the text above takes much room."""
        self._cursor_row = None
        self.rows_changed()
        if len(self.above) > self.size.height // 3:
            self.scroll_rows_to(len(self.above))


def _bar(column: Column, size: int, unicode: bool, node: Node) -> Cell:
    share = column.share(node) if column.share is not None else None
    return bar(share, size, unicode=unicode), (column.tone(node) if column.tone else "") or "live"


def _cell(column: Column, rows: Rows, signs: Glyphs, node: Node) -> Cell:
    mark = _fold_mark(rows, node, signs) if column.tree else ""
    return mark + plain(column.cell(node)), column.tone(node) if column.tone else ""


def _fold_mark(rows: Rows, node: Node, signs: Glyphs) -> str:
    if not rows.is_tree:
        return ""
    sign = " " if not node.children else signs.unfolded if rows.is_open(node) else signs.folded
    return f"{'  ' * node.depth}{sign} "


def _lines(writer: Writer | None, width: int, styles: Styles) -> list[Text]:
    if writer is None:
        return []
    text = writer(width, styles)
    return list(text.split("\n", allow_blank=True)) if text.plain else []
