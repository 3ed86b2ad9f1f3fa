"""The main screen: picker and queue, the runs table over its chart, and the log; connects these panes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.actions import BY_ID, Scope, bindings
from etui.errors import EtuiError, StoreError, UsageError
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.store import Condition, Store
from etui.text import counted, plain
from etui.tui.compare.selection import MOST_RUNS
from etui.tui.database import Database
from etui.tui.defect_guard import Guarded
from etui.tui.error_text import to_text
from etui.tui.glyphs import Glyphs
from etui.tui.run_actions import RunActions
from etui.tui.run_rows import MOST_HIDDEN, RunRows
from etui.tui.runs_columns import BY_NAME, COLUMNS, Column
from etui.tui.screen_host import ScreenHost
from etui.tui.type_ahead import TypeAhead
from etui.tui.view_state import recall_view, remember_view
from etui.tui.widgets.filter_bar import FilterBar
from etui.tui.widgets.header import Header
from etui.tui.widgets.key_bar import Footer, KeyBar
from etui.tui.widgets.paged_list import Order
from etui.tui.widgets.runs_table import RunsTable
from etui.tui.widgets.virtual_table import VirtualTable
from etui.tui.workers import start

if TYPE_CHECKING:
    from etui.tui.bench.panes import Panes
    from etui.tui.feed import Snapshot
    from etui.tui.picker_form import FormValues
    from etui.tui.widgets.picker import Picker
    from etui.tui.widgets.queue_pane import QueuePane

LEAST = (60, 16)
"""Minimum columns and lines; a smaller terminal shows only a message about its size."""
ROOMY = (100, 30)
"""From this size on, all panes are shown side by side."""
HUGE = (180, 50)
LINES_WITH_CHART = 20
"""In a lower terminal the table has the lines of the chart."""

_SETTLE_S = 0.12
"""Delay before the chart and the log of the run under the cursor are read: a key held down passes many runs."""
_SAMPLES = "sample_results"
_MOST_FLAGS = 3
"""The number of warning flags that the notice about the end of a run names."""

_NOT_FORWARDED = {"details", "mark", "menu", "down", "up", "top", "bottom", "page_down", "page_up"}
"""Actions of the table that need its focus: in the picker, these keys belong to the picker."""

_PANES = {"picker", "queue", "runs", "chart", "log"}
"""The ids of the panes that can be enlarged."""

_ON_RUNS = {
    f"bench.{name}"
    for name in (
        "cancel",
        "compare",
        "trend",
        "model",
        "diagram",
        "training",
        "predict",
        "tag_photos",
        "evaluate",
        "export",
        "delete",
        "copy",
    )
}
"""Actions of the screen on the run under the cursor or the marked runs."""

_ON_PANES = {f"bench.{name}" for name in ("run", "new", "configurations", "older", "model", "queue", "log", "zoom")}
"""Actions of the screen on the panes that are added after the first paint."""


class BenchScreen(Guarded, Screen[None]):
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

    def __init__(self, database: Database, glyphs: Glyphs, columns: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.database = database
        self.glyphs = glyphs
        self._panes: Panes | None = None
        self.snapshot: Snapshot | None = None
        self._actions = RunActions(self)
        self._rows = RunRows(database)
        self._columns = columns
        self._is_filtered = False
        self._live: frozenset[tuple[str, str]] = frozenset()
        """The ids and statuses of the runs of live sessions in the last snapshot."""
        self._under_cursor: RunSummary | None = None
        self._settle_timer: Timer | None = None
        self._type_ahead = TypeAhead()
        self._footer: Footer | None = None

    def compose(self) -> ComposeResult:
        """Header, runs and keys; the other panes are added after the first paint."""
        yield Static(id="too-small", markup=False)
        yield Header(self.glyphs, id="header")
        with Horizontal(id="body"):
            yield Vertical(id="left")
            with Vertical(id="right"), Vertical(id="runs"):
                yield FilterBar(self._values, id="filter")
                yield self._make_table()
        yield KeyBar(id="keys")

    def _make_table(self) -> RunsTable:
        """Create the table with the saved columns, sort order and baseline."""
        view = recall_view()
        columns = view.columns if view.columns and view.configured == self._columns else self._columns
        table = RunsTable(self._rows, self.write_title, self.glyphs, columns=columns, id="table")
        if view.sorted_by in BY_NAME:
            table.order = Order(column=view.sorted_by, descending=view.descending)
        table.baseline = view.baselines.get(str(self.database.path))
        return table

    def _values(self, column: str) -> list[str]:
        """Return the distinct values of a column for completion; empty if the database cannot be read."""
        try:
            return self.database.run(lambda store: store.distinct(column))
        except (StoreError, UsageError):
            return []

    @property
    def _table(self) -> RunsTable:
        return self.query_one(RunsTable)

    @on(RunsTable.Arranged)
    def _arranged(self) -> None:
        table = self._table
        remember = partial(
            remember_view,
            self.database.path,
            columns=tuple(column.name for column in table.columns),
            configured=self._columns,
            order=(table.order.column, table.order.descending),
            baseline=table.baseline,
        )
        start(self, partial(asyncio.to_thread, remember), group="remember")

    def on_mount(self) -> None:
        """Draw the runs, then add the other panes and start reading."""
        self.write_title()
        # They have most of the widgets and of the code, so the runs are drawn before they are imported and created.
        self.call_after_refresh(self._add_panes)

    async def _add_panes(self) -> None:
        from etui.tui.bench.panes import Panes

        try:
            panes = Panes(self.database)
            await self.query_one("#left").mount(panes.picker, panes.queue)
            await self.query_one("#right").mount(panes.chart)
            await self.mount(panes.log, before="#keys")
        finally:
            self.app.freeze_garbage()
        self._panes = panes
        self._show_run()
        self._handle_kept_keys()
        self.app.start_feed()
        if (pinned := self._table.baseline) is not None:
            start(self, partial(self._check_baseline, pinned), group="baseline")

    def on_unmount(self) -> None:
        """Close the table's connection."""
        self._rows.close()

    def on_resize(self, event: events.Resize) -> None:
        """Show the panes that fit. Set here rather than in CSS, since width and height decide together."""
        width, height = event.size
        tiny = width < LEAST[0] or height < LEAST[1]
        roomy = width >= ROOMY[0] and height >= ROOMY[1]
        self.set_class(tiny, "-tiny")
        self.set_class(not roomy and not tiny, "-compact")
        self.set_class(height < LINES_WITH_CHART, "-low")
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
        if was_readable != (snapshot.problem is None):
            # A connection that was open before would be used for a file that was written over the old one.
            self.database.forget()
        before = {} if self.snapshot is None else {live.session.id: live for live in self.snapshot.sessions}
        over = before.keys() - {live.session.id for live in snapshot.sessions}
        self.snapshot = snapshot
        self.query_one(Header).show(snapshot)
        if self._panes is not None:
            self._panes.show_queue(snapshot)
        if snapshot.problem is not None:
            return
        from etui.tui.bench.live_rows import live_rows

        table = self._table
        runs = [run for session in snapshot.sessions for run in session.runs]
        table.show_live(live_rows(snapshot.sessions))
        table.update_runs(runs)
        live = frozenset((run.id, run.status) for run in runs)
        # During a measurement the database changes with every event, but the runs change rarely.
        if recovered or (snapshot.changed and (live != self._live or snapshot.ended or not runs)):
            table.reload()
        self._live = live
        if self._panes is not None:
            self._panes.show_progress(snapshot)
        for session_id in over:
            if not before[session_id].waits:
                start(self, partial(self._report_over, session_id), group="ended")
        if snapshot.ended:
            start(self, partial(self._report_ended, snapshot.ended), group="ended")

    async def _report_ended(self, run_ids: Sequence[str]) -> None:
        """Show a notice of the runs that have ended, and a separate one for each that failed."""
        good: dict[str, list[str]] = {}
        for run in await self._summaries(run_ids):
            if run.status in LIVE_STATUSES:
                continue
            ending = f"{run.configuration}: {_ending(run)}"
            if run.status not in ("done", "cancelled") or run.verdict == "FAIL":
                self.app.say(f"{run.model} {ending}", "error")
            else:
                good.setdefault(run.model, []).append(ending)
        for model, endings in good.items():
            self.app.say(f"{model} {'; '.join(endings)}", keep=True)

    async def _report_over(self, session_id: str) -> None:
        """Report the end of a session outside the screen."""
        where = [Condition("session", "=", session_id)]
        self.app.session_over(await self.database.read(lambda store: store.summaries(where, descending=False)))

    async def _check_baseline(self, run_id: str) -> None:
        """Unpin the baseline of the previous start, with a notice, if its run was deleted."""
        if not await self._summaries([run_id]) and self._table.baseline == run_id:
            self._table.pin(None)
            self.app.say(f"The baseline {run_id[:6]} was deleted; it is no longer pinned.", "warning", keep=True)

    async def _summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        where = [Condition("id", "in", list(run_ids))]
        return await self.database.read(lambda store: store.summaries(where))

    @property
    def drawn(self) -> str | None:
        """The id of the run whose chart is shown."""
        return self._panes.drawn if self._panes is not None else None

    @property
    def picker(self) -> Picker | None:
        """The picker; None before the first paint."""
        return self._panes.picker if self._panes is not None else None

    @on(RunsTable.Highlighted)
    def _highlighted(self, event: RunsTable.Highlighted) -> None:
        if event.run == self._under_cursor:
            return
        self._under_cursor = event.run
        self._refresh_footer()
        if self._settle_timer is not None:
            self._settle_timer.stop()
        self._settle_timer = self.set_timer(_SETTLE_S, self._show_run)

    def _show_run(self) -> None:
        if self._panes is not None:
            self._panes.show_run(self._under_cursor)

    def on_key(self, event: events.Key) -> None:
        """Keep a key that acts on rows while those of a changed filter are not shown yet, since it would act on a run
        that the user does not mean; and one that acts on a pane before that exists."""
        if isinstance(self.focused, Input) or not (self._table.is_outdated or self._panes is None):
            return
        active = self.active_bindings.get(event.key)
        action = BY_ID.get(active.binding.id or "") if active is not None else None
        if action is None or action.scope == "app":
            return
        awaits_rows = self._table.is_outdated and (action.scope == "table" or action.id in _ON_RUNS)
        awaits_panes = self._panes is None and (action.scope in ("chart", "log") or action.id in _ON_PANES)
        if awaits_rows or awaits_panes or self._type_ahead:
            self._type_ahead.keep(event)

    @on(RunsTable.Current)
    def _handle_kept_keys(self) -> None:
        """Handle the keys that were kept, once there is all they can act on."""
        if not self._table.is_outdated and self._panes is not None:
            self._type_ahead.replay(self.app)

    @on(RunsTable.Failed)
    def _failed(self, event: RunsTable.Failed) -> None:
        self.app.complain(event.error)

    @on(RunsTable.Opened)
    def _opened(self, event: RunsTable.Opened) -> None:
        self.app.open_details(event.run_id)

    @on(RunsTable.Asked)
    def _asked(self, event: RunsTable.Asked) -> None:
        if event.what == "columns":
            self._ask_columns()
        elif event.what == "order":
            self._ask_order()
        elif event.what == "menu":
            self._ask_action()
        else:
            self._ask_jump()

    @on(FilterBar.Changed)
    def _filtered(self, event: FilterBar.Changed) -> None:
        self._table.show_order(msgspec.structs.replace(self._table.order, where=event.conditions))
        if bool(event.text) != self._is_filtered:
            self._is_filtered = bool(event.text)
            self.refresh_bindings()

    @on(FilterBar.Closed)
    def _filter_closed(self) -> None:
        self._table.focus()

    def on_picker_submitted(self, event: Picker.Submitted) -> None:
        """Start the session that the picker describes, and move the cursor to its first run."""

        def queued(run_ids: list[str]) -> None:
            self.remove_class("-new")
            self._table.focus()
            self._table.go_to(run_ids[0])

        def refused(error: EtuiError) -> None:
            from etui.services.request import FieldError

            self.app.complain(error)
            if self.picker is not None and isinstance(error, FieldError):
                self.picker.refuse(error.field, to_text(error))

        self._actions.submit(event.spec, event.model, queued, refused)

    def footer(self) -> Footer:
        """Return the keys for the runs: what can be done with the marked runs, or with the one under the cursor."""
        table = self._table
        if self.app.check_action("undo", ()):
            return Footer(["app.undo", "table.details", "table.mark", "bench.filter", "bench.run"])
        if table.marked:
            names = ["bench.compare", "bench.export", "bench.copy", "bench.delete", "table.mark", "table.unmark_all"]
            return Footer(names, f"{len(table.marked):,} marked:")
        if table.is_empty:
            return Footer(["bench.run", "bench.import", "bench.filter", "bench.back", "bench.new"])
        if table.run is not None and table.run.status in LIVE_STATUSES:
            return Footer(["table.details", "bench.cancel", "table.mark", "bench.filter", "bench.run", "bench.new"])
        return Footer(
            [
                "table.details",
                "table.mark",
                "bench.compare",
                "bench.filter",
                "bench.export",
                "bench.run",
                "bench.cancel",
            ]
        )

    def _refresh_footer(self) -> None:
        """Draw the footer again if its keys depend on what has changed."""
        footer = self.footer()
        if footer != self._footer:
            self._footer = footer
            self.query_one(KeyBar).refresh()

    # Actions on panes

    def forwarded_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes of the panes, whose actions ``action_forward`` runs."""
        return ("table", "chart", "log")

    async def action_forward(self, action_id: str) -> None:
        """Run an action of a pane, wherever the focus is."""
        action = BY_ID[action_id]
        if action.id == "log.search":
            self._shrink()
        for pane in self.query(f"#{action.scope}"):
            await pane.run_action(action.name)

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
            self._shrink()
            self.add_class("-new")
            self.picker.focus()

    def action_older(self) -> None:
        """Put one of the last configurations that were run into the picker, each time an older one."""
        if self.picker is not None:
            if not self.picker.has_focus_within:
                self.action_new()
            self.picker.show_older()

    def action_configurations(self) -> None:
        """Pick a saved configuration for the picker, or save the one that it has."""
        start(self, self._ask_configuration, group="configurations", exclusive=True)

    async def _ask_configuration(self) -> None:
        from etui.tui.screens.configurations import ConfigurationsDialog, load_choices

        if self.picker is None:
            return
        try:
            choices = await asyncio.to_thread(load_choices)
        except EtuiError as error:
            self.app.complain(error)
            return
        picker = self.picker

        def use(values: FormValues) -> None:
            self.action_new()
            picker.show_values(values)

        self._actions.ask(ConfigurationsDialog(choices, picker.choice), use)

    def action_back(self) -> None:
        """Go back to the table; in the table, clear the filter."""
        table = self._table
        if self.has_class("-zoomed"):
            self._shrink()
        elif self.focused is not table or self.has_class("-new"):
            self.remove_class("-new")
            table.focus()
        elif self.query_one(FilterBar).text:
            self.query_one(FilterBar).clear()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable escape where it has no effect, and the key of the filter while a text is typed."""
        if action == "filter":
            return not isinstance(self.focused, Input)
        if action == "forward" and parameters == ("table.unmark_all",) and self.is_mounted:
            return bool(self._table.marked)
        if action == "back" and self.is_mounted:
            elsewhere = self.has_class("-zoomed") or not isinstance(self.focused, RunsTable) or self.has_class("-new")
            return elsewhere or bool(self.query_one(FilterBar).text)
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.remove_class("-new")
        if not self.query_one("#runs").has_class("-zoom"):
            self._shrink()
        self.query_one(FilterBar).open()

    def action_filters(self) -> None:
        """Pick or save a filter."""
        start(self, self._ask_filter, group="filters", exclusive=True)

    async def _ask_filter(self) -> None:
        from etui.store.saved_filters import load_filters
        from etui.tui.screens.filters import FiltersDialog

        try:
            saved = await asyncio.to_thread(load_filters)
        except EtuiError as error:
            self.app.complain(error)
            return
        bar = self.query_one(FilterBar)

        def apply(text: str) -> None:
            start(self, partial(bar.apply, text), group="filters", exclusive=True)

        self._actions.ask(FiltersDialog(saved, bar.text), apply)

    def action_zoom(self) -> None:
        """Enlarge the pane with the focus to the whole screen, or shrink it."""
        if self.has_class("-zoomed"):
            self._shrink()
            return
        focused = self.focused or self._table
        around = [node for node in focused.ancestors_with_self if isinstance(node, Widget) and node is not self]
        if any(node.id in _PANES for node in around):
            self.add_class("-zoomed")
            for node in around:
                node.add_class("-zoom")
            self.refresh_bindings()

    def _shrink(self) -> None:
        """Show all panes again."""
        self.remove_class("-zoomed")
        self.query(".-zoom").remove_class("-zoom")
        self.refresh_bindings()

    def action_log(self) -> None:
        """Show or hide the log; in a small terminal it replaces the chart."""
        self._shrink()
        self.toggle_class("-log" if self.has_class("-compact") else "-no-log")
        if self.focused is None or not self.focused.display:
            self._table.focus()

    def write_title(self) -> None:
        """Update the table's title: number of runs, number of marked runs, filter."""
        table, bar = self._table, self.query_one(FilterBar)
        frame = self.query_one("#runs")
        parts = [f"Runs {self.glyphs.cut}" if table.counting else f"Runs {table.total:,}"]
        if table.marked:
            parts.append(f"{len(table.marked):,} marked")
        if bar.text:
            parts.append(plain(bar.text))
        frame.border_title = _escaped(f" {self.glyphs.dot} ".join(parts))
        table.empty_words = _empty_message(is_filtered=bool(bar.text))
        self._refresh_footer()

    def pick_model(self, name: str) -> None:
        """Select a model in the picker and go to the picker."""
        if self.picker is not None:
            self.picker.set_model(name)
            self.action_new()

    def action_queue(self) -> None:
        """Go to the queue."""
        self._shrink()
        self.add_class("-new")
        if self._panes is not None:
            self._panes.queue.focus()

    def on_queue_pane_cancelled(self, event: QueuePane.Cancelled) -> None:
        """Cancel the session that the queue names."""
        self._actions.cancel(event.run_ids, self._table.reload)

    def on_queue_pane_moved(self, event: QueuePane.Moved) -> None:
        """Move the session that the queue names."""
        self._actions.move_session(event.session_id, earlier=event.earlier)

    # Actions on runs

    def _chosen(self) -> list[str]:
        """Return the marked runs, else the one under the cursor; if there is none, say so."""
        ids = self._table.chosen_ids()
        if not ids:
            self.app.say("No run is under the cursor.", "warning")
        return ids

    def action_cancel(self) -> None:
        """Cancel the run under the cursor if it is live. Otherwise ask whether to cancel the running session, or else
        the next queued one."""
        run = self._table.run
        sessions = self.snapshot.sessions if self.snapshot else ()
        if run is not None and run.status in LIVE_STATUSES:
            self._actions.cancel([run.id], self._table.reload)
        elif sessions:
            ids = [live.id for live in sessions[0].runs if live.status in LIVE_STATUSES]
            self._actions.cancel_session(sessions[0].session, ids, self._table.reload)
        else:
            self.app.say("No run is running or queued.", "warning")

    def action_export(self) -> None:
        """Export the marked runs, or the run under the cursor."""
        if ids := self._chosen():
            self._actions.export(ids)

    def action_import(self) -> None:
        """Import runs from files."""
        from etui.tui.screens.import_runs import ImportDialog

        def imported(count: int) -> None:
            if count:
                self.app.say(f"{counted(count, 'run')} imported.", keep=True)
            self._table.reload()

        path = _SAMPLES if Path(_SAMPLES).is_dir() and not self._table.total else ""
        self._actions.ask(ImportDialog(self.database, path), imported)

    def action_delete(self) -> None:
        """Delete the marked runs, or the run under the cursor, after confirmation."""
        ids, run = self._chosen(), self._table.run
        if not ids:
            return
        name = f"the run {ids[0][:6]}" if len(ids) == 1 else f"{len(ids):,} runs"
        if run is not None and ids == [run.id]:
            name = f"{run.model} {run.configuration} ({run.id[:6]})"

        table, marked, baseline = self._table, set(self._table.marked), self._table.baseline

        def hide() -> None:
            self._rows.hide(ids if len(ids) <= MOST_HIDDEN else ())
            table.keep_marks(ids)
            table.reload()

        def finished() -> None:
            self._rows.hide(())

        def restore() -> None:
            self._rows.hide(())
            table.marked |= marked
            if baseline in ids and table.baseline is None:
                table.pin(baseline)
            table.reload()

        self._actions.delete(ids, name, hide=hide, finished=finished, restore=restore)

    def action_compare(self) -> None:
        """Compare the marked runs with the pinned baseline, else with the run under the cursor; without marks, the run
        under the cursor with the baseline."""
        ids, table = self._chosen(), self._table
        if not ids:
            return
        if len(ids) > MOST_RUNS:
            self.app.say(
                f"{len(ids):,} runs are marked, but at most {MOST_RUNS:,} can be compared; mark fewer", "warning"
            )
            return
        cursor = table.run.id if table.run else None
        self.app.open_comparison(ids, baseline=table.baseline, cursor=cursor if cursor in ids else None)

    def action_trend(self) -> None:
        """Show the trend of this run's configuration."""
        if self._table.run is None:
            self.app.say("No run is under the cursor.", "warning")
        else:
            self.app.open_trend(self._table.run.id)

    def action_model(self) -> None:
        """Show the summary of the model in the picker, if that has the focus, or of the run under the cursor."""
        picker = self.picker
        if picker is not None and (picker.has_focus_within or self._table.run is None):
            from etui.services.summarize import Request

            self.app.open_model_summary(Request(picker.model_name))
        elif self._table.run is not None:
            self._actions.summarize_model(self._table.run.id)
        else:
            self.app.say("No run is under the cursor.", "warning")

    def action_diagram(self) -> None:
        """Show the diagram of the model in the picker, if that has the focus, or of the run under the cursor."""
        picker = self.picker
        if picker is not None and (picker.has_focus_within or self._table.run is None):
            from etui.services.summarize import Request

            self.app.open_diagram(Request(picker.model_name))
        elif self._table.run is not None:
            self._actions.draw_model(self._table.run.id)
        else:
            self.app.say("No run is under the cursor.", "warning")

    def action_training(self) -> None:
        """Check whether the model in the picker, if that has the focus, or of the run under the cursor trains."""
        picker = self.picker
        if picker is not None and (picker.has_focus_within or self._table.run is None):
            self.app.open_training_check(picker.model_name)
        elif self._table.run is not None:
            self._actions.check_training(self._table.run.id)
        else:
            self.app.say("No run is under the cursor.", "warning")

    def action_trainings(self) -> None:
        """Show the trainings; a new one is suggested for the model in the picker."""
        self.app.open_trainings(self.picker.model_name if self.picker is not None else "")

    def action_peaks(self) -> None:
        """Show the peaks of this machine, or ask to measure them."""
        self.app.open_peaks()

    def action_predict(self) -> None:
        """Predict the model in the picker, if that has the focus, or of the run under the cursor, on an NPU."""
        picker = self.picker
        if picker is not None and (picker.has_focus_within or self._table.run is None):
            from etui.services.summarize import Request

            self.app.open_prediction(Request(picker.model_name))
        elif self._table.run is not None:
            self._actions.predict_model(self._table.run.id)
        else:
            self.app.say("No run is under the cursor.", "warning")

    def action_evaluate(self) -> None:
        """Evaluate the programs of the marked runs, or of the run under the cursor, on labelled images."""
        if ids := self._chosen():
            self._actions.evaluate(ids)
        else:
            self.app.say("No run is under the cursor.", "warning")

    def action_tag_photos(self) -> None:
        """Tag photos with the program of the run under the cursor."""
        if self._table.run is None:
            self.app.say("No run is under the cursor.", "warning")
        else:
            self._actions.tag_photos(self._table.run.id)

    def action_copy(self) -> None:
        """Copy the marked runs as a table, or the run under the cursor in full."""
        from etui.tui.markdown import run_markdown, table_markdown

        ids = self._chosen()
        is_table = bool(self._table.marked)

        def text(store: Store) -> str:
            if is_table:
                return table_markdown(store.summaries([Condition("id", "in", ids)]))
            return run_markdown(store.document(ids[0]))

        if ids:
            self._actions.copy(text)

    @on(VirtualTable.MenuRequested)
    def _ask_action(self) -> None:
        """List what can be done with the marked runs, or with the run under the cursor."""
        table, run = self._table, self._table.run
        if table.marked:
            names = ["bench.compare", "bench.export", "bench.copy", "bench.delete", "table.unmark_all"]
            self._actions.menu(f"{len(table.marked):,} marked runs", names)
        elif run is None:
            self.app.say("No run is under the cursor.", "warning")
        else:
            names = ["table.details", "table.mark", "table.baseline", "bench.compare", "bench.trend", "bench.export"]
            last = "bench.cancel" if run.status in LIVE_STATUSES else "bench.delete"
            self._actions.menu(f"{run.model} {run.configuration}", [*names, "bench.copy", last])

    def _ask_columns(self) -> None:
        """Choose the columns of the table."""
        from etui.tui.screens.columns import ColumnsDialog

        table = self._table
        columns = [(column.name, _described(column, table)) for column in COLUMNS]
        self._actions.ask(ColumnsDialog(columns, [column.name for column in table.columns]), table.show_columns)

    def _ask_order(self) -> None:
        """Sort by a column; the sorted one is reversed."""
        from etui.tui.screens.sort import SortDialog

        table = self._table

        def sort(name: str) -> None:
            if name == table.order.column:
                table.action_sort_direction()
            else:
                table.sort_by(name)

        columns = [(column.name, _described(column)) for column in COLUMNS]
        self._actions.ask(SortDialog(columns, table.order.column), sort)

    def _ask_jump(self) -> None:
        """Ask for a run's id and move the cursor to it; clear the filter, which might hide it."""
        from etui.tui.screens.jump import JumpDialog

        def jump(run_id: str) -> None:
            self._table.go_to(run_id, msgspec.structs.replace(self._table.order, where=()))
            self.query_one(FilterBar).clear()

        self._actions.ask(JumpDialog(self.database), jump)


