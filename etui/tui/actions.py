"""The one registry of actions: bindings, footer, help and command palette are all made from it.

An action belongs to a scope: the screen (or pane) whose object has the method ``action_NAME``. Each key can be
remapped in the config file by the action's id, ``SCOPE.NAME``.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from textual.binding import Binding

Scope = Literal["app", "bench", "table", "picker", "log", "chart", "details", "dialog"]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a key does. ``keys`` are Textual key names; ``label`` is its word in the footer (empty: not there),
    ``about`` its sentence in the help and the palette."""

    scope: Scope
    name: str
    keys: tuple[str, ...]
    about: str
    label: str = ""
    priority: bool = False

    @property
    def id(self) -> str:
        """What the config file calls it."""
        return f"{self.scope}.{self.name}"


def _action(scope: Scope, name: str, keys: str, about: str, label: str = "", *, priority: bool = False) -> Action:
    return Action(scope=scope, name=name, keys=tuple(keys.split()), about=about, label=label, priority=priority)


ACTIONS: tuple[Action, ...] = (
    _action("bench", "run", "r", "Start what the picker says", "run"),
    _action("bench", "cancel", "x", "Cancel the run under the cursor, or the one being measured", "cancel"),
    _action("bench", "new", "n", "Go to the picker (in a small terminal it opens over the table)", "new"),
    _action("bench", "filter", "slash", "Filter the runs: model:resnet18 p50<10 -status:failed", "filter"),
    _action("bench", "back", "escape", "Back to the table; there, show every run again", "back"),
    _action("table", "details", "enter", "Open the details of the run under the cursor", "details"),
    _action("table", "mark", "space", "Mark the run under the cursor, or unmark it", "mark"),
    _action("table", "mark_all", "asterisk", "Mark every run that the filter shows"),
    _action("table", "unmark_all", "minus", "Unmark every run"),
    _action("table", "sort", "s", "Sort by the next column", "sort"),
    _action("table", "sort_direction", "S", "Turn the sorting round"),
    _action("table", "columns", "v", "Choose the columns"),
    _action("table", "jump", "colon", "Jump to a run by its id"),
    _action("table", "baseline", "p", "Pin the run under the cursor as the baseline, or unpin it"),
    _action("table", "down", "j down", "Move down"),
    _action("table", "up", "k up", "Move up"),
    _action("table", "top", "g home", "Go to the first run"),
    _action("table", "bottom", "G end", "Go to the last run"),
    _action("table", "page_down", "ctrl+d pagedown", "Move half a page down"),
    _action("table", "page_up", "ctrl+u pageup", "Move half a page up"),
    _action("picker", "choose", "space enter", "New run: choose what the cursor is on, or drop it", "choose"),
    _action("picker", "down", "j down", "New run: move down in a list"),
    _action("picker", "up", "k up", "New run: move up in a list"),
    _action("picker", "right", "right", "New run: the next item of a list"),
    _action("picker", "left", "left", "New run: the item before in a list"),
    _action("bench", "export", "e", "Write the marked runs, or the one under the cursor, as JSON", "export"),
    _action("bench", "import", "i", "Take runs in from JSON files", "import"),
    _action("bench", "delete", "d", "Delete the marked runs, or the one under the cursor; asks first"),
    _action("bench", "copy", "y", "Copy the table or the run as Markdown"),
    _action("bench", "log", "l", "Show or hide the log", "log"),
    _action("chart", "view_1", "1", "Chart: histogram of the latencies, ExecuTorch over eager"),
    _action("chart", "view_2", "2", "Chart: empirical distribution (ECDF)"),
    _action("chart", "view_3", "3", "Chart: block by block"),
    _action("chart", "view_4", "4", "Chart: median latency over past runs of the same choice"),
    _action("chart", "view_5", "5", "Chart: MAE over past runs of the same choice"),
    _action("chart", "log_scale", "L", "Chart: logarithmic scale on or off"),
    _action("log", "pause", "f", "Log: follow, or hold still"),
    _action("log", "level", "o", "Log: the least level shown (debug, info, warning, error)"),
    _action("log", "search", "ctrl+f", "Log: search; then n and N go to the next match and the one before"),
    _action("details", "next_tab", "tab l right", "Details: the next tab", "next tab"),
    _action("details", "previous_tab", "shift+tab h left", "Details: the previous tab"),
    _action("details", "annotate", "a", "Details: edit the note and the tags", "note"),
    _action("details", "copy", "y", "Details: copy the run as Markdown", "copy"),
    _action("details", "export", "e", "Details: write the run as JSON", "export"),
    _action("details", "close", "escape q", "Details: go back", "back"),
    _action("dialog", "close", "escape", "Close the dialog; nothing is done", "cancel"),
    _action("app", "help", "question_mark f1", "Show this help", "help"),
    _action("app", "command_palette", "ctrl+p", "Find an action or a model by name", "palette", priority=True),
    _action("app", "screenshot", "ctrl+s", "Save the screen as SVG"),
    _action("app", "quit", "q", "Quit; a run in progress goes on", "quit"),
    _action("app", "quit_now", "ctrl+q", "Quit, from inside an input too", priority=True),
)

BY_ID = {action.id: action for action in ACTIONS}


def bindings(*scopes: Scope, via: str = "") -> list[Binding]:
    """The Textual bindings of some scopes, for a screen's or widget's ``BINDINGS``. A remapping by ``App.set_keymap``
    finds them by the actions' ids. ``via`` names an action of the holder that takes the id and passes it on to whoever
    has the scope."""
    return [
        Binding(
            ",".join(action.keys),
            f"{via}('{action.id}')" if via else action.name,
            action.label or action.about,
            id=action.id,
            show=bool(action.label),
            priority=action.priority,
        )
        for action in ACTIONS
        if action.scope in scopes
    ]
