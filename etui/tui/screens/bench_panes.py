"""The main screen's chart and log: the chart of the run under the cursor, and the log of the running session."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from textual.screen import Screen
from textual.timer import Timer

from etui.errors import EtuiError
from etui.events import Event
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.text import plain
from etui.tui.database import Library
from etui.tui.defect_guard import Guarded
from etui.tui.feed import Snapshot
from etui.tui.screen_host import ScreenHost
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.log_pane import LogPane
from etui.tui.workers import start

_SETTLE_S = 0.12
"""Delay before the chart of the run under the cursor is read: a key held down passes many runs."""
_SAMPLES = "sample_results"
_KEPT_NOTICES = 100


class BenchPanes(Guarded, Screen[None]):
    """The chart, the log and the notices about finished runs."""

    app: ScreenHost
    library: Library
    snapshot: Snapshot | None = None
    live_ids: frozenset[tuple[str, str]] = frozenset()
    drawn: str | None = None
    """The id of the run whose chart is shown."""
    _shown: RunSummary | None = None
    _timer: Timer | None = None
    _log_of: tuple[str | None, str | None] = (None, None)
    _log_seen = 0
    _notices: tuple[Event, ...] = ()

    def show_soon(self, run: RunSummary | None) -> None:
        """Show a run's chart, and its log if no session is running, after a short delay."""
        if run == self._shown:
            return
        self._shown = run
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_SETTLE_S, self._show)

    def _show(self) -> None:
        start(self, partial(self._show_run, self._shown), group="chart", exclusive=True)
        self._follow_log()

    async def _show_run(self, run: RunSummary | None) -> None:
        chart = self.query_one(ChartPane)
        self.drawn = None
        if run is None:
            chart.show_run(None, [])
            return
        try:
            document, past = await asyncio.to_thread(self.library.run, run.id)
        except EtuiError as error:
            # Not an error for the user: the run may have been deleted meanwhile.
            self.log.warning(str(error))
            chart.show_run(None, [])
            return
        chart.show_run(document, past)
        self.drawn = run.id

    # The log

    def log_snapshot(self, snapshot: Snapshot) -> None:
        """Add new events of the session that the log follows."""
        self._follow_log()
        session_id = self._log_of[0]
        new = [event for event in snapshot.events.get(session_id or "", ()) if (event.id or 0) > self._log_seen]
        if new and self._log_seen >= 0:
            self._log_seen = new[-1].id or 0
            self.query_one(LogPane).add(new)

    def log_notice(self, event: Event) -> None:
        """Add a notice of the app to the log."""
        self._notices = (*self._notices[-_KEPT_NOTICES:], event)
        self.query_one(LogPane).add([event])

    def _follow_log(self) -> None:
        """Follow the running session; if there is none, the run under the cursor."""
        current = self.snapshot.current if self.snapshot else None
        target: tuple[str | None, str | None] = (None, None)
        title, labels = "", dict[str, str]()
        if current is not None:
            target = (current.session.id, None)
            first = current.runs[0] if current.runs else None
            precisions = "+".join(dict.fromkeys(run.precision for run in current.runs))
            title = f"{first.model} {precisions}" if first else current.session.id
            labels = {run.id: f"{run.precision}/{run.delegate}" for run in current.runs}
        elif self._shown is not None:
            run = self._shown
            target = (run.session, run.id)
            title = f"{run.model} {run.precision}/{run.delegate}"
        if target != self._log_of:
            self._log_of, self._log_seen = target, -1
            self.query_one(LogPane).follow(*target, plain(title), labels)
            start(self, partial(self._read_log, *target), group="log", exclusive=True)

    async def _read_log(self, session_id: str | None, run_id: str | None) -> None:
        pane = self.query_one(LogPane)
        events: list[Event] = []
        if session_id is not None:
            try:
                events = await asyncio.to_thread(self.library.events, session_id, run_id)
            except EtuiError as error:
                self.app.complain(error)
        if (session_id, run_id) == self._log_of:
            self._log_seen = events[-1].id or 0 if events else 0
            run = self._shown
            ended = run is not None and run.id == run_id and run.status not in LIVE_STATUSES
            if run is not None and ended and events and all(event.kind != "finished" for event in events):
                # A run whose runner was killed, or that was imported, may lack its last event.
                events.append(Event(kind="finished", message=run.status, at=run.finished_at or events[-1].at))
            pane.show(sorted([*events, *self._notices], key=lambda event: event.at) if self._notices else events)

    # Messages

    def empty_message(self, *, filtered: bool) -> list[str]:
        """Return the lines of a table without rows: why it is empty, and which keys help."""
        if filtered:
            return ["No runs match this filter.", "", "Press / to change the filter, escape to clear it."]
        lines = ["No runs yet.", "", "r  run the configurations chosen in the picker", "i  import runs from JSON files"]
        if Path(_SAMPLES).is_dir():
            lines += ["", f"./{_SAMPLES} contains sample runs: press i to import them"]
        return lines

    def report_ended(self, run_ids: tuple[str, ...]) -> None:
        """Show a notice for each run that has ended."""
        start(self, partial(self._report_ended, run_ids), group="ended")

    async def _report_ended(self, run_ids: tuple[str, ...]) -> None:
        try:
            runs = await asyncio.to_thread(self.library.summaries, run_ids)
        except EtuiError as error:
            self.app.complain(error)
            return
        for run in runs:
            if run.status in LIVE_STATUSES:
                continue
            message = f"{run.model} {run.precision}/{run.delegate}: {_ending(run)}"
            bad = run.status not in ("done", "cancelled") or run.verdict == "FAIL"
            self.app.say(message, "error" if bad else "information", keep=bad)


def _ending(run: RunSummary) -> str:
    from etui.text import number, speedup

    if run.status != "done":
        return f"{run.status}; {run.error}" if run.error else run.status
    latency = f"{number(run.latency_median_ms)} ms, {speedup(run.speedup, run.speed_verdict)} eager"
    return f"{latency}, {run.verdict}" if run.verdict else latency
