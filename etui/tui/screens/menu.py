"""The menu of what can be done with the row under the cursor; the keys of the actions work in it too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from etui.actions import bindings
from etui.text import plain
from etui.tui.defect_guard import Guarded
from etui.tui.widgets.half_pages import move_bindings

_KEY_CELLS = 8


class MenuItem(NamedTuple):
    """A line of the menu: the id of an action, its title, its keys as Textual names them, and as they are displayed."""

    action_id: str
    title: str
    keys: tuple[str, ...]
    shown_keys: str


class _Items(OptionList):
    """Moves with the keys of the runs table."""

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    def action_down(self) -> None:
        self.action_cursor_down()

    def action_up(self) -> None:
        self.action_cursor_up()

    def action_top(self) -> None:
        self.action_first()

    def action_bottom(self) -> None:
        self.action_last()


class MenuDialog(Guarded, ModalScreen[str | None]):
    """Returns the id of the chosen action; None if the menu is closed."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    DEFAULT_CSS = """
    MenuDialog { align: center middle; background: $background 60%; }
    MenuDialog OptionList, MenuDialog OptionList:focus {
        width: 60; max-width: 100%; height: auto; max-height: 100%; border: round $border; padding: 0 1;
        background: $surface; border-title-color: $text-accent; border-title-style: bold;
        border-subtitle-color: $text-muted; scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, title: str, items: Sequence[MenuItem]) -> None:
        super().__init__()
        self._title = title
        self._items = tuple(items)

    def compose(self) -> ComposeResult:
        """The actions with their keys."""
        options = [
            Option(Text(f"{item.shown_keys:<{_KEY_CELLS}}{item.title}", no_wrap=True, overflow="ellipsis"))
            for item in self._items
        ]
        menu = _Items(*options, classes="dialog--frame")
        menu.border_title = Content(plain(self._title))
        menu.border_subtitle = "enter or the key, escape closes"
        yield menu

    def on_key(self, event: events.Key) -> None:
        """Choose the action with this key, unless the menu uses the key itself."""
        chosen = next((item for item in self._items if event.key in item.keys), None)
        if chosen is not None and event.key not in ("enter", "escape"):
            event.stop()
            event.prevent_default()
            self.dismiss(chosen.action_id)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._items[event.option_index].action_id)

    def action_close(self) -> None:
        """Close without a result."""
        self.dismiss(None)
