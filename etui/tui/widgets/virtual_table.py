"""A table of any length: it draws only the visible rows of a row source, below headings that stay visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Protocol

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from etui.tui.defect_guard import Guarded
from etui.tui.glyphs import UNICODE, Glyphs
from etui.tui.runs_columns import fitted
from etui.tui.terminal import glyphs
from etui.tui.widgets.half_pages import HalfPages, move_bindings
from etui.tui.widgets.row_painter import Painter, Part, Placed, Row

_RIGHT_BUTTON = 3
_EDGE = 1
"""The cells before the texts above and below the rows."""
_TONES = ("faint", "good", "bad", "warn", "live", "best")


class RowSource(Protocol[Row]):
    """The rows of a table. A row that is a ``Text`` is drawn as it is, and one that is a string is the title of the
    rows below it."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def at(self, index: int) -> Row | None:
        """Return a row; None if it has not been read yet."""

    def key(self, row: Row) -> str:
        """Return what identifies a row when the rows change."""

    def index_of(self, key: str) -> int | None:
        """Return the index of a row; None if it is not among the rows."""


class RowList(Generic[Row]):
    """A list of rows in memory, which ``key`` identifies."""

    def __init__(self, rows: Sequence[Row], key: Callable[[Row], str] = str) -> None:
        self._rows = rows
        self.key = key

    def __len__(self) -> int:
        return len(self._rows)

    def at(self, index: int) -> Row | None:
        """Return the row with this index."""
        return self._rows[index]

    def index_of(self, key: str) -> int | None:
        """Return the index of the row with this key; None if there is none."""
        return next((index for index, row in enumerate(self._rows) if self.key(row) == key), None)


