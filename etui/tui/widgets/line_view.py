"""A scrolling view that renders each row of text only when it is visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from etui.actions import BY_ID
from etui.tui.defect_guard import Guarded

if TYPE_CHECKING:
    from textual.widget import Widget

_SCROLLS = {
    "down": "scroll_down",
    "up": "scroll_up",
    "top": "scroll_home",
    "bottom": "scroll_end",
    "page_down": "half_page_down",
    "page_up": "half_page_up",
}


def move_bindings(actions: Mapping[str, str] = _SCROLLS) -> list[BindingType]:
    """Return the bindings of the runs table's movement keys for another view; remapping those remaps these."""
    return [
        Binding(",".join(BY_ID[f"table.{name}"].keys), action, show=False, id=f"table.{name}")
        for name, action in actions.items()
    ]


if TYPE_CHECKING:
    _Base = Widget
else:
    # Textual takes a widget's default styles from its first base that is a widget: this one must not be a widget.
    _Base = object


class HalfPages(_Base):
    """Scrolls by rows and half pages without animation, which is slow over SSH."""

    def action_scroll_down(self) -> None:
        """Move down a row."""
        self.scroll_to(y=self.scroll_offset.y + 1, animate=False)

    def action_scroll_up(self) -> None:
        """Move up a row."""
        self.scroll_to(y=self.scroll_offset.y - 1, animate=False)

    def action_scroll_home(self) -> None:
        """Move to the first row."""
        self.scroll_to(y=0, animate=False)

    def action_scroll_end(self) -> None:
        """Move to the last row."""
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def action_half_page_down(self) -> None:
        """Move down half a page."""
        self.scroll_to(y=self.scroll_offset.y + self._half_page(), animate=False)

    def action_half_page_up(self) -> None:
        """Move up half a page."""
        self.scroll_to(y=self.scroll_offset.y - self._half_page(), animate=False)

    def _half_page(self) -> int:
        return max(1, self.scrollable_content_region.height // 2)


def set_length(view: ScrollView, size: Size) -> None:
    """Set the virtual size of a view and update its scrollbar. Setting the reactive attribute would lay out the whole
    screen again, which is slower than drawing the lines."""
    view.set_reactive(ScrollView.virtual_size, size)
    view._scroll_update(size)


class LineView(Guarded, HalfPages, ScrollView, can_focus=True):
    """Rows of text, rendered one by one. A subclass implements ``row_count`` and ``row``."""

    DEFAULT_CSS = """
    LineView { height: 1fr; overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    def row_count(self) -> int:
        """Return the number of rows."""
        raise NotImplementedError

    def row(self, index: int) -> Text:
        """Return the text of one row."""
        raise NotImplementedError

    def rows_changed(self) -> None:
        """Draw again after the rows changed."""
        set_length(self, Size(self.scrollable_content_region.width, self.row_count()))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        index = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        style = self.rich_style
        if not 0 <= index < self.row_count():
            return Strip.blank(width, style)
        segments = self.row(index).render(self.app.console)
        return Strip(segments).adjust_cell_length(width).apply_style(style)
