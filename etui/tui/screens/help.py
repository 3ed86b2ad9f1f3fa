"""The help: every key and what it does, made from the registry, and the filter language in a few lines."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from etui.actions import ACTIONS, Action, Scope, bindings
from etui.store.filter_language import KEYS
from etui.tui.defect_guard import Guarded
from etui.tui.widgets.line_view import HalfPages, move_bindings

_TITLES: dict[Scope, str] = {
    "bench": "Everywhere on the bench",
    "table": "The runs",
    "picker": "The picker",
    "chart": "The charts",
    "log": "The log",
    "details": "The details of a run",
    "rows": "Operators, numbers, and the sections of the program",
    "compare": "Comparing runs",
    "trend": "The trend of a choice",
    "search": "A search in the log",
    "filter": "The filter",
    "list": "Fields that suggest",
    "columns": "Choosing columns",
    "dialog": "Dialogs",
    "help": "The help",
    "app": "The app",
}
_FILTER = (
    ("resnet", "runs with this word in any of their texts"),
    ("model:resnet18", "just this model; model:resnet* and model:resnet18,gpt2 work too"),
    ("p50<10", "a figure compared; p50<1s, size>20MB, speedup>=2, age<7d, when:today"),
    ("-status:failed", "a minus turns a word round"),
    ("has:mae", "runs that have a value there"),
    ('note:"two words"', "quotation marks hold words together; model~net looks inside"),
)


class _Frame(HalfPages, VerticalScroll, can_focus=True):
    """Scrolls by the keys that move in the runs table."""

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()


class HelpScreen(Guarded, ModalScreen[None]):
    """Closes with escape, q, ? or F1."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("help"),
        *[one for one in bindings("app") if one.id == "app.screenshot"],
    ]

    def __init__(self, keymap: dict[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        frame = _Frame(id="help-frame")
        frame.border_title = "Help"
        frame.border_subtitle = "j k scroll, escape closes"
        with frame:
            yield Static(id="help-text")

    def on_mount(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def action_close(self) -> None:
        self.dismiss()

    def _draw(self) -> None:
        colours = self.app.theme_variables
        key, title = Style(color=colours["accent"], bold=True), Style(color=colours["primary"], bold=True)
        parts: list[RenderableType] = []
        for scope, name in _TITLES.items():
            actions = [action for action in ACTIONS if action.scope == scope]
            if actions:
                parts += [Text(name, title), self._grid([(self._keys(one), one.about) for one in actions], key), Text()]
        parts += [Text("What a filter says", title), self._grid(list(_FILTER), key)]
        parts.append(Text("  keys: " + ", ".join(KEYS)))
        self.query_one("#help-text", Static).update(Group(*parts))

    def _grid(self, rows: list[tuple[str, str]], key: Style) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=18, no_wrap=True, style=key)
        grid.add_column(ratio=1)
        for left, right in rows:
            grid.add_row(Text("  " + left), Text(right))
        return grid

    def _keys(self, action: Action) -> str:
        """The keys as they are pressed, with those of the config file."""
        keys = self._keymap.get(action.id, ",".join(action.keys))
        return " ".join(self.app.get_key_display(Binding(one, "", "")) for one in keys.split(","))
