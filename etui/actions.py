"""The one registry of actions: bindings, footer, help and command palette are all made from it.

An action belongs to a scope: the screen (or pane) whose object has the method ``action_NAME``. Each key can be
remapped in the config file by the action's id, ``SCOPE.NAME``.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from textual.binding import Binding

Scope = Literal[
    "app",
    "bench",
    "table",
    "picker",
    "log",
    "chart",
    "details",
    "rows",
    "compare",
    "trend",
    "search",
    "filter",
    "list",
    "columns",
    "dialog",
    "help",
]


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
    _action("bench", "compare", "c", "Compare the marked runs, with the baseline or the one here", "compare"),
    _action("bench", "trend", "t", "Show how the choice of the run under the cursor went over time", "trend"),
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
    _action("log", "search", "ctrl+f", "Log: search"),
    _action("search", "next_match", "n", "Search in the log: the next match"),
    _action("search", "previous_match", "N", "Search in the log: the match before"),
    _action("search", "end_search", "escape", "Search in the log: end it"),
    _action("details", "next_tab", "tab l right", "Details: the next tab", "next tab"),
    _action("details", "previous_tab", "shift+tab h left", "Details: the previous tab"),
    _action("details", "annotate", "a", "Details: edit the note and the tags", "note"),
    _action("details", "copy", "y", "Details: copy the run as Markdown", "copy"),
    _action("details", "export", "e", "Details: write the run as JSON", "export"),
    _action("details", "profile", "P", "Details: profile this run; on Numbers, compare it layer by layer", "profile"),
    _action("details", "keep_fp32", "K", "Details: run it again with a module kept in FP32; asks first"),
    _action("details", "keep_files", "T", "Details: profile it again and keep trace, ETDump and CSV for other tools"),
    _action("details", "cancel", "x", "Details: cancel the profile or comparison that waits or is under way"),
    _action("details", "close", "escape q", "Details: go back", "back"),
    _action("rows", "fold", "enter", "Rows of the details: open the branch under the cursor, or close it", "open"),
    _action("rows", "open", "right", "Rows of the details: open the branch, or go into it"),
    _action("rows", "shut", "left", "Rows of the details: close the branch, or go out of it"),
    _action("rows", "turn_all", "asterisk", "Rows of the details: open every branch, or close them"),
    _action("rows", "filter", "slash", "Rows of the details: show only those with these words", "filter"),
    _action("rows", "sort", "s", "Rows of the details: sort by the next column", "sort"),
    _action("rows", "sort_direction", "S", "Rows of the details: turn the sorting round"),
    _action("rows", "view", "m", "Operators: by module, by operator, one by one; Numbers: another figure", "view"),
    _action("rows", "side", "w", "Operators: whose they are, the program's or eager's", "side"),
    _action("compare", "right", "l right", "Compare: the next run"),
    _action("compare", "left", "h left", "Compare: the run before"),
    _action("compare", "base", "p", "Compare: make the run under the cursor the base", "base"),
    _action("compare", "differing", "o", "Compare: every figure, or only those that differ", "all"),
    _action("compare", "drop", "x", "Compare: leave the run under the cursor out", "drop"),
    _action("compare", "take_back", "u", "Compare: take the runs in again that were left out"),
    _action("compare", "margin", "m", "Compare: the margin within which two are equally fast", "margin"),
    _action("compare", "force", "f", "Compare: what is not comparable too; the reasons stay beside it", "force"),
    _action("compare", "duel", "D", "Compare: measure the base and this run again, interleaved, now", "duel"),
    _action("compare", "details", "enter", "Compare: open the details of the run under the cursor", "details"),
    _action("compare", "trend", "t", "Compare: the trend of the run under the cursor"),
    _action("compare", "copy", "y", "Compare: copy words and figures as Markdown", "copy"),
    _action("compare", "report", "e", "Compare: write a report as HTML or Markdown", "report"),
    _action("compare", "view_1", "1", "Compare: histograms of up to six runs"),
    _action("compare", "view_2", "2", "Compare: empirical distributions (ECDF)"),
    _action("compare", "view_3", "3", "Compare: block by block, to see what drifted"),
    _action("compare", "view_4", "4", "Compare: latency against accuracy, and which run to ship"),
    _action("compare", "view_5", "5", "Compare: latency against size, and which run to ship"),
    _action("compare", "log_scale", "L", "Compare: logarithmic axis on or off"),
    _action("compare", "zoom", "z", "Compare: the picture in full height, or not"),
    _action("compare", "close", "escape q", "Compare: go back", "back"),
    _action("trend", "details", "enter", "Trend: open the details of the run under the cursor", "details"),
    _action("trend", "older", "h left", "Trend: the run before in time"),
    _action("trend", "newer", "l right", "Trend: the run after in time"),
    _action("trend", "spacing", "s", "Trend: runs at their true times, or at even steps", "spacing"),
    _action("trend", "view_1", "1", "Trend: median latency over time"),
    _action("trend", "view_2", "2", "Trend: MAE over time"),
    _action("trend", "view_3", "3", "Trend: both"),
    _action("trend", "log_scale", "L", "Trend: logarithmic axis on or off"),
    _action("trend", "copy", "y", "Trend: copy words and runs as Markdown", "copy"),
    _action("trend", "close", "escape q", "Trend: go back", "back"),
    _action("filter", "complete", "tab", "Filter: take the first completion", "complete", priority=True),
    _action("filter", "leave", "escape", "Filter: leave it as it was before", "leave"),
    _action("list", "next", "down", "A field that suggests: open its list; in it, the next"),
    _action("list", "previous", "up", "A field that suggests: the one before in its list"),
    _action("list", "take", "right", "A field that suggests: complete, where the text ends"),
    _action("list", "choose", "enter", "A field that suggests: take what is highlighted, else the field is done"),
    _action("list", "revert", "escape", "A field that suggests: close its list; what was only begun is undone"),
    _action("columns", "lower", "J shift+down", "Columns: move the column down"),
    _action("columns", "raise_up", "K shift+up", "Columns: move the column up"),
    _action("dialog", "close", "escape", "Close the dialog; nothing is done", "cancel"),
    _action("help", "close", "escape q question_mark f1", "Close this help", "back"),
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
