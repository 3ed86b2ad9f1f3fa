"""What stands in the bench's panes: the chart of the run under the cursor, and whose log is shown."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from textual.screen import Screen
from textual.timer import Timer

from etui.errors import EtuiError
from etui.events import Event
from etui.results import LIVE_STATUSES
from etui.summary import RunSummary
from etui.text import plain
from etui.tui.database import Library
from etui.tui.defect_guard import Guarded
from etui.tui.feed import Snapshot
from etui.tui.screen_host import ScreenHost
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.log_pane import LogPane
from etui.tui.workers import start

_SETTLE_S = 0.12
"""So long the cursor must rest before its run's chart is read: a key held down passes many runs."""
_SAMPLES = "sample_results"
_KEPT_WORDS = 100


class BenchPanes(Guarded, Screen[None]):
    """The half of the bench that shows."""

    app: ScreenHost
    library: Library
    snapshot: Snapshot | None = None
    live_ids: frozenset[tuple[str, str]] = frozenset()
    drawn: str | None = None
    """The run whose chart stands there."""
    _shown: RunSummary | None = None
    _timer: Timer | None = None
    _log_of: tuple[str | None, str | None] = (None, None)
    _log_seen = 0
    _said: tuple[Event, ...] = ()

    def show_soon(self, run: RunSummary | None) -> None:
        """Show a run's chart, and its log where nothing is live, once the cursor rests."""
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
            # A run may be deleted between two looks; then there is nothing to draw, and nothing wrong either.
            self.log.warning(str(error))
            chart.show_run(None, [])
            return
        chart.show_run(document, past)
        self.drawn = run.id

    # The log

    def log_snapshot(self, snapshot: Snapshot) -> None:
        """Add to the log what was said of the session it follows."""
        self._follow_log()
        session_id = self._log_of[0]
        new = [event for event in snapshot.events.get(session_id or "", ()) if (event.id or 0) > self._log_seen]
        if new and self._log_seen >= 0:
            self._log_seen = new[-1].id or 0
            self.query_one(LogPane).add(new)

    def log_word(self, event: Event) -> None:
        """Keep something the app itself said where it can be read later."""
        self._said = (*self._said[-_KEPT_WORDS:], event)
        self.query_one(LogPane).add([event])

    def _follow_log(self) -> None:
        """The log is the live session's; where none is live, that of the run under the cursor."""
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
                # Nobody said the last word of a run whose runner was killed, or that came from elsewhere.
                events.append(Event(kind="finished", message=run.status, at=run.finished_at or events[-1].at))
            pane.show(sorted([*events, *self._said], key=lambda event: event.at) if self._said else events)

    # Words

    def empty_words(self, filtered: bool) -> list[str]:
        """What to do where there is no run to show."""
        if filtered:
            return ["No run is like that.", "", "/ changes the filter, escape shows every run."]
        words = ["No runs yet.", "", "r  measures what the picker says", "i  imports runs from JSON files"]
        if Path(_SAMPLES).is_dir():
            words += ["", f"./{_SAMPLES} holds real runs: press i to import them"]
        return words

    def tell_ended(self, run_ids: tuple[str, ...]) -> None:
        """Say how runs ended that were live a moment ago."""
        start(self, partial(self._tell_ended, run_ids), group="ended")

    async def _tell_ended(self, run_ids: tuple[str, ...]) -> None:
        try:
            runs = await asyncio.to_thread(self.library.summaries, run_ids)
        except EtuiError as error:
            self.app.complain(error)
            return
        for run in runs:
            if run.status in LIVE_STATUSES:
                continue
            words = f"{run.model} {run.precision}/{run.delegate}: {_ending(run)}"
            bad = run.status not in ("done", "cancelled") or run.accuracy.verdict == "FAIL"
            self.app.say(words, "error" if bad else "information", keep=bad)


def _ending(run: RunSummary) -> str:
    from etui.text import number, speedup

    if run.status != "done":
        return f"{run.status}; {run.error}" if run.error else run.status
    words = f"{number(run.latency_ms.median)} ms, {speedup(run.speedup.value, run.speedup.verdict)} eager"
    return f"{words}, {run.accuracy.verdict}" if run.accuracy.verdict else words
