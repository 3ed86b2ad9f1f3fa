"""The help screen: all keys, generated from the registry, those of the present screen first, and the filter language.

The search field leaves the lines with all its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from etui.actions import ACTIONS, SCOPE_TITLES, Action, Scope, bindings
from etui.store.filter_keys import KEYS
from etui.tui.defect_guard import Guarded
from etui.tui.widgets.half_pages import HalfPages, move_bindings

_FILTER = (
    ("resnet", "runs that contain this text in any text field"),
    ("model:mob", "models that contain this; exact: model=resnet18; also model:res*18 and model:resnet18,gpt2"),
    ("p50 < 10", "compare a number; also p50<1s, size>20MB, speedup>=2; a range: p50:2..10"),
    ("input_size:224", "runs at this size of images; also batch:4, sequence:128, threads:2, method:encode"),
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

    def __init__(self, keymap: dict[str, str], present: Sequence[Scope] = ()) -> None:
        """``present`` are the scopes of the screen from which the help is opened."""
        super().__init__()
        self._keymap = keymap
        self._scopes: list[Scope] = list(dict.fromkeys((*present, *SCOPE_TITLES)))

    def compose(self) -> ComposeResult:
        """The frame with the search field and the list of keys."""
        frame = Vertical(id="help-frame")
        frame.border_title = "Help"
        frame.border_subtitle = "j k scroll, / search, escape closes"
        with frame:
            yield Input(placeholder="/ search: words such as export, sort, zoom", compact=True, id="help-search")
            with _Frame(id="help-scroll"):
                yield Static(id="help-text")

    def on_mount(self) -> None:
        """Write the list."""
        self.query_one(_Frame).focus()
        self._draw()

    @on(Input.Changed)
    def _searched(self) -> None:
        self.query_one(_Frame).scroll_home(animate=False)
        self._draw()

    @on(Input.Submitted)
    def _search_done(self) -> None:
        self.query_one(_Frame).focus()

    def action_search(self) -> None:
        """Go to the search field."""
        self.query_one(Input).focus()

    def on_resize(self) -> None:
        """Fit the list to the width."""
        self._draw()

    def action_close(self) -> None:
        """End the search, or close the help."""
        field = self.query_one(Input)
        if field.has_focus or field.value:
            field.value = ""
            self.query_one(_Frame).focus()
        else:
            self.dismiss()

    def _draw(self) -> None:
        colours = self.app.theme_variables
        key, title = Style(color=colours["accent"], bold=True), Style(color=colours["primary"], bold=True)
        parts: list[RenderableType] = []
        words = self.query_one(Input).value.lower().split()
        for scope in self._scopes:
            name = SCOPE_TITLES[scope]
            rows = [
                (self._keys(action), action.about)
                for action in ACTIONS
                if action.scope == scope
                and _has(words, self._keys(action), action.about, action.title, action.synonyms, name)
            ]
            if rows:
                parts += [Text(name, title), self._grid(rows, key), Text()]
        filters = [row for row in _FILTER if _has(words, *row, "Filter language")]
        if filters:
            parts += [Text("Filter language", title), self._grid(filters, key)]
            parts.append(Text("  keys: " + ", ".join(KEYS)))
        if not parts:
            parts.append(Text("  Nothing in the help has these words. Press escape to see everything."))
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


def _has(words: Sequence[str], *texts: str) -> bool:
    """Whether each word is in one of the texts."""
    text = " ".join(texts).lower()
    return all(word in text for word in words)
