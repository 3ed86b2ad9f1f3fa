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
    "dialog",
    "help",
    "notices",
    "queue",
]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What a key does. ``keys`` are Textual key names, ``label`` is the text in the footer (empty: not shown there),
    ``about`` the sentence in the help. ``title`` is the short name in the palette, which also finds an action by its
    ``synonyms``."""

    scope: Scope
    name: str
    keys: tuple[str, ...]
    about: str
    title: str
    synonyms: str = ""
    label: str = ""
    priority: bool = False

    @property
    def id(self) -> str:
        """The name of the action in the config file."""
        return f"{self.scope}.{self.name}"


SCOPE_TITLES: dict[Scope, str] = {
    "bench": "Main screen",
    "table": "Runs table",
    "picker": "Picker (new run)",
    "queue": "Queue",
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
    "dialog": "Dialogs",
    "help": "Help",
    "notices": "List of notices",
    "app": "All screens",
}
"""The names of the scopes, in the order in which the help lists them."""

_TITLES: dict[str, tuple[str, str]] = {
    "bench.run": ("Run a measurement", "start benchmark measure go"),
    "bench.cancel": ("Cancel a run", "stop abort kill"),
    "bench.new": ("Choose what to measure", "new run picker configure"),
    "bench.filter": ("Filter runs", "search find query"),
    "bench.back": ("Back to the table, or clear the filter", "escape reset"),
    "table.details": ("Open details of a run", "show inspect view"),
    "table.mark": ("Mark a run", "select tick"),
    "table.mark_all": ("Mark all runs", "select all"),
    "table.unmark_all": ("Unmark all runs", "deselect none clear"),
    "table.sort": ("Sort by next column", "order"),
    "table.sort_direction": ("Reverse sort order", "descending ascending"),
    "table.columns": ("Choose columns", "show hide fields"),
    "table.jump": ("Go to a run by id", "jump find"),
    "table.baseline": ("Pin as baseline", "reference unpin"),
    "table.menu": ("Menu of a run", "context actions right click"),
    "table.down": ("Move down", "next"),
    "table.up": ("Move up", "previous"),
    "table.top": ("Go to first run", "top newest"),
    "table.bottom": ("Go to last run", "end oldest"),
    "table.page_down": ("Half a page down", "scroll"),
    "table.page_up": ("Half a page up", "scroll"),
    "bench.compare": ("Compare runs", "diff versus speedup"),
    "bench.trend": ("Show trend of a configuration", "history past regression"),
    "bench.export": ("Export runs as JSON", "save write download file"),
    "bench.import": ("Import runs from JSON", "load open read file"),
    "bench.delete": ("Delete runs", "remove erase"),
    "bench.copy": ("Copy runs as Markdown", "clipboard yank table"),
    "bench.zoom": ("Enlarge or shrink this pane", "zoom maximize full"),
    "bench.log": ("Show or hide the log", "output messages toggle"),
    "bench.queue": ("Go to the queue", "waiting sessions reorder"),
    "queue.down": ("Next session of the queue", "down"),
    "queue.up": ("Previous session of the queue", "up"),
    "queue.earlier": ("Measure a session sooner", "queue reorder move up priority"),
    "queue.later": ("Measure a session later", "queue reorder move down"),
    "queue.cancel": ("Cancel a session of the queue", "stop abort"),
    "chart.view_1": ("Latency histogram", "chart plot distribution"),
    "chart.view_2": ("Latency distribution (ECDF)", "chart plot cumulative percentile"),
    "chart.view_3": ("Latency of each block", "chart plot drift"),
    "chart.view_4": ("Latency of past runs", "chart plot trend history"),
    "chart.view_5": ("MAE of past runs", "chart plot accuracy error history"),
    "chart.log_scale": ("Logarithmic scale of the chart", "log axis linear"),
    "log.pause": ("Follow or pause the log", "stop scroll tail"),
    "log.level": ("Change log level", "debug info warning error verbose"),
    "log.search": ("Search the log", "find text"),
    "details.next_tab": ("Next tab", "page right"),
    "details.previous_tab": ("Previous tab", "page left"),
    "details.tab_1": ("Open tab Summary", "go to page"),
    "details.tab_2": ("Open tab Latency", "go to page"),
    "details.tab_3": ("Open tab Accuracy", "go to page"),
    "details.tab_4": ("Open tab Operators", "go to page"),
    "details.tab_5": ("Open tab Delegation", "go to page"),
    "details.tab_6": ("Open tab Gap", "go to page"),
    "details.tab_7": ("Open tab Environment", "go to page"),
    "details.tab_8": ("Open tab Artifact", "go to page"),
    "details.tab_9": ("Open tab Log", "go to page"),
    "details.tab_0": ("Open tab JSON", "go to page"),
    "details.next_chart": ("Next chart of the latency", "view plot histogram ecdf blocks trend"),
    "details.annotate": ("Edit note and tags", "annotate comment label"),
    "details.copy": ("Copy run as Markdown", "clipboard yank"),
    "details.export": ("Export run as JSON", "save write download file"),
    "details.profile": ("Profile or analyse the run", "operators gap time"),
    "details.keep_fp32": ("Run again with modules in FP32", "rerun repeat keep quantization"),
    "details.menu": ("Menu of the run and its rows", "context actions right click"),
    "details.keep_files": ("Profile to trace files", "save etdump csv perfetto export"),
    "details.cancel": ("Cancel the analysis", "stop abort"),
    "details.close": ("Back", "close leave"),
    "rows.fold": ("Expand or collapse a row", "fold open"),
    "rows.open": ("Expand a row", "unfold child"),
    "rows.shut": ("Collapse a row", "fold parent"),
    "rows.turn_all": ("Expand or collapse all rows", "fold unfold"),
    "rows.filter": ("Filter rows", "search find"),
    "rows.sort": ("Sort rows by next column", "order"),
    "rows.sort_direction": ("Reverse order of rows", "sort descending ascending"),
    "rows.view": ("Change grouping of rows", "operators module metric"),
    "rows.side": ("Switch between program and eager", "side baseline"),
    "compare.right": ("Next run", "column"),
    "compare.left": ("Previous run", "column"),
    "compare.base": ("Make this run the baseline", "reference pin"),
    "compare.differing": ("Show all metrics or only differing", "hide equal"),
    "compare.drop": ("Exclude a run", "remove hide drop"),
    "compare.take_back": ("Include excluded runs", "undo restore"),
    "compare.margin": ("Set equivalence margin", "threshold percent tolerance"),
    "compare.force": ("Compare incompatible runs too", "force"),
    "compare.duel": ("Measure both again (duel)", "rerun head to head repeat"),
    "compare.details": ("Open details of a run", "show inspect view"),
    "compare.trend": ("Show trend of a run", "history past regression"),
    "compare.menu": ("Menu of a run", "context actions right click"),
    "compare.copy": ("Copy comparison as Markdown", "clipboard yank table"),
    "compare.report": ("Write a report", "save export html markdown"),
    "compare.view_1": ("Histograms", "chart plot distribution"),
    "compare.view_2": ("Distributions (ECDF)", "chart plot cumulative percentile"),
    "compare.view_3": ("Latency of each block", "chart plot drift"),
    "compare.view_4": ("Latency against accuracy", "chart plot pareto front"),
    "compare.view_5": ("Latency against size", "chart plot pareto front"),
    "compare.log_scale": ("Logarithmic axis", "log scale linear"),
    "compare.zoom": ("Enlarge the chart", "zoom maximize full"),
    "compare.close": ("Back", "close leave"),
    "trend.details": ("Open details of a run", "show inspect view"),
    "trend.older": ("Previous run in time", "older left"),
    "trend.newer": ("Next run in time", "newer right"),
    "trend.spacing": ("Space runs by time or evenly", "axis scale"),
    "trend.view_1": ("Median latency over time", "chart plot"),
    "trend.view_2": ("MAE over time", "chart plot accuracy error"),
    "trend.view_3": ("Latency and MAE over time", "chart plot both"),
    "trend.log_scale": ("Logarithmic axis", "log scale linear"),
    "trend.zoom": ("Enlarge the chart", "zoom maximize full"),
    "trend.copy": ("Copy trend as Markdown", "clipboard yank table"),
    "trend.close": ("Back", "close leave"),
    "app.help": ("Help", "keys shortcuts documentation"),
    "app.notices": ("Show notices", "messages history errors"),
    "app.undo": ("Undo deletion or cancellation", "restore revert back"),
    "app.command_palette": ("Command palette", "find action"),
    "app.screenshot": ("Save screen as SVG", "screenshot picture image"),
    "app.quit": ("Quit", "exit leave close"),
    "app.quit_now": ("Quit at once", "exit leave close"),
}
"""The titles and the synonyms of the actions that the palette offers; the others are only in the help."""


def _action(scope: Scope, name: str, keys: str, about: str, label: str = "", *, priority: bool = False) -> Action:
    title, synonyms = _TITLES.get(f"{scope}.{name}", (about, ""))
    return Action(
        scope=scope,
        name=name,
        keys=tuple(keys.split()),
        about=about,
        title=title,
        synonyms=synonyms,
        label=label,
        priority=priority,
    )


ACTIONS: tuple[Action, ...] = (
    _action("bench", "run", "r", "Run the configurations chosen in the picker", "run"),
    _action(
        "bench",
        "cancel",
        "x",
        "Cancel the run under the cursor; if it has ended, ask about the running session",
        "cancel",
    ),
    _action("bench", "new", "n", "Go to the picker (in a small terminal it opens over the table)", "new"),
    _action("bench", "filter", "slash", "Filter the runs: model:resnet18 p50<10 -status:failed", "filter"),
    _action("bench", "back", "escape", "Back to the table; in the table, clear the filter", "back"),
    _action("table", "details", "enter", "Open the details of the run under the cursor", "details"),
    _action("table", "mark", "space", "Mark or unmark the run under the cursor", "mark"),
    _action("table", "mark_all", "asterisk", "Mark all runs that match the filter"),
    _action("table", "unmark_all", "minus", "Unmark all runs", "unmark"),
    _action("table", "sort", "s", "Sort by the next column", "sort"),
    _action("table", "sort_direction", "S", "Reverse the sort order"),
    _action("table", "columns", "v", "Choose the columns"),
    _action("table", "jump", "colon", "Jump to a run by its id"),
    _action("table", "baseline", "p", "Pin or unpin the run under the cursor as the baseline"),
    _action("table", "menu", "m", "List what can be done with the run under the cursor (also a right click)", "menu"),
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
    _action(
        "bench", "delete", "d", "Delete the marked runs, or the run under the cursor, after confirmation", "delete"
    ),
    _action("bench", "copy", "y", "Copy the marked runs, or the run under the cursor, as Markdown", "copy"),
    _action("bench", "zoom", "z", "Enlarge the pane with the focus to the whole screen, or shrink it"),
    _action("bench", "log", "l", "Show or hide the log", "log"),
    _action("bench", "queue", "Q", "Go to the queue (in a small terminal it opens over the table)"),
    _action("queue", "down", "j down", "Queue: move down"),
    _action("queue", "up", "k up", "Queue: move up"),
    _action("queue", "earlier", "K shift+up", "Queue: move the waiting session up", "sooner"),
    _action("queue", "later", "J shift+down", "Queue: move the waiting session down", "later"),
    _action("queue", "cancel", "x", "Queue: cancel the session under the cursor", "cancel"),
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
    _action("details", "tab_1", "1", "Details: open the tab Summary"),
    _action("details", "tab_2", "2", "Details: open the tab Latency"),
    _action("details", "tab_3", "3", "Details: open the tab Accuracy"),
    _action("details", "tab_4", "4", "Details: open the tab Operators"),
    _action("details", "tab_5", "5", "Details: open the tab Delegation"),
    _action("details", "tab_6", "6", "Details: open the tab Gap"),
    _action("details", "tab_7", "7", "Details: open the tab Environment"),
    _action("details", "tab_8", "8", "Details: open the tab Artifact"),
    _action("details", "tab_9", "9", "Details: open the tab Log"),
    _action("details", "tab_0", "0", "Details: open the tab JSON"),
    _action("details", "next_chart", "v", "Details: open the latency, or show its next chart"),
    _action("details", "annotate", "a", "Details: edit the note and the tags", "note"),
    _action("details", "copy", "y", "Details: copy the run as Markdown", "copy"),
    _action("details", "export", "e", "Details: export the run as JSON", "export"),
    _action("details", "profile", "P", "Details: start the analysis of the open tab, or else a profile", "profile"),
    _action("details", "keep_fp32", "K", "Details: run again with modules kept in FP32; asks which"),
    _action("details", "menu", "M", "Details: list what can be done with the run and the row under the cursor"),
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
    _action(
        "compare", "menu", "M", "Compare: list what can be done with the run under the cursor (also a right click)"
    ),
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
    _action("trend", "zoom", "z", "Trend: enlarge the chart to the full height, or shrink it", "zoom"),
    _action("trend", "copy", "y", "Trend: copy the summary and the runs as Markdown", "copy"),
    _action("trend", "close", "escape q", "Trend: go back", "back"),
    _action("filter", "complete", "tab", "Filter: accept the first completion", "complete", priority=True),
    _action("filter", "leave", "escape", "Filter: discard the change", "leave"),
    _action("list", "next", "down", "Field with suggestions: open the list, or go to the next suggestion", "list"),
    _action("list", "previous", "up", "Field with suggestions: go to the previous suggestion"),
    _action("list", "take", "right", "Field with suggestions: complete the text, with the cursor at its end"),
    _action("list", "choose", "enter", "Field with suggestions: accept the highlighted one, or confirm the field"),
    _action("list", "revert", "escape", "Field with suggestions: close the list and undo the edit"),
    _action("columns", "lower", "J shift+down", "Columns: move the column down"),
    _action("columns", "raise_up", "K shift+up", "Columns: move the column up"),
    _action("dialog", "close", "escape", "Close the dialog without doing anything", "cancel"),
    _action("help", "search", "slash", "Search this help", "search"),
    _action("help", "close", "escape q question_mark f1", "Close this help", "back"),
    _action("app", "help", "question_mark f1", "Show this help", "help"),
    _action("app", "undo", "u", "Undo the last deletion or cancellation, for ten seconds", "undo"),
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
