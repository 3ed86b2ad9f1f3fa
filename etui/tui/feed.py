"""What the database says now, as frozen snapshots from a thread that looks some times a second.

The thread only reads and posts; whoever draws decides what to do with a snapshot. It survives a database that vanishes,
is locked or is damaged: the snapshot then says so in words, and the thread goes on trying.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from etui.errors import EtuiError, StoreError
from etui.events import Event
from etui.host.cpus import usable_cores
from etui.host.environment import governor
from etui.paths import installation
from etui.results import LIVE_STATUSES
from etui.store import Condition, QueuedSession, Store
from etui.summary import RunSummary

IDLE_LOOK_S = 0.25
LIVE_LOOK_S = 1.0
MEASURING_LOOK_S = 1.5
"""While something is measured the screen, which shares the machine, may not cost more than a hundredth of a core."""
BOX_LOOK_S = 5.0
RUNNER_CHECK_S = 2.0
OLD_EVENTS = 2_000


class BoxFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The box in figures: its name, the cores this process may use, the load over a minute, the governor's name."""

    host: str
    cores: int
    load: float | None
    governor: str | None


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that waits or is worked on. ``runs`` are all its runs as they stand, ended ones too, in order;
    ``step`` is the last stage or block that was said of it, ``progress`` the last progress."""

    session: QueuedSession
    runs: tuple[RunSummary, ...]
    step: Event | None = None
    progress: Event | None = None

    @property
    def waits(self) -> bool:
        """Whether no runner has taken it yet."""
        return self.session.claimed_by is None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The queue and what is new since the snapshot before.

    ``sessions`` are the live ones, the oldest first; ``events`` the new events by session id (at the first sight of a
    session its newest ones); ``ended`` the runs that were live before and are no more; ``changed`` whether anybody
    wrote to the database meanwhile; ``version`` counts those changes. With a ``problem`` the rest is as it last was.
    """

    version: int
    box: BoxFacts
    sessions: tuple[LiveSession, ...] = ()
    events: Mapping[str, tuple[Event, ...]] = {}
    ended: tuple[str, ...] = ()
    changed: bool = False
    problem: str | None = None

    @property
    def current(self) -> LiveSession | None:
        """The session that is worked on now."""
        return next((session for session in self.sessions if not session.waits), None)