class VirtualTable(Guarded, HalfPages, ScrollView, Generic[Row], can_focus=True):
    """Rows in columns, with text above and below them that scrolls with them.

    A subclass provides the columns, and reacts to ``cursor_moved``, ``row_clicked`` and ``sort_by``. The cursor stays
    on its row when the rows change. Without a cursor the keys scroll.
    """

    DEFAULT_CSS = """
    VirtualTable { height: 1fr; overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    VirtualTable > .table--header { color: $faint; text-style: bold; }
    VirtualTable > .table--sorted { color: $accent; text-style: bold; }
    VirtualTable > .table--cursor { color: $foreground; background: $panel; }
    VirtualTable:focus > .table--cursor { color: $foreground; background: $cursor; text-style: bold; }
    VirtualTable > .table--marked { color: $foreground; background: $panel; }
    VirtualTable > .table--group { color: $primary; text-style: bold; }
    VirtualTable > .table--faint { color: $faint; }
    VirtualTable > .table--good { color: $success; }
    VirtualTable > .table--bad { color: $error; }
    VirtualTable > .table--warn { color: $warning; }
    VirtualTable > .table--live { color: $primary; text-style: bold; }
    VirtualTable > .table--best { color: $accent; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"table--{name}" for name in ("header", "sorted", "cursor", "marked", "group", *_TONES)
    }
    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    class MenuRequested(Message):
        """The user clicked a row with the right button; the cursor is on it now."""

    has_heading: ClassVar[bool] = True
    has_cursor: ClassVar[bool] = True
    gutter_width: ClassVar[int] = 2
    gap: ClassVar[int] = 1

    def __init__(self, source: RowSource[Row] | None = None, *, id: str | None = None) -> None:
        """Without a ``source`` only the texts are drawn."""
        super().__init__(id=id)
        self.source = source
        self.cursor = 0
        self.above: list[Text] = []
        self.below: list[Text] = []
        self.empty_words: list[str] = []
        self._cursor_row: Row | None = None
        self._cursor_key: str | None = None
        self._glyphs: Glyphs = UNICODE
        self._placed: Sequence[Placed[Row]] = []
        self._styles: dict[str, Style] = {}

    # For subclasses

    @property
    def sorting(self) -> tuple[str, bool] | None:
        """The name of the sorted column, and whether it descends."""
        return None

    def place_columns(self, width: int) -> Sequence[Placed[Row]]:
        """Return the columns that fit this number of cells."""
        return []

    def row_signs(self, row: Row) -> Sequence[Part]:
        """Return the cells between the cursor and the columns of a row."""
        return [(" " * (self.gutter_width - 1), "")] if self.gutter_width else []

    def is_marked(self, row: Row) -> bool:
        """Whether a row is marked."""
        return False

    @property
    def is_empty(self) -> bool:
        """Whether to show ``empty_words``."""
        return not self.count

    def find_cursor(self) -> int | None:
        """Return the index of the row that the cursor was on; None if it is not there any more."""
        if self.source is None or self._cursor_key is None:
            return None
        return self.source.index_of(self._cursor_key)

    def cursor_moved(self) -> None:
        """React to the cursor, which is on another row."""

    def row_clicked(self, *, was_current: bool, double: bool) -> None:
        """React to a click on the row under the cursor; ``was_current``: the cursor was there before."""

    def column_clicked(self, column: Placed[Row], *, double: bool) -> None:
        """React to a click into a column."""

    def sort_by(self, name: str) -> None:
        """Sort by a column in its default direction."""

    def action_sort_direction(self) -> None:
        """Reverse the sort order."""

    # Rows

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.source) if self.source is not None else 0

    @property
    def row(self) -> Row | None:
        """The row under the cursor; None if there is none, or if it has not been read."""
        return self.source.at(self.cursor) if self.source is not None and self.cursor < self.count else None

    @property
    def visible_rows(self) -> int:
        """The number of rows that fit below the headings."""
        return max(1, self.size.height - self._headings)

    def rows_changed(self) -> None:
        """Draw again after the rows changed. If the row of the cursor is not there any more, go to the first."""
        if self.has_cursor:
            place = self.find_cursor()
            self.cursor = place or 0
            self.resize()
            if place is None:
                self.scroll_rows_to(0)
            self.note_cursor()
        else:
            self.resize()
        self.refresh()

    def note_cursor(self, *, moved: bool = False) -> None:
        """Call ``cursor_moved`` if the cursor ``moved``, or is on another row than before."""
        row, before = self.row, self._cursor_key
        self._cursor_row = row
        self._cursor_key = self.source.key(row) if self.source is not None and row is not None else None
        if moved or self._cursor_key != before:
            self.cursor_moved()

    # Layout

    @property
    def content_width(self) -> int:
        """The width of a line. A view that was never shown has no size yet: the width of the terminal is assumed."""
        return self.scrollable_content_region.width or self.app.size.width - 1

    @property
    def _headings(self) -> int:
        return 1 if self.has_heading and self.source is not None else 0

    @property
    def _first_line(self) -> int:
        return len(self.above) + self._headings

    def lay_out(self) -> None:
        """Fit the columns to the width."""
        self._glyphs = glyphs(self.app)
        self._placed = self.place_columns(self.content_width - self.gutter_width) if self.source is not None else []
        self.resize()
        self.refresh()

    def resize(self) -> None:
        """Set the height of the contents and update the scrollbar. Setting the reactive attribute would lay out the
        whole screen again, which is slower than drawing the lines."""
        size = Size(self.scrollable_content_region.width, self._first_line + self.count + len(self.below))
        self.set_reactive(ScrollView.virtual_size, size)
        self._scroll_update(size)

    def on_resize(self) -> None:
        """Fit the size."""
        self.lay_out()
        if self.cursor:
            self.scroll_to_cursor()

    def notify_style_update(self) -> None:
        """Use the colours of the current theme."""
        super().notify_style_update()
        self._styles = {}

    # Moving

    def move(self, rows: int) -> None:
        """Move the cursor down by this number of rows, or up if negative; at the ends, scroll the texts there."""
        index = max(0, min(self.cursor + rows, self.count - 1))
        if self.has_cursor and index != self.cursor:
            self.move_to(index)
        else:
            self.scroll_rows_to(self.scroll_offset.y + rows)

    def action_top(self) -> None:
        """Move to the first row."""
        if self.has_cursor:
            self.move_to(0)
        super().action_top()

    def action_bottom(self) -> None:
        """Move to the last row."""
        if self.has_cursor:
            self.move_to(self.count - 1)
        super().action_bottom()

    def move_to(self, index: int) -> None:
        """Move the cursor to a row, or to the nearest end of the rows, and make it visible."""
        index = max(0, min(index, self.count - 1))
        before, self.cursor = self.cursor, index
        if before != index:
            self.refresh_row(before)
            self.refresh_row(index)
        self.scroll_to_cursor()
        self.note_cursor(moved=before != index)

    def scroll_to_cursor(self) -> None:
        """Make the row under the cursor visible; before the first layout this is done by ``on_resize``."""
        if not self.count or not self.size.height:
            return
        top, line = self.scroll_offset.y, self._first_line + self.cursor
        # Once the text above has scrolled away, the heading covers the first visible line.
        if line < top + self._headings:
            self.scroll_rows_to(line - self._headings)
        elif line >= top + self.size.height:
            self.scroll_rows_to(line - self.size.height + 1)

    def scroll_rows_to(self, top: int) -> None:
        """Scroll so that this line is the first visible one, without animation, which is slow over SSH."""
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def refresh_row(self, index: int) -> None:
        """Draw a row again."""
        line = self._first_line + index
        if 0 <= line - self.scroll_offset.y < self.size.height:
            self.refresh_line(line)

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = [column.name for column in self._placed if column.sorts]
        if names:
            current = self.sorting[0] if self.sorting is not None else ""
            place = names.index(current) if current in names else -1
            self.sort_by(names[(place + 1) % len(names)])

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked row, or sort by the column of the clicked heading."""
        offset = event.get_content_offset(self)
        if offset is None or self.source is None:
            return
        index, double = self._line_at(offset.y) - self._first_line, event.chain == 2
        column = self._painter(self.content_width).column_at(self._placed, offset.x)
        if event.button == _RIGHT_BUTTON:
            if self.has_cursor and 0 <= index < self.count:
                self.move_to(index)
                if column is not None:
                    self.column_clicked(column, double=False)
                self.post_message(self.MenuRequested())
            return
        if column is not None and -self._headings <= index < self.count:
            self.column_clicked(column, double=double)
        if self.has_cursor and 0 <= index < self.count:
            was_current = index == self.cursor
            self.move_to(index)
            self.row_clicked(was_current=was_current, double=double)
        elif self._headings and index == -1 and column is not None and column.sorts:
            if self.sorting is not None and column.name == self.sorting[0]:
                self.action_sort_direction()
            else:
                self.sort_by(column.name)

    # Drawing

    def _line_at(self, y: int) -> int:
        """Return the line at a row of the view; the heading stays visible while its rows are."""
        line, heading = self.scroll_offset.y + y, len(self.above)
        if y == 0 and self._headings and heading < line <= heading + self.count:
            return heading
        return line

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        width = self.scrollable_content_region.width
        line = self._line_at(y)
        if line < len(self.above):
            return self._text_line(self.above[line], width, edge=_EDGE)
        index = line - self._first_line
        if index < 0:
            return self._painter(width).heading(self._placed, self.sorting)
        if index < self.count:
            return self._row_line(index, width)
        if self.is_empty and self.empty_words:
            return self._empty_line(y, width)
        index -= self.count
        if index < len(self.below):
            return self._text_line(self.below[index], width, edge=_EDGE)
        return Strip.blank(width, self.style(""))

    def _painter(self, width: int) -> Painter:
        return Painter(width=width, gutter=self.gutter_width, gap=self.gap, glyphs=self._glyphs, style=self.style)

    def _row_line(self, index: int, width: int) -> Strip:
        row = self.source.at(index) if self.source is not None else None
        if row is None:
            return Strip([Segment(fitted(self._glyphs.cut, width, self._glyphs), self.style("") + self.style("faint"))])
        if isinstance(row, Text):
            return self._text_line(row, width)
        if isinstance(row, str):
            return Strip([Segment(row, self.style("group"))]).adjust_cell_length(width, self.style(""))
        here = self.has_cursor and index == self.cursor
        ground = self.style("cursor" if here else "marked" if self.is_marked(row) else "")
        gutter: list[Part] = []
        if self.gutter_width:
            gutter = [(self._glyphs.cursor, "live") if here else (" ", ""), *self.row_signs(row)]
        return self._painter(width).row(row, self._placed, gutter, ground)

    def _text_line(self, text: Text, width: int, *, edge: int = 0) -> Strip:
        segments = text.render(self.app.console)
        return (
            Strip([Segment(" " * edge), *segments] if edge else segments)
            .adjust_cell_length(width)
            .apply_style(self.style(""))
        )

    def _empty_line(self, y: int, width: int) -> Strip:
        top = max(1, (self.size.height - len(self.empty_words)) // 2)
        text = self.empty_words[y - top] if top <= y < top + len(self.empty_words) else ""
        return Strip([Segment(text.center(width)[:width], self.style(""))])

    def style(self, name: str) -> Style:
        """Return the style of a part of the table, or of a tone; that of the widget if empty."""
        style = self._styles.get(name)
        if style is None:
            if name in _TONES:
                # Only the colour and weight: the background is the row's.
                whole = self.get_component_rich_style(f"table--{name}", partial=True)
                style = Style(color=whole.color, bold=whole.bold, dim=whole.dim)
            else:
                style = self.get_component_rich_style(f"table--{name}") if name else self.rich_style
            self._styles[name] = style
        return style
