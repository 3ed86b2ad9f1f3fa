"""The help screen: all keys, generated from the registry, and a summary of the filter language."""

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
from etui.store.filter_keys import KEYS
from etui.tui.defect_guard import Guarded
from etui.tui.widgets.half_pages import HalfPages, move_bindings

_TITLES: dict[Scope, str] = {
    "bench": "Main screen",
    "table": "Runs table",
    "picker": "Picker (new run)",
    "chart": "Charts",
    "log": "Log",
    "details": "Details of a run",
    "rows": "Tables of the details: operators, numeric gap, artifact",
    "compare": "Compare",
    "trend": "Trend of a configuration",
    "search": "Log search",
    "filter": "Filter",
    "list": "Fields with suggestions",
    "columns": "Column dialog",
    "filters": "Saved filters",
    "dialog": "Dialogs",
    "help": "Help",
    "notices": "List of notices",
    "app": "All screens",
}
_FILTER = (
    ("resnet", "runs that contain this text in any text field"),
    ("model:mob", "models that contain this; exact: model=resnet18; also model:res*18 and model:resnet18,gpt2"),
    ("p50 < 10", "compare a number; also p50<1s, size>20MB, speedup>=2; a range: p50:2..10"),
    ("since:7d", "of the last seven days; also since:2026-11-01, until:yesterday, when:today, age:1d..7d"),
    ("-status:failed", "a minus, or not, excludes matching runs"),
    ("a b or (c d)", "terms next to each other must all match; or separates alternatives"),
    ("has:mae", "runs that have a value for this key"),
    ("session:last", "the runs of the newest session"),
    ('note:"two words"', "quote text with spaces"),
    ("RSS MB > 100", "the heading of a column can be used as its key"),
)


class _Frame(HalfPages, VerticalScroll, can_focus=True):
    """Scrolls with the keys of the runs table."""

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()


class HelpScreen(Guarded, ModalScreen[None]):
    """Shows all keys; ``keymap`` are the config file's keys by action id."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("help"),
        *[binding for binding in bindings("app") if binding.id == "app.screenshot"],
    ]

    def __init__(self, keymap: dict[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        """The frame with the list of keys."""
        frame = _Frame(id="help-frame")
        frame.border_title = "Help"
        frame.border_subtitle = "j k scroll, escape closes"
        with frame:
            yield Static(id="help-text")

    def on_mount(self) -> None:
        """Write the list."""
        self._draw()

    def on_resize(self) -> None:
        """Fit the list to the width."""
        self._draw()

    def action_close(self) -> None:
        """Close the help."""
        self.dismiss()

    def _draw(self) -> None:
        colours = self.app.theme_variables
        key, title = Style(color=colours["accent"], bold=True), Style(color=colours["primary"], bold=True)
        parts: list[RenderableType] = []
        for scope, name in _TITLES.items():
            actions = [action for action in ACTIONS if action.scope == scope]
            if actions:
                parts += [
                    Text(name, title),
                    self._grid([(self._keys(action), action.about) for action in actions], key),
                    Text(),
                ]
        parts += [Text("Filter language", title), self._grid(list(_FILTER), key)]
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
        """Return the action's keys as displayed, with those of the config file."""
        keys = self._keymap.get(action.id, ",".join(action.keys))
        return " ".join(self.app.get_key_display(Binding(key, "", "")) for key in keys.split(","))
