"""The main screen's log: that of the running session, else that of the run under the cursor."""

from __future__ import annotations

from functools import partial

from etui.errors import EtuiError
from etui.events import Event
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.store import Store
from etui.text import plain
from etui.tui.database import Database
from etui.tui.feed import OLD_EVENTS, Snapshot
from etui.tui.widgets.log_pane import LogPane
from etui.tui.workers import start

Target = tuple[str | None, str | None]
"""The session and the run whose events are shown; without a run those of the whole session, without both none."""


class SessionLog:
    """Chooses whose events the pane shows, reads the stored ones, and adds new ones."""

    def __init__(self, pane: LogPane, database: Database) -> None:
        self._pane = pane
        self._database = database
        self._snapshot: Snapshot | None = None
        self._run: RunSummary | None = None
        self._target: Target = (None, None)
        self._last_event = 0
        """The id of the last event shown; negative while the stored events are read."""

    def take(self, snapshot: Snapshot) -> None:
        """Follow the running session of a snapshot, and add its new events."""
        self._snapshot = snapshot
        self._follow()
        session_id = self._target[0]
        new = [event for event in snapshot.events.get(session_id or "", ()) if (event.id or 0) > self._last_event]
        if new and self._last_event >= 0:
            self._last_event = new[-1].id or 0
            self._pane.add(new)

    def show_run(self, run: RunSummary | None) -> None:
        """Show the log of this run unless a session is running."""
        self._run = run
        self._follow()

    def _follow(self) -> None:
        current = self._snapshot.current if self._snapshot else None
        target: Target = (None, None)
        title, labels = "", dict[str, str]()
        if current is not None:
            target = (current.session.id, None)
            first = current.runs[0] if current.runs else None
            precisions = "+".join(dict.fromkeys(run.precision for run in current.runs))
            title = f"{first.model} {precisions}" if first else current.session.id
            labels = {run.id: run.configuration for run in current.runs}
        elif self._run is not None:
            run = self._run
            target = (run.session, run.id)
            title = f"{run.model} {run.configuration}"
        if target != self._target:
            self._target, self._last_event = target, -1
            self._pane.follow(*target, plain(title), labels)
            start(self._pane, partial(self._show_stored, *target), group="log", exclusive=True)

    async def _show_stored(self, session_id: str | None, run_id: str | None) -> None:
        events: list[Event] = []
        if session_id is not None:
            try:
                events = await self._database.read(partial(_newest_events, session_id, run_id))
            except EtuiError:
                # New events are added to an empty log.
                self._show([], run_id)
                raise
        self._show(events, run_id)

    def _show(self, events: list[Event], run_id: str | None) -> None:
        self._last_event = events[-1].id or 0 if events else 0
        run = self._run
        ended = run is not None and run.id == run_id and run.status not in LIVE_STATUSES
        if run is not None and ended and events and all(event.kind != "finished" for event in events):
            # A run whose runner was killed, or that was imported, may lack its last event.
            events.append(Event(kind="finished", message=run.status, at=run.finished_at or events[-1].at))
        self._pane.show(events)


def _newest_events(session_id: str, run_id: str | None, store: Store) -> list[Event]:
    return store.events_after(session_id, run_id=run_id, newest=OLD_EVENTS)
