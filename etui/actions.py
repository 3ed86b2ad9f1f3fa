"""The registry of actions, from which bindings, footer, help and command palette are generated.

An action belongs to a scope: the screen or pane that has the method ``action_NAME``. The config file can remap its keys
by the action's id, ``SCOPE.NAME``.
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
    "filters",
    "dialog",
    "help",
    "notices",
]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What a key does. ``keys`` are Textual key names, ``label`` is the text in the footer (empty: not shown there),
    ``about`` the text in the help and the palette."""

    scope: Scope
    name: str
    keys: tuple[str, ...]
    about: str
    label: str = ""
    priority: bool = False

    @property
    def id(self) -> str:
        """The name of the action in the config file."""
        return f"{self.scope}.{self.name}"


def _action(scope: Scope, name: str, keys: str, about: str, label: str = "", *, priority: bool = False) -> Action:
    return Action(scope=scope, name=name, keys=tuple(keys.split()), about=about, label=label, priority=priority)


ACTIONS: tuple[Action, ...] = (
    _action("bench", "run", "r", "Run the configurations chosen in the picker", "run"),
    _action("bench", "cancel", "x", "Cancel the run under the cursor, or else the session that is running", "cancel"),
    _action("bench", "new", "n", "Go to the picker (in a small terminal it opens over the table)", "new"),
    _action("bench", "filter", "slash", "Filter the runs: model:resnet18 p50<10 -status:failed", "filter"),
    _action("bench", "filters", "F", "Pick a saved filter, or save the current filter under a name"),
    _action("bench", "back", "escape", "Back to the table; in the table, clear the filter", "back"),
    _action("table", "details", "enter", "Open the details of the run under the cursor", "details"),
    _action("table", "mark", "space", "Mark or unmark the run under the cursor", "mark"),
    _action("table", "mark_all", "asterisk", "Mark all runs that match the filter"),
    _action("table", "unmark_all", "minus", "Unmark all runs"),
    _action("table", "sort", "s", "Sort by the next column", "sort"),
    _action("table", "sort_direction", "S", "Reverse the sort order"),
    _action("table", "sort_by", "O", "Pick the column to sort by, also one that is not shown"),
    _action("table", "columns", "v", "Choose the columns"),
    _action("table", "jump", "colon", "Jump to a run by its id"),
    _action("table", "baseline", "p", "Pin or unpin the run under the cursor as the baseline"),
    _action("table", "down", "j down", "Move down"),
    _action("table", "up", "k up", "Move up"),
    _action("table", "top", "g home", "Go to the first run"),
    _action("table", "bottom", "G end", "Go to the last run"),
    _action("table", "page_down", "ctrl+d pagedown", "Move half a page down"),
    _action("table", "page_up", "ctrl+u pageup", "Move half a page up"),
    _action("picker", "choose", "space enter", "New run: select or deselect the highlighted item", "choose"),
    _action("picker", "down", "j down", "New run: move down in a list"),
    _action("picker", "up", "k up", "New run: move up in a list"),
    _action("picker", "right", "right", "New run: go to the next item of a list"),
    _action("picker", "left", "left", "New run: go to the previous item of a list"),
    _action("bench", "compare", "c", "Compare marked runs with the baseline or the run under the cursor", "compare"),
    _action("bench", "trend", "t", "Show the trend of this run's configuration", "trend"),
    _action("bench", "export", "e", "Export the marked runs, or the run under the cursor, as JSON", "export"),
    _action("bench", "import", "i", "Import runs from JSON files", "import"),
    _action("bench", "delete", "d", "Delete the marked runs, or the run under the cursor, after confirmation"),
    _action("bench", "copy", "y", "Copy the marked runs, or the run under the cursor, as Markdown"),
    _action("bench", "log", "l", "Show or hide the log", "log"),
    _action("chart", "view_1", "1", "Chart: latency histogram of ExecuTorch and eager"),
    _action("chart", "view_2", "2", "Chart: empirical distribution (ECDF)"),
    _action("chart", "view_3", "3", "Chart: latency of each block"),
    _action("chart", "view_4", "4", "Chart: median latency of past runs of this configuration"),
    _action("chart", "view_5", "5", "Chart: MAE of past runs of this configuration"),
    _action("chart", "log_scale", "L", "Chart: switch the logarithmic scale on or off"),
    _action("log", "pause", "f", "Log: follow new lines, or pause"),
    _action("log", "level", "o", "Log: change the minimum level shown (debug, info, warning, error)"),
    _action("log", "search", "ctrl+f", "Log: search"),
    _action("search", "next_match", "n", "Log search: go to the next match"),
    _action("search", "previous_match", "N", "Log search: go to the previous match"),
    _action("search", "end_search", "escape", "Log search: end the search"),
    _action("details", "next_tab", "tab l right", "Details: go to the next tab", "next tab"),
    _action("details", "previous_tab", "shift+tab h left", "Details: go to the previous tab"),
    _action("details", "annotate", "a", "Details: edit the note and the tags", "note"),
    _action("details", "copy", "y", "Details: copy the run as Markdown", "copy"),
    _action("details", "export", "e", "Details: export the run as JSON", "export"),
    _action("details", "profile", "P", "Details: start the analysis of the open tab, or else a profile", "profile"),
    _action("details", "keep_fp32", "K", "Details: run again with modules kept in FP32; asks which"),
    _action("details", "keep_files", "T", "Details: profile again and keep the trace, ETDump and CSV for other tools"),
    _action("details", "cancel", "x", "Details: cancel the analysis that is queued or running"),
    _action("details", "close", "escape q", "Details: go back", "back"),
    _action("rows", "fold", "enter", "Tables of the details: expand or collapse the row under the cursor", "open"),
    _action("rows", "open", "right", "Tables of the details: expand the row, or go to its first child"),
    _action("rows", "shut", "left", "Tables of the details: collapse the row, or go to its parent"),
    _action("rows", "turn_all", "asterisk", "Tables of the details: expand or collapse every row"),
    _action("rows", "filter", "slash", "Tables of the details: filter the rows by text", "filter"),
    _action("rows", "sort", "s", "Tables of the details: sort by the next column", "sort"),
    _action("rows", "sort_direction", "S", "Tables of the details: reverse the sort order"),
    _action("rows", "view", "m", "Operators: group by module, by operator, or not at all; Gap: next metric", "view"),
    _action("rows", "side", "w", "Operators: switch between the program's and eager's", "side"),
    _action("compare", "left", "h left", "Compare: go to the previous run", "previous"),
    _action("compare", "right", "l right", "Compare: go to the next run", "next"),
    _action("compare", "zoom", "z", "Compare: enlarge the chart to the full height, or shrink it", "zoom"),
    _action("compare", "base", "p", "Compare: make the run under the cursor the baseline", "base"),
    _action("compare", "differing", "o", "Compare: show all metrics, or only those that differ", "all"),
    _action("compare", "drop", "x", "Compare: exclude this run, or stop its measurement", "drop"),
    _action("compare", "take_back", "u", "Compare: include the excluded runs again"),
    _action(
        "compare", "duel", "D", "Compare: measure the baseline and this run again, interleaved; asks first", "duel"
    ),
    _action("compare", "margin", "m", "Compare: set the margin within which two runs are equivalent", "margin"),
    _action("compare", "force", "f", "Compare: compare incompatible runs too; the reasons stay listed", "force"),
    _action("compare", "details", "enter", "Compare: open the details of the run under the cursor", "details"),
    _action("compare", "trend", "t", "Compare: show the trend of the run under the cursor"),
    _action("compare", "copy", "y", "Compare: copy the verdicts and metrics as Markdown", "copy"),
    _action("compare", "report", "e", "Compare: write an HTML or Markdown report", "report"),
    _action("compare", "view_1", "1", "Compare: histograms of up to six runs"),
    _action("compare", "view_2", "2", "Compare: empirical distributions (ECDF)"),
    _action("compare", "view_3", "3", "Compare: latency of each block, which shows drift"),
    _action("compare", "view_4", "4", "Compare: latency against accuracy, with the Pareto front"),
    _action("compare", "view_5", "5", "Compare: latency against size, with the Pareto front"),
    _action("compare", "log_scale", "L", "Compare: switch the logarithmic axis on or off"),
    _action("compare", "close", "escape q", "Compare: go back", "back"),
    _action("trend", "details", "enter", "Trend: open the details of the run under the cursor", "details"),
    _action("trend", "older", "h left", "Trend: go to the previous run in time"),
    _action("trend", "newer", "l right", "Trend: go to the next run in time"),
    _action("trend", "spacing", "s", "Trend: space runs by time, or evenly", "spacing"),
    _action("trend", "view_1", "1", "Trend: show median latency over time"),
    _action("trend", "view_2", "2", "Trend: show MAE over time"),
    _action("trend", "view_3", "3", "Trend: show both"),
    _action("trend", "log_scale", "L", "Trend: switch the logarithmic axis on or off"),
    _action("trend", "copy", "y", "Trend: copy the summary and the runs as Markdown", "copy"),
    _action("trend", "close", "escape q", "Trend: go back", "back"),
    _action("filter", "complete", "tab", "Filter: accept the first completion", "complete", priority=True),
    _action("filter", "leave", "escape", "Filter: discard the change", "leave"),
    _action("list", "next", "down", "Field with suggestions: open the list, or go to the next suggestion"),
    _action("list", "previous", "up", "Field with suggestions: go to the previous suggestion"),
    _action("list", "take", "right", "Field with suggestions: complete the text, with the cursor at its end"),
    _action("list", "choose", "enter", "Field with suggestions: accept the highlighted one, or confirm the field"),
    _action("list", "revert", "escape", "Field with suggestions: close the list and undo the edit"),
    _action("columns", "lower", "J shift+down", "Columns: move the column down"),
    _action("columns", "raise_up", "K shift+up", "Columns: move the column up"),
    _action("filters", "remove", "delete", "Saved filters: remove the highlighted filter"),
    _action("dialog", "close", "escape", "Close the dialog without doing anything", "cancel"),
    _action("help", "close", "escape q question_mark f1", "Close this help", "back"),
    _action("app", "help", "question_mark f1", "Show this help", "help"),
    _action("notices", "close", "escape q f2", "Close the list of notices", "back"),
    _action("app", "notices", "f2", "Show the notices so far"),
    _action("app", "command_palette", "ctrl+p", "Find an action or a model by name", "palette", priority=True),
    _action("app", "screenshot", "ctrl+s", "Save the screen as SVG"),
    _action("app", "quit", "q", "Quit; runs in progress continue", "quit"),
    _action("app", "quit_now", "ctrl+q", "Quit, even from an input field", priority=True),
)

BY_ID = {action.id: action for action in ACTIONS}


def bindings(*scopes: Scope, via: str = "") -> list[Binding]:
    """Return the Textual bindings of some scopes, for the ``BINDINGS`` of a screen or widget.

    ``App.set_keymap`` remaps them by the actions' ids. ``via`` names an action of the screen that takes the id and
    forwards it to the widget that implements the scope.
    """
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
