"""The main screen's actions on runs: start, cancel, export, import, delete, copy, and the dialogs of the table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from textual.screen import Screen

from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.store import Condition
from etui.text import counted
from etui.tui.database import Library
from etui.tui.defect_guard import Guarded
from etui.tui.feed import Snapshot
from etui.tui.runs_columns import COLUMNS
from etui.tui.screen_host import ScreenHost
from etui.tui.widgets.filter_bar import FilterBar
from etui.tui.widgets.runs_table import RunsTable
from etui.tui.workers import start

if TYPE_CHECKING:
    from etui.catalog.find import Model
    from etui.spec import SessionSpec

T = TypeVar("T")
_SAMPLES = "sample_results"


class BenchActions(Guarded, Screen[None]):
    """The actions of the main screen. Disk access runs in a thread; its errors are reported in a notice."""

    app: ScreenHost
    library: Library
    snapshot: Snapshot | None = None

    def _in_thread(self, work: Callable[[], T], on_result: Callable[[T], object]) -> None:
        start(self, partial(self._run, work, on_result))

    async def _run(self, work: Callable[[], T], on_result: Callable[[T], object]) -> None:
        try:
            result = await asyncio.to_thread(work)
        except EtuiError as error:
            self.app.complain(error)
            return
        on_result(result)
        self.app.nudge()

    def _dialog(self, screen: Screen[T | None], on_result: Callable[[T], object]) -> None:
        def closed(result: T | None) -> None:
            if result is not None:
                on_result(result)

        self.app.push_screen(screen, closed)

    @property
    def _table(self) -> RunsTable:
        return self.query_one(RunsTable)

    def start(self, spec: SessionSpec, model: Model) -> None:
        """Queue a session, and move the cursor to its first run."""

        def queued(session_runs: Sequence[str]) -> None:
            self.remove_class("-new")
            self._table.focus()
            self._table.go_to(session_runs[0])
            self.app.say(f"{model.name}: {counted(len(session_runs), 'run')} queued.")

        def submit() -> list[str]:
            return [run_id for run_id, _ in self.library.submit(spec, model).runs]

        self._in_thread(submit, queued)

    def action_cancel(self) -> None:
        """Cancel the run under the cursor if it is live, else the running session, else the next queued one."""
        run = self._table.run
        sessions = self.snapshot.sessions if self.snapshot else ()
        if run is not None and run.status in LIVE_STATUSES:
            ids = [run.id]
        elif sessions:
            ids = [live.id for live in sessions[0].runs if live.status in LIVE_STATUSES]
        else:
            ids = []
        if not ids:
            self.app.say("No run is running or queued.", "warning")
            return

        def requested(live: list[str]) -> None:
            if live:
                self.app.say(f"Cancelling {counted(len(live), 'run')}; completed blocks are kept.")
            self._table.reload()

        self._in_thread(lambda: self.library.cancel(ids), requested)

    def check_baseline(self, run_id: str) -> None:
        """Unpin the baseline of the previous start, with a notice, if its run was deleted."""

        def read(runs: Sequence[RunSummary]) -> None:
            if not runs and self._table.baseline == run_id:
                self._table.pin(None)
                self.app.say(f"The baseline {run_id[:6]} was deleted; it is no longer pinned.", "warning", keep=True)

        self._in_thread(lambda: self.library.summaries([run_id]), read)

    def _chosen(self) -> list[str]:
        ids = self._table.chosen_ids()
        if not ids:
            self.app.say("No run is under the cursor.", "warning")
        return ids

    def action_export(self) -> None:
        """Export the marked runs, or the run under the cursor."""
        from etui.tui.screens.export import ExportDialog

        if ids := self._chosen():
            self._dialog(ExportDialog(self.library.database, ids), self._exported)

    def _exported(self, paths: Sequence[Path]) -> None:
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            self.app.say(f"Exported to {paths[0]}{more}", keep=True)

    def action_import(self) -> None:
        """Import runs from files."""
        from etui.tui.screens.import_runs import ImportDialog

        start = _SAMPLES if Path(_SAMPLES).is_dir() and not self._table.total else ""
        self._dialog(ImportDialog(self.library.database, start), self._imported)

    def _imported(self, count: int) -> None:
        if count:
            self.app.say(f"{counted(count, 'run')} imported.", keep=True)
        self._table.reload()

    def action_delete(self) -> None:
        """Delete the marked runs, or the run under the cursor, after confirmation."""
        from etui.tui.screens.confirm import ConfirmDialog

        ids = self._chosen()
        if not ids:
            return
        run = self._table.run
        is_single = len(ids) == 1
        what = f"the run {ids[0][:6]}" if is_single else f"{len(ids):,} runs"
        if is_single and run is not None and run.id == ids[0]:
            what = f"{run.model} {run.precision}/{run.delegate} ({run.id[:6]})"
        text = f"Delete {what} with all samples and logs? This cannot be undone. To keep a copy, export it first."
        self._dialog(
            ConfirmDialog("Delete a run" if is_single else "Delete runs", text, "Delete"),
            lambda confirmed: self._delete(ids) if confirmed else None,
        )

    def _delete(self, ids: Sequence[str]) -> None:
        def deleted(count: int) -> None:
            pinned = ", including the pinned baseline" if self._table.baseline in ids else ""
            self.app.say(f"{counted(count, 'run')} deleted{pinned}.", keep=True)
            self._table.keep_marks(ids)
            self._table.reload()

        self._in_thread(lambda: self.library.delete(ids), deleted)

    def action_compare(self) -> None:
        """Compare the marked runs with the pinned baseline, else with the run under the cursor; without marks, the run
        under the cursor with the baseline."""
        from etui.tui.screens.compare import MOST_RUNS, CompareScreen

        ids, table = self._chosen(), self._table
        if not ids:
            return
        if len(ids) > MOST_RUNS:
            self.app.say(
                f"{len(ids):,} runs are marked, but at most {MOST_RUNS:,} can be compared; mark fewer", "warning"
            )
            return
        cursor = table.run.id if table.run else None
        self.app.push_screen(
            CompareScreen(self.library.database, ids, baseline=table.baseline, cursor=cursor if cursor in ids else None)
        )

    def action_trend(self) -> None:
        """Show the trend of this run's configuration."""
        from etui.tui.screens.trend import TrendScreen

        if self._table.run is None:
            self.app.say("No run is under the cursor.", "warning")
        else:
            self.app.push_screen(TrendScreen(self.library.database, self._table.run.id))

    def action_copy(self) -> None:
        """Copy the marked runs as a table, or the run under the cursor in full."""
        from etui.tui.markdown import copy_markdown, run_markdown, table_markdown

        ids = self._chosen()
        if not ids:
            return
        marked = bool(self._table.marked)

        def text() -> str:
            if marked:
                return table_markdown(self.library.summaries(ids))
            return run_markdown(self.library.run(ids[0])[0])

        self._in_thread(text, lambda markdown: self.app.say(copy_markdown(self.app, markdown), keep=True))

    def ask_columns(self) -> None:
        """Choose the columns of the table."""
        from etui.tui.screens.columns import ColumnsDialog

        table = self._table
        columns = [(column.name, f"{column.title}: {column.about}") for column in COLUMNS]
        self._dialog(ColumnsDialog(columns, [column.name for column in table.columns]), table.show_columns)

    def ask_jump(self) -> None:
        """Ask for a run's id and jump to it."""
        from etui.tui.screens.jump import JumpDialog

        self._dialog(JumpDialog(self.library.database), self.jump_to)

    def jump_to(self, run_id: str) -> None:
        """Move the cursor to a run, and clear the filter, which might hide it."""
        self._table.go_to(run_id, msgspec.structs.replace(self._table.order, where=()))
        self.query_one(FilterBar).clear()

    def filter_runs(self, conditions: tuple[Condition, ...]) -> None:
        """Show only the runs that match these conditions."""
        self._table.show_order(msgspec.structs.replace(self._table.order, where=conditions))
