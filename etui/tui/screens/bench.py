"""The main screen: picker and queue, the runs over their chart, and the log; it passes between them what each needs."""

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

from etui.actions import BY_ID, bindings
from etui.text import plain
from etui.tui.database import Library
from etui.tui.feed import Snapshot
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import BY_NAME
from etui.tui.screen_host import ScreenHost
from etui.tui.screens.bench_actions import Work
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
"""Below this many columns or lines nothing can be read, and the screen says so instead."""
ROOMY = (100, 30)
"""From here on everything stands side by side."""
HUGE = (180, 50)

_NOT_FORWARDED = {"details", "mark", "down", "up", "top", "bottom", "page_down", "page_up"}
"""What the table does only while it has the focus: in the picker these keys are the picker's."""


class BenchScreen(Work, BenchPanes, Screen[None]):
    """What ``etui`` opens with."""

    app: ScreenHost
    AUTO_FOCUS = "RunsTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("bench"),
        *[
            one
            for one in bindings("table", "chart", "log", via="forward")
            if one.id and BY_ID[one.id].name not in _NOT_FORWARDED
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
        """The table as it was left."""
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
        # The form is most of the widgets and what is looked at last: the runs are drawn before it is made.
        self.call_after_refresh(self._add_picker)
        self.app.begin_to_look()

    async def _add_picker(self) -> None:
        from etui.tui.widgets.picker import Picker

        picker = Picker(self.library.database, id="picker")
        await self.query_one("#left").mount(picker, before=0)
        self.picker = picker
        if (pinned := self.query_one(RunsTable).baseline) is not None:
            self.look_for_baseline(pinned)
        self.app.stands()

    def on_resize(self, event: events.Resize) -> None:
        """Which parts there is room for. Set by hand, for both sides decide together."""
        width, height = event.size
        tiny = width < LEAST[0] or height < LEAST[1]
        roomy = width >= ROOMY[0] and height >= ROOMY[1]
        self.set_class(tiny, "-tiny")
        self.set_class(not roomy and not tiny, "-compact")
        self.set_class(width >= HUGE[0] and height >= HUGE[1], "-huge")
        if roomy:
            self.remove_class("-new")
        self.query_one("#too-small", Static).update(
            f"{width}x{height} is too small for etui.\nIt needs {LEAST[0]}x{LEAST[1]}; 120x40 is comfortable.\n"
            "Runs go on meanwhile. q quits."
        )

    # What arrives

    def take(self, snapshot: Snapshot) -> None:
        """Show another state of the queue. Called at most once a second while something is measured."""
        was_well = self.snapshot is None or self.snapshot.problem is None
        recovered = not was_well and snapshot.problem is None
        if was_well and snapshot.problem is not None:
            # What this connection holds of a file that is gone or damaged would spoil whatever takes its place.
            start(self, partial(asyncio.to_thread, self.library.forget), group="forget")
        self.snapshot = snapshot
        self.query_one(Header).show(snapshot)
        current = snapshot.current
        self.query_one(QueuePane).show(
            [one.session for one in snapshot.sessions], current.session.id if current is not None else None
        )
        if snapshot.problem is not None:
            return
        table = self.query_one(RunsTable)
        if recovered:
            self.library.forget()
        live = [run for session in snapshot.sessions for run in session.runs]
        table.update_runs(live)
        ids = frozenset((run.id, run.status) for run in live)
        # While something is measured the database changes with every event, and rarely so do the runs.
        if recovered or (snapshot.changed and (ids != self.live_ids or snapshot.ended or not live)):
            table.reload()
        self.live_ids = ids
        self.log_snapshot(snapshot)
        if snapshot.ended:
            self.tell_ended(snapshot.ended)

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
        """Start what was picked."""
        self.start(event.spec, event.model)

    # Keys

    async def action_forward(self, action_id: str) -> None:
        """Do in a pane what its key says, wherever on the bench the focus is."""
        action = BY_ID[action_id]
        panes: dict[str, type[Widget]] = {"table": RunsTable, "chart": ChartPane, "log": LogPane}
        await self.query_one(panes[action.scope]).run_action(action.name)

    def action_run(self) -> None:
        """Start what the picker says; where the picker is hidden, show first what that is."""
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
        """Back to the table; from the table, back to all runs."""
        table = self.query_one(RunsTable)
        if self.focused is not table or self.has_class("-new"):
            self.remove_class("-new")
            table.focus()
        elif self.query_one(FilterBar).text:
            self.query_one(FilterBar).clear()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is only offered where it leads somewhere."""
        if action == "back" and self.is_mounted:
            elsewhere = not isinstance(self.focused, RunsTable) or self.has_class("-new")
            return elsewhere or bool(self.query_one(FilterBar).text)
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Type a filter."""
        self.remove_class("-new")
        self.query_one(FilterBar).open()

    def action_log(self) -> None:
        """Show or hide the log; in a small terminal it takes the chart's place."""
        self.toggle_class("-log" if self.has_class("-compact") else "-no-log")
        if self.focused is None or not self.focused.display:
            self.query_one(RunsTable).focus()

    def write_title(self) -> None:
        """How many runs are shown, how many are marked, and by which filter."""
        table, bar = self.query_one(RunsTable), self.query_one(FilterBar)
        frame = self.query_one("#runs")
        parts = [f"Runs {self.glyphs.cut}" if table.counting else f"Runs {table.total:,}"]
        if table.marked:
            parts.append(f"{len(table.marked):,} marked")
        if bar.text:
            parts.append(plain(bar.text))
        frame.border_title = _escaped(f" {self.glyphs.dot} ".join(parts))
        table.empty_words = self.empty_words(bool(bar.text))

    def pick_model(self, name: str) -> None:
        """Put a model into the picker."""
        if self.picker is not None:
            self.picker.set_model(name)
            self.action_new()


def _escaped(text: str) -> str:
    """Border titles are read as markup; a file's name in them is not."""
    return text.replace("[", r"\[")
