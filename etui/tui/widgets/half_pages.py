"""The movement keys of the runs table for other views, and scrolling by half pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from etui.actions import BY_ID

if TYPE_CHECKING:
    from textual.widget import Widget

    _Base = Widget
else:
    # Textual takes a widget's default styles from its first base that is a widget: this one must not be a widget.
    _Base = object

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
