"""The movement keys of the runs table for other views: by rows, by half pages, and to the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from etui.actions import BY_ID

if TYPE_CHECKING:
    from textual.widget import Widget

    _Base = Widget
else:
    # Textual takes a widget's default styles from its first base that is a widget: this one must not be a widget.
    _Base = object


def move_bindings() -> list[BindingType]:
    """Return the bindings of the runs table's movement keys for another view; remapping those remaps these."""
    return [
        Binding(",".join(BY_ID[f"table.{name}"].keys), name, show=False, id=f"table.{name}")
        for name in ("down", "up", "top", "bottom", "page_down", "page_up")
    ]


class HalfPages(_Base):
    """Scrolls by rows and half pages without animation, which is slow over SSH."""

    @property
    def visible_rows(self) -> int:
        """The number of rows that fit."""
        return max(1, self.scrollable_content_region.height)

    def move(self, rows: int) -> None:
        """Move down by this number of rows, or up if negative."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    def action_down(self) -> None:
        """Move one line down."""
        self.move(1)

    def action_up(self) -> None:
        """Move one line up."""
        self.move(-1)

    def action_page_down(self) -> None:
        """Move half a page down."""
        self.move(max(1, self.visible_rows // 2))

    def action_page_up(self) -> None:
        """Move half a page up."""
        self.move(-max(1, self.visible_rows // 2))

    def action_top(self) -> None:
        """Scroll to the beginning."""
        self.scroll_to(y=0, animate=False)

    def action_bottom(self) -> None:
        """Scroll to the end."""
        self.scroll_to(y=self.max_scroll_y, animate=False)
