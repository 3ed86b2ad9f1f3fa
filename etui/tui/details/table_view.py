"""Rows under words: a sheet of text, a table or tree with a cursor under it, and a sheet at the end, scrolling as one.

Only the lines in view are drawn, however many rows there are.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from etui.actions import bindings
from etui.tui.defect_guard import Guarded
from etui.tui.details.row_painter import GUTTER, RowsPainter
from etui.tui.details.text_view import Writer
from etui.tui.details.tree_rows import GAP, Column, Node, Rows, fitting_columns
from etui.tui.terminal import sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.widgets.line_view import move_bindings

_EDGE = 1
_MOVES = {"down": "down", "up": "up", "top": "top", "bottom": "bottom", "page_down": "page_down", "page_up": "page_up"}


class TreeTable(Guarded, ScrollView, can_focus=True):
    """The cursor is a row and stays on it however the rows are sorted or filtered."""

    DEFAULT_CSS = """
    TreeTable { height: 1fr; overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*move_bindings(_MOVES), *bindings("rows")]

    class Moved(Message):
        """The cursor is on another row; None where there is none."""

        def __init__(self, node: Node | None) -> None:
            super().__init__()
            self.node = node

    class Asked(Message):
        """The user wants what the tab does for its table: ``filter``, ``view`` or ``side``."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Rows | None = None
        self.cursor = 0
        self._key: str | None = None
        self._node: Node | None = None
        self._head: Writer | None = None
        self._tail: Writer | None = None
        self._above: list[Text] = []
        self._below: list[Text] = []
        self._columns: list[tuple[Column, int]] = []
        self._painter = RowsPainter(self)
        self.kinds_of_view = 1
        self.has_sides = False

    # What it shows

    def show(self, rows: Rows | None, head: Writer, tail: Writer | None = None) -> None:
        """Show these rows between these words; the cursor stays on its row where that is among them."""
        self.rows, self._head, self._tail = rows, head, tail
        self._lay_out()
        self.rearranged()
        self.refresh_bindings()

    def rewrite(self) -> None:
        """Write the words again."""
        self._lay_out()

    def rearranged(self) -> None:
        """The rows have been sorted, folded or filtered: find the cursor's again, or the branch it is in; where it is
        gone begin at the top."""
        shown = self.rows.shown if self.rows else []
        places = {node.key: index for index, node in enumerate(shown)}
        node, before = self._node, self._key
        while node is not None and node.key not in places:
            node = node.parent
        self.cursor = places[node.key] if node is not None else 0
        self._resize()
        if node is None:
            self._scroll(0)
        self._follow(self._key != before)
        self.refresh()

    @property
    def node(self) -> Node | None:
        """The row under the cursor."""
        shown = self.rows.shown if self.rows else []
        return shown[self.cursor] if self.cursor < len(shown) else None

    @property
    def count(self) -> int:
        """How many rows are shown."""
        return len(self.rows.shown) if self.rows else 0

    def _lay_out(self) -> None:
        width = self._width
        styles = sheet_styles(self.app)
        self._above = _lines(self._head, width, styles)
        self._below = _lines(self._tail, width, styles)
        if self.rows is not None:
            self._columns = fitting_columns(self.rows.columns, width + _EDGE - GUTTER)
        self._resize()
        self.refresh()

    @property
    def _width(self) -> int:
        # One that was never seen has no size yet; what it will have is known well enough.
        return max(20, (self.scrollable_content_region.width or self.app.size.width - 1) - 2 * _EDGE)

    def _resize(self) -> None:
        table = self.count + 1 if self.rows is not None else 0
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._above) + table + len(self._below))
        # Textual looks at the scrollbars only when a layout comes, and without one there is no scrolling.
        self._scroll_update(self.virtual_size)

    def on_resize(self) -> None:
        """Fit the words and the columns to the width."""
        self._lay_out()
        if self.cursor:
            self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        """Take the theme's colours anew."""
        super().notify_style_update()
        self._painter.forget()

    # Moving

    def action_down(self) -> None:
        """To the next row; past the last one, further into the words."""
        if self.cursor >= self.count - 1:
            self._scroll(self.scroll_offset.y + 1)
        else:
            self._move(self.cursor + 1)

    def action_up(self) -> None:
        """To the row before; before the first one, further into the words."""
        if self.cursor <= 0:
            self._scroll(self.scroll_offset.y - 1)
        else:
            self._move(self.cursor - 1)

    def action_top(self) -> None:
        """To the first row and the words above it."""
        self._move(0)
        self._scroll(0)

    def action_bottom(self) -> None:
        """To the last row and the words under it."""
        self._move(self.count - 1)
        self._scroll(self.max_scroll_y)

    def action_page_down(self) -> None:
        """Half a page down."""
        self._page(max(1, self.size.height // 2))

    def action_page_up(self) -> None:
        """Half a page up."""
        self._page(-max(1, self.size.height // 2))

    def _page(self, rows: int) -> None:
        before = self.cursor
        self._move(self.cursor + rows)
        if self.cursor == before:
            self._scroll(self.scroll_offset.y + rows)

    def _move(self, index: int) -> None:
        index = max(0, min(index, self.count - 1))
        before, self.cursor = self.cursor, index
        if before != index:
            self._refresh_row(before)
            self._refresh_row(index)
        self._scroll_to_cursor()
        self._follow(before != index)

    def _follow(self, told: bool) -> None:
        node = self.node
        key, self._node = node.key if node else None, node
        if told or key != self._key:
            self._key = key
            self.post_message(self.Moved(node))
            self.refresh_bindings()

    def _scroll_to_cursor(self) -> None:
        if not self.count:
            return
        top, line = self.scroll_offset.y, len(self._above) + 1 + self.cursor
        # The heading stays at the top once the words have gone, over the first line that is seen.
        if line <= max(top, 0):
            self._scroll(line - 1)
        elif line >= top + self.size.height:
            self._scroll(line - self.size.height + 1)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def _refresh_row(self, index: int) -> None:
        y = len(self._above) + 1 + index - self.scroll_offset.y
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # What its keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what the rows that are shown can do; left and right are the tabs' keys where nothing unfolds."""
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
        """Open the branch, or go into it where it is open."""
        node = self.node
        if self.rows is None or node is None or not node.children:
            return
        if self.rows.is_open(node):
            self._move(self.cursor + 1)
        else:
            self.rows.set_open(node, True)
            self.rearranged()

    def action_shut(self) -> None:
        """Close the branch, or go to the one this row is in."""
        node = self.node
        if self.rows is None or node is None:
            return
        if node.children and self.rows.is_open(node):
            self.rows.set_open(node, False)
            self.rearranged()
        elif node.parent is not None:
            self._move(self.rows.shown.index(node.parent))

    def action_fold(self) -> None:
        """Open the branch, or close it where it is open."""
        node = self.node
        if self.rows is not None and node is not None and node.children:
            self.rows.set_open(node, not self.rows.is_open(node))
            self.rearranged()

    def action_turn_all(self) -> None:
        """Open everything, or close it."""
        if self.rows is not None:
            self.rows.turn_all()
            self.rearranged()
            self._scroll_to_cursor()

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = [column.name for column, _ in self._columns if column.sorts]
        if self.rows is not None and names:
            place = names.index(self.rows.sort) if self.rows.sort in names else -1
            self._sort_by(names[(place + 1) % len(names)])

    def action_sort_direction(self) -> None:
        """Turn the sorting round."""
        if self.rows is not None:
            self.rows.turn_round()
            self.begin_again()

    def action_filter(self) -> None:
        """Ask the tab for its filter."""
        self.post_message(self.Asked("filter"))

    def action_view(self) -> None:
        """Ask the tab for its next view."""
        self.post_message(self.Asked("view"))

    def action_side(self) -> None:
        """Ask the tab for the other side."""
        self.post_message(self.Asked("side"))

    def _sort_by(self, name: str) -> None:
        if self.rows is not None:
            self.rows.sort_by(name)
            self.begin_again()

    def begin_again(self) -> None:
        """Put the cursor on the first row, with the heading at the top where the words leave the rows little room."""
        self._key = self._node = None
        self.rearranged()
        if len(self._above) > self.size.height // 3:
            self._scroll(len(self._above))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a second one folds; a click on a heading sorts by it."""
        offset = event.get_content_offset(self)
        if offset is None or self.rows is None:
            return
        line = self._line_at(offset.y)
        if line == len(self._above):
            self._sort_at(offset.x)
        elif 0 <= (index := line - len(self._above) - 1) < self.count:
            again = index == self.cursor
            self._move(index)
            if event.chain == 2 or again:
                self.action_fold()

    def _sort_at(self, x: int) -> None:
        left = GUTTER
        for column, size in self._columns:
            if left <= x < left + size + GAP and column.sorts and self.rows is not None:
                if column.name == self.rows.sort:
                    self.action_sort_direction()
                else:
                    self._sort_by(column.name)
                return
            left += size + GAP

    # Drawing

    def _line_at(self, y: int) -> int:
        """Which line of all stands at a row of the view; the heading stays in sight while its rows are."""
        line = self.scroll_offset.y + y
        heading = len(self._above)
        if y == 0 and self.rows is not None and heading < line <= heading + self.count:
            return heading
        return line

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.scrollable_content_region.width
        ground = self.rich_style
        line, heading = self._line_at(y), len(self._above)
        if line < heading:
            return self._words(self._above[line], width, ground)
        if self.rows is not None:
            if line == heading:
                return self._painter.heading(self.rows, self._columns, width)
            if (index := line - heading - 1) < self.count:
                node, here = self.rows.shown[index], index == self.cursor
                return self._painter.row(self.rows, node, self._columns, width, here=here)
            line -= self.count + 1
        if 0 <= (index := line - heading) < len(self._below):
            return self._words(self._below[index], width, ground)
        return Strip.blank(width, ground)

    def _words(self, words: Text, width: int, ground: Style) -> Strip:
        segments = [Segment(" " * _EDGE), *words.render(self.app.console)]
        return Strip(segments).adjust_cell_length(width).apply_style(ground)


def _lines(writer: Writer | None, width: int, styles: Styles) -> list[Text]:
    if writer is None:
        return []
    text = writer(width, styles)
    return list(text.split("\n", allow_blank=True)) if text.plain else []