class Feed:
    """Looks at the database from a thread of its own and hands each new snapshot to ``post``."""

    def __init__(self, database: Path, post: Callable[[Snapshot], object]) -> None:
        self._database = database
        self._post = post
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._seen_version: int | None = None
        self._version = 0
        self._last_event: dict[str, int] = {}
        self._steps: dict[str, Event] = {}
        self._progress: dict[str, Event] = {}
        self._sessions: tuple[LiveSession, ...] = ()
        self._box = read_box()
        self._problem: str | None = None
        self._box_read_at = self._runner_checked_at = 0.0
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="etui-feed", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a look that is under way may outlast this call and is not waited for."""
        self._stopped.set()
        self._wake.set()

    def nudge(self) -> None:
        """Look at once, since the user has just changed something."""
        self._wake.set()

    def look(self) -> Snapshot | None:
        """One look: a snapshot, or None where there is nothing to redraw."""
        now = time.monotonic()
        box_changed = self._look_at_box(now)
        try:
            store = self._opened()
            self._look_after_runner(store, now)
            version = store.data_version()
            if version != self._seen_version:
                # Only a look that came through counts as seen: after a failure everything is read again.
                snapshot = self._read(store)
                self._seen_version, self._problem = version, None
                return snapshot
        except EtuiError as error:
            return self._trouble(error)
        except Exception as error:  # noqa: BLE001 - without this thread the screen would stand still and say nothing
            return self._trouble(EtuiError(f"a defect in etui ({type(error).__name__}: {error})", "please report it"))
        if self._problem is not None or box_changed or self._sessions:
            self._problem = None
            return self._snapshot()
        return None

    def _run(self) -> None:
        while not self._stopped.is_set():
            snapshot = self.look()
            if snapshot is not None and not self._stopped.is_set():
                self._post(snapshot)
            self._wake.wait(self._rest_s())
            self._wake.clear()
        self._close()

    def _rest_s(self) -> float:
        if not self._sessions:
            return IDLE_LOOK_S
        step = self._sessions[0].step
        return MEASURING_LOOK_S if step is not None and step.stage == "measure" else LIVE_LOOK_S

    def _opened(self) -> Store:
        """The store of the file that is there now. A file that was deleted or replaced still answers: it must not."""
        try:
            status = self._database.stat()
            file = (status.st_dev, status.st_ino)
        except OSError:
            self._close()
            raise StoreError(f"the database {self._database} is gone", "put it back, or start etui afresh") from None
        if self._store is None or file != self._file:
            self._close()
            self._store, self._file = Store.open(self._database, create=False), file
        return self._store

    def _close(self) -> None:
        store, self._store, self._seen_version = self._store, None, None
        if store is not None:
            store.close()

    def _trouble(self, error: EtuiError) -> Snapshot | None:
        # A connection to a damaged or replaced file never recovers; the next look begins with a fresh one.
        self._close()
        words = str(error)
        if words == self._problem:
            return None
        self._problem = words
        return self._snapshot()

    def _read(self, store: Store) -> Snapshot:
        before = {run.id for session in self._sessions for run in session.runs if run.status in LIVE_STATUSES}
        live = store.summaries([Condition("status", "in", sorted(LIVE_STATUSES))], descending=False)
        known = {session.session.id: session for session in self._sessions}
        events: dict[str, tuple[Event, ...]] = {}
        sessions = []
        for session_id in dict.fromkeys([*known, *(run.session for run in live)]):
            new = store.events_after(session_id, self._last_event.get(session_id, 0), newest=OLD_EVENTS)
            if new:
                events[session_id] = tuple(new)
                self._remember(session_id, new)
            if any(run.session == session_id for run in live):
                sessions.append(self._live_session(store, session_id))
        self._sessions = tuple(sorted(sessions, key=lambda one: (one.waits, one.session.created_at)))
        for session_id in set(self._last_event) - {one.session.id for one in self._sessions}:
            for memory in (self._last_event, self._steps, self._progress):
                memory.pop(session_id, None)
        ended = tuple(sorted(before - {run.id for run in live}))
        self._version += 1
        return self._snapshot(events=events, ended=ended, changed=True)

    def _live_session(self, store: Store, session_id: str) -> LiveSession:
        return LiveSession(
            session=store.session(session_id),
            runs=tuple(store.summaries([Condition("session", "=", session_id)], descending=False)),
            step=self._steps.get(session_id),
            progress=self._progress.get(session_id),
        )

    def _remember(self, session_id: str, events: list[Event]) -> None:
        self._last_event[session_id] = events[-1].id or 0
        for event in events:
            if event.kind == "progress":
                self._progress[session_id] = event
            elif event.kind in ("stage", "block"):
                self._steps[session_id] = event
                if event.kind == "stage":
                    self._progress.pop(session_id, None)

    def _snapshot(
        self,
        events: Mapping[str, tuple[Event, ...]] | None = None,
        ended: tuple[str, ...] = (),
        changed: bool = False,
    ) -> Snapshot:
        return Snapshot(
            version=self._version,
            box=self._box,
            sessions=self._sessions,
            events=events or {},
            ended=ended,
            changed=changed,
            problem=self._problem if not changed else None,
        )

    def _look_at_box(self, now: float) -> bool:
        if now - self._box_read_at < BOX_LOOK_S:
            return False
        before, self._box, self._box_read_at = self._box, read_box(), now
        return self._box != before

    def _look_after_runner(self, store: Store, now: float) -> None:
        """Where a runner has died its runs must not look live for ever, and what waits must not wait for nobody."""
        if now - self._runner_checked_at < RUNNER_CHECK_S:
            return
        self._runner_checked_at = now
        if store.read_only or not (store.live_run_ids() or store.live_analyses()):
            return
        from etui.runner.start import ensure_runner, recover

        recover(store)
        if store.has_waiting_work(socket.gethostname(), installation()):
            ensure_runner(store.path)


def read_box() -> BoxFacts:
    """The box as it is now."""
    try:
        load: float | None = round(os.getloadavg()[0], 2)
    except OSError:
        load = None
    return BoxFacts(host=socket.gethostname(), cores=usable_cores(), load=load, governor=governor())