def _described(column: Column, table: RunsTable | None = None) -> str:
    """Return the line of a column in a dialog: its heading, its meaning, and for a ``table`` whether it fits."""
    same = column.about.lower() in ("", column.title.lower())
    fits = table is None or column not in table.columns or column.name in table.visible_columns
    return f"{column.title}{'' if same else f': {column.about}'}{'' if fits else ' (no room)'}"


def _empty_message(*, is_filtered: bool) -> list[str]:
    """Return the lines of a table without rows: why it is empty, and which keys help."""
    if is_filtered:
        return ["No runs match this filter.", "", "Press / to change the filter, escape to clear it."]
    lines = ["No runs yet.", "", "r  run the configurations chosen in the picker", "i  import runs from JSON files"]
    if Path(_SAMPLES).is_dir():
        lines += ["", f"./{_SAMPLES} contains sample runs: press i to import them"]
    return lines


def _ending(run: RunSummary) -> str:
    from etui.analysis.trust import REMARKS
    from etui.text import as_fast, number

    if run.status != "done":
        return f"{run.status}; {run.error}" if run.error else run.status
    latency = f"{number(run.latency_median_ms)} ms"
    speed = f"{as_fast(run.speedup)} as eager" if run.speedup is not None else None
    if speed is not None and run.speed_verdict == "unreliable":
        speed += " (unreliable)"
    flags = [plain(name) for name in run.flags or () if name not in REMARKS]
    more = f" and {len(flags) - _MOST_FLAGS} more" if len(flags) > _MOST_FLAGS else ""
    flagged = f"flagged: {', '.join(flags[:_MOST_FLAGS])}{more}" if flags else ""
    return ", ".join(part for part in (latency, speed, run.verdict, flagged) if part)


def _escaped(text: str) -> str:
    """Escape text for a border title, which Textual parses as markup."""
    return text.replace("[", r"\[")
