"""A table or tree with a cursor, with text above and below it, which scroll together.

Only the visible lines are drawn, however many rows there are.
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
from etui.tui.details.tree_rows import GAP, Column, Node, Rows, sized_columns
from etui.tui.terminal import sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.widgets.line_view import move_bindings

_EDGE = 1
_MOVES = {"down": "down", "up": "up", "top": "top", "bottom": "bottom", "page_down": "page_down", "page_up": "page_up"}


class TreeTable(Guarded, ScrollView, can_focus=True):
    """The cursor stays on its row when the rows are sorted or filtered."""

    DEFAULT_CSS = """
    TreeTable { height: 1fr; overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*move_bindings(_MOVES), *bindings("rows")]

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

    # Contents

    def show(self, rows: Rows | None, head: Writer, tail: Writer | None = None) -> None:
        """Show these rows between two texts; the cursor stays on its row if it is still there."""
        self.rows, self._head, self._tail = rows, head, tail
        self._lay_out()
        self.rearranged()
        self.refresh_bindings()

    def rewrite(self) -> None:
        """Render the texts again."""
        self._lay_out()

    def rearranged(self) -> None:
        """Restore the cursor after rows were sorted, folded or filtered: on its row, else on the branch that contains
        it, else on the first row."""
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
            self._columns = sized_columns(self.rows.columns, width + _EDGE - GUTTER)
        self._resize()
        self.refresh()

    @property
    def _width(self) -> int:
        # A view that was never shown has no size yet: assume the width of the terminal.
        return max(20, (self.scrollable_content_region.width or self.app.size.width - 1) - 2 * _EDGE)

    def _resize(self) -> None:
        table = self.count + 1 if self.rows is not None else 0
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._above) + table + len(self._below))
        # Textual updates the scrollbars only with a layout, and without them nothing scrolls.
        self._scroll_update(self.virtual_size)

    def on_resize(self) -> None:
        """Fit the texts and the columns to the width."""
        self._lay_out()
        if self.cursor:
            self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        """Use the colours of the current theme."""
        super().notify_style_update()
        self._painter.forget()

    # Moving

    def action_down(self) -> None:
        """Move to the next row; from the last one, scroll the text below."""
        if self.cursor >= self.count - 1:
            self._scroll(self.scroll_offset.y + 1)
        else:
            self._move(self.cursor + 1)

    def action_up(self) -> None:
        """Move to the previous row; from the first one, scroll the text above."""
        if self.cursor <= 0:
            self._scroll(self.scroll_offset.y - 1)
        else:
            self._move(self.cursor - 1)

    def action_top(self) -> None:
        """Move to the first row and the text above it."""
        self._move(0)
        self._scroll(0)

    def action_bottom(self) -> None:
        """Move to the last row and the text below it."""
        self._move(self.count - 1)
        self._scroll(self.max_scroll_y)

    def action_page_down(self) -> None:
        """Move half a page down."""
        self._page(max(1, self.size.height // 2))

    def action_page_up(self) -> None:
        """Move half a page up."""
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

    def _follow(self, changed: bool) -> None:
        node = self.node
        key, self._node = node.key if node else None, node
        if changed or key != self._key:
            self._key = key
            self.post_message(self.Moved(node))
            self.refresh_bindings()

    def _scroll_to_cursor(self) -> None:
        if not self.count:
            return
        top, line = self.scroll_offset.y, len(self._above) + 1 + self.cursor
        # Once the text above has scrolled away, the heading covers the first visible line.
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
            self._move(self.cursor + 1)
        else:
            self.rows.set_open(node, True)
            self.rearranged()

    def action_shut(self) -> None:
        """Collapse the row, or go to its parent."""
        node = self.node
        if self.rows is None or node is None:
            return
        if node.children and self.rows.is_open(node):
            self.rows.set_open(node, False)
            self.rearranged()
        elif node.parent is not None:
            self._move(self.rows.shown.index(node.parent))

    def action_fold(self) -> None:
        """Expand or collapse the row."""
        node = self.node
        if self.rows is not None and node is not None and node.children:
            self.rows.set_open(node, not self.rows.is_open(node))
            self.rearranged()

    def action_turn_all(self) -> None:
        """Expand or collapse every row."""
        if self.rows is not None:
            self.rows.toggle_all()
            self.rearranged()
            self._scroll_to_cursor()

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = [column.name for column, _ in self._columns if column.sorts]
        if self.rows is not None and names:
            place = names.index(self.rows.sort) if self.rows.sort in names else -1
            self._sort_by(names[(place + 1) % len(names)])

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

    def _sort_by(self, name: str) -> None:
        if self.rows is not None:
            self.rows.sort_by(name)
            self.move_to_top()

    def move_to_top(self) -> None:
        """Move the cursor to the first row, and scroll the heading to the top if the text above takes much room."""
        self._key = self._node = None
        self.rearranged()
        if len(self._above) > self.size.height // 3:
            self._scroll(len(self._above))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor on click, expand or collapse on a second click, and sort on a click on a heading."""
        offset = event.get_content_offset(self)
        if offset is None or self.rows is None:
            return
        line = self._line_at(offset.y)
        if line == len(self._above):
            self._sort_at(offset.x)
        elif 0 <= (index := line - len(self._above) - 1) < self.count:
            is_current = index == self.cursor
            self._move(index)
            if event.chain == 2 or is_current:
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
        """Return the line at a row of the view; the heading stays visible while its rows are."""
        line = self.scroll_offset.y + y
        heading = len(self._above)
        if y == 0 and self.rows is not None and heading < line <= heading + self.count:
            return heading
        return line

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        width = self.scrollable_content_region.width
        ground = self.rich_style
        line, heading = self._line_at(y), len(self._above)
        if line < heading:
            return self._text_line(self._above[line], width, ground)
        if self.rows is not None:
            if line == heading:
                return self._painter.heading(self.rows, self._columns, width)
            if (index := line - heading - 1) < self.count:
                node, here = self.rows.shown[index], index == self.cursor
                return self._painter.row(self.rows, node, self._columns, width, here=here)
            line -= self.count + 1
        if 0 <= (index := line - heading) < len(self._below):
            return self._text_line(self._below[index], width, ground)
        return Strip.blank(width, ground)

    def _text_line(self, line: Text, width: int, ground: Style) -> Strip:
        segments = [Segment(" " * _EDGE), *line.render(self.app.console)]
        return Strip(segments).adjust_cell_length(width).apply_style(ground)


def _lines(writer: Writer | None, width: int, styles: Styles) -> list[Text]:
    if writer is None:
        return []
    text = writer(width, styles)
    return list(text.split("\n", allow_blank=True)) if text.plain else []
