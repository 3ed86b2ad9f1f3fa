"""The main screen: picker and queue, the runs table over its chart, and the log; connects these panes."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from etui.actions import BY_ID, Scope, bindings
from etui.text import plain
from etui.tui.database import Library
from etui.tui.feed import Snapshot
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import BY_NAME
from etui.tui.screen_host import ScreenHost
from etui.tui.screens.bench_actions import BenchActions
from etui.tui.screens.bench_panes import BenchPanes
from etui.tui.view_state import recall_view, remember_view
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.filter_bar import FilterBar
from etui.tui.widgets.header import Header
from etui.tui.widgets.key_bar import KeyBar
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.paged_list import Order
from etui.tui.widgets.queue_pane import QueuePane
from etui.tui.widgets.runs_table import RunsTable
from etui.tui.workers import start

if TYPE_CHECKING:
    from etui.tui.widgets.picker import Picker

LEAST = (60, 16)
"""Minimum columns and lines; a smaller terminal shows only a message about its size."""
ROOMY = (100, 30)
"""From this size on, all panes are shown side by side."""
HUGE = (180, 50)

_NOT_FORWARDED = {"details", "mark", "down", "up", "top", "bottom", "page_down", "page_up"}
"""Actions of the table that need its focus: in the picker, these keys belong to the picker."""


class BenchScreen(BenchActions, BenchPanes, Screen[None]):
    """The screen that ``etui`` opens with."""

    app: ScreenHost
    scope: ClassVar[Scope] = "bench"
    AUTO_FOCUS = "RunsTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("bench"),
        *[
            binding
            for binding in bindings("table", "chart", "log", via="forward")
            if binding.id and BY_ID[binding.id].name not in _NOT_FORWARDED
        ],
    ]

    def __init__(self, database: Path, glyphs: Glyphs, columns: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.library = Library(database)
        self.glyphs = glyphs
        self.picker: Picker | None = None
        self._columns = columns
        self._filtered_now = False

    def compose(self) -> ComposeResult:
        yield Static(id="too-small", markup=False)
        yield Header(self.glyphs, id="header")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield QueuePane(id="queue")
            with Vertical(id="right"):
                with Vertical(id="runs"):
                    yield FilterBar(self.library.values, id="filter")
                    yield self._make_table()
                yield ChartPane(id="chart")
        yield LogPane(id="log")
        yield KeyBar(id="keys")

    def _make_table(self) -> RunsTable:
        """Create the table with the saved columns, sort order and baseline."""
        view = recall_view()
        columns = view.columns if view.columns and view.configured == self._columns else self._columns
        table = RunsTable(self.library, self.write_title, self.glyphs, columns=columns, id="table")
        if view.sorted_by in BY_NAME:
            table.order = Order(column=view.sorted_by, descending=view.descending)
        table.baseline = view.baselines.get(str(self.library.database))
        return table

    @on(RunsTable.Arranged)
    def _arranged(self) -> None:
        table = self.query_one(RunsTable)
        remember = partial(
            remember_view,
            self.library.database,
            columns=tuple(column.name for column in table.columns),
            configured=self._columns,
            order=(table.order.column, table.order.descending),
            baseline=table.baseline,
        )
        start(self, partial(asyncio.to_thread, remember), group="remember")

    def on_mount(self) -> None:
        self.write_title()
        # The picker has most of the widgets, so the runs are drawn before it is created.
        self.call_after_refresh(self._add_picker)
        self.app.start_feed()

    async def _add_picker(self) -> None:
        from etui.tui.widgets.picker import Picker

        picker = Picker(self.library.database, id="picker")
        await self.query_one("#left").mount(picker, before=0)
        self.picker = picker
        if (pinned := self.query_one(RunsTable).baseline) is not None:
            self.check_baseline(pinned)
        self.app.freeze_garbage()

    def on_resize(self, event: events.Resize) -> None:
        """Show the panes that fit. Set here rather than in CSS, since width and height decide together."""
        width, height = event.size
        tiny = width < LEAST[0] or height < LEAST[1]
        roomy = width >= ROOMY[0] and height >= ROOMY[1]
        self.set_class(tiny, "-tiny")
        self.set_class(not roomy and not tiny, "-compact")
        self.set_class(width >= HUGE[0] and height >= HUGE[1], "-huge")
        if roomy:
            self.remove_class("-new")
        self.query_one("#too-small", Static).update(
            f"The terminal is too small: {width}x{height}.\netui needs {LEAST[0]}x{LEAST[1]}; 120x40 is recommended.\n"
            "Runs continue meanwhile. Press q to quit."
        )

    # Updates

    def take(self, snapshot: Snapshot) -> None:
        """Show a new snapshot. Called at most once per second during a measurement."""
        was_readable = self.snapshot is None or self.snapshot.problem is None
        recovered = not was_readable and snapshot.problem is None
        if was_readable and snapshot.problem is not None:
            # An open connection to a missing or damaged file would be used for the file that replaces it.
            start(self, partial(asyncio.to_thread, self.library.forget), group="forget")
        self.snapshot = snapshot
        self.query_one(Header).show(snapshot)
        current = snapshot.current
        self.query_one(QueuePane).show(
            [live.session for live in snapshot.sessions], current.session.id if current is not None else None
        )
        if snapshot.problem is not None:
            return
        table = self.query_one(RunsTable)
        if recovered:
            self.library.forget()
        live = [run for session in snapshot.sessions for run in session.runs]
        table.update_runs(live)
        ids = frozenset((run.id, run.status) for run in live)
        # During a measurement the database changes with every event, but the runs change rarely.
        if recovered or (snapshot.changed and (ids != self.live_ids or snapshot.ended or not live)):
            table.reload()
        self.live_ids = ids
        self.log_snapshot(snapshot)
        if snapshot.ended:
            self.report_ended(snapshot.ended)

    @on(RunsTable.Highlighted)
    def _highlighted(self, event: RunsTable.Highlighted) -> None:
        self.show_soon(event.run)

    @on(RunsTable.Failed)
    def _failed(self, event: RunsTable.Failed) -> None:
        self.app.complain(event.error)

    @on(RunsTable.Opened)
    def _opened(self, event: RunsTable.Opened) -> None:
        from etui.tui.screens.details import DetailsScreen

        self.app.push_screen(DetailsScreen(self.library.database, event.run_id))

    @on(RunsTable.Asked)
    def _asked(self, event: RunsTable.Asked) -> None:
        self.ask_columns() if event.what == "columns" else self.ask_jump()

    @on(FilterBar.Changed)
    def _filtered(self, event: FilterBar.Changed) -> None:
        self.filter_runs(event.conditions)
        if bool(event.text) != self._filtered_now:
            self._filtered_now = bool(event.text)
            self.refresh_bindings()

    @on(FilterBar.Closed)
    def _filter_closed(self) -> None:
        self.query_one(RunsTable).focus()

    def on_picker_submitted(self, event: Picker.Submitted) -> None:
        """Start the session that the picker describes."""
        self.start(event.spec, event.model)

    # Actions

    def forwarded_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes of the panes, whose actions ``action_forward`` runs."""
        return ("table", "chart", "log")

    async def action_forward(self, action_id: str) -> None:
        """Run an action of a pane, wherever the focus is."""
        action = BY_ID[action_id]
        panes: dict[str, type[Widget]] = {"table": RunsTable, "chart": ChartPane, "log": LogPane}
        await self.query_one(panes[action.scope]).run_action(action.name)

    def action_run(self) -> None:
        """Start the session that the picker describes; if the picker is hidden, show it first."""
        if self.has_class("-compact") and not self.has_class("-new"):
            self.action_new()
            return
        if self.picker is not None:
            self.picker.submit()

    def action_new(self) -> None:
        """Go to the picker."""
        if self.picker is not None:
            self.add_class("-new")
            self.picker.focus()

    def action_back(self) -> None:
        """Go back to the table; in the table, clear the filter."""
        table = self.query_one(RunsTable)
        if self.focused is not table or self.has_class("-new"):
            self.remove_class("-new")
            table.focus()
        elif self.query_one(FilterBar).text:
            self.query_one(FilterBar).clear()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable escape where it has no effect."""
        if action == "back" and self.is_mounted:
            elsewhere = not isinstance(self.focused, RunsTable) or self.has_class("-new")
            return elsewhere or bool(self.query_one(FilterBar).text)
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.remove_class("-new")
        self.query_one(FilterBar).open()

    def action_log(self) -> None:
        """Show or hide the log; in a small terminal it replaces the chart."""
        self.toggle_class("-log" if self.has_class("-compact") else "-no-log")
        if self.focused is None or not self.focused.display:
            self.query_one(RunsTable).focus()

    def write_title(self) -> None:
        """Update the table's title: number of runs, number of marked runs, filter."""
        table, bar = self.query_one(RunsTable), self.query_one(FilterBar)
        frame = self.query_one("#runs")
        parts = [f"Runs {self.glyphs.cut}" if table.counting else f"Runs {table.total:,}"]
        if table.marked:
            parts.append(f"{len(table.marked):,} marked")
        if bar.text:
            parts.append(plain(bar.text))
        frame.border_title = _escaped(f" {self.glyphs.dot} ".join(parts))
        table.empty_words = self.empty_message(filtered=bool(bar.text))

    def pick_model(self, name: str) -> None:
        """Select a model in the picker and go to the picker."""
        if self.picker is not None:
            self.picker.set_model(name)
            self.action_new()


def _escaped(text: str) -> str:
    """Escape text for a border title, which Textual parses as markup."""
    return text.replace("[", r"\[")
