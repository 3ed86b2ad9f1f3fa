"""The panes of the main screen next to the runs: picker, queue, chart and log, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.services.queue_estimate import starts, time_left
from etui.store import QueuedSession
from etui.tui.bench.cursor_chart import CursorChart
from etui.tui.bench.session_log import SessionLog
from etui.tui.database import Database
from etui.tui.feed import LiveSession, Snapshot
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.picker import Picker
from etui.tui.widgets.queue_pane import QueuePane


class Panes:
    """The panes, and the objects that decide what the chart and the log show. The main screen mounts the panes."""

    def __init__(self, database: Database) -> None:
        self.picker = Picker(database, id="picker")
        self.queue = QueuePane(id="queue")
        self.chart, self.log = ChartPane(id="chart"), LogPane(id="log")
        self.chart.can_focus = True
        self._cursor_chart = CursorChart(self.chart, database)
        self._session_log = SessionLog(self.log, database)

    @property
    def drawn(self) -> str | None:
        """The id of the run whose chart is shown."""
        return self._cursor_chart.drawn

    def show_run(self, run: RunSummary | None) -> None:
        """Show the chart of a run, and its log unless a session is running; None for no run."""
        self._cursor_chart.show(run)
        self._session_log.show_run(run)

    def show_queue(self, snapshot: Snapshot) -> None:
        """Show the queue of a snapshot."""
        current = snapshot.current
        self.queue.show(
            [_unfinished(live) for live in snapshot.sessions],
            current.session.id if current is not None else None,
            current.progress.share_at(datetime.now(UTC)) if current is not None and current.progress else None,
            _starts(snapshot.sessions),
            snapshot.trainings,
        )

    def show_progress(self, snapshot: Snapshot) -> None:
        """Add what is new in a snapshot to the chart and the log."""
        current = snapshot.current
        self._cursor_chart.take(snapshot.sessions)
        self._session_log.take(snapshot)
        self.log.show_progress(current.progress if current is not None else None)


def _unfinished(live: LiveSession) -> QueuedSession:
    """Return a session with the runs that have not ended."""
    ended = {run.id for run in live.runs if run.status not in LIVE_STATUSES}
    left = [(run_id, variant) for run_id, variant in live.session.runs if run_id not in ended]
    return msgspec.structs.replace(live.session, runs=left)


def _starts(sessions: Sequence[LiveSession]) -> dict[str, float]:
    """Return in how many seconds each session that waits behind others will start, as far as that is known."""
    now = datetime.now(UTC)
    times = [time_left(None if live.waits else live.progress, live.duration_s, now) for live in sessions]
    following = zip(sessions[1:], starts(times[:-1]), strict=True)
    return {live.session.id: start_s for live, start_s in following if live.waits and start_s is not None}
