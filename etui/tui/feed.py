"""Snapshots of the queue and of new events, read by background work that polls the database.

It reads, posts snapshots, and takes care of a runner that died. If the database is missing, locked or damaged, the
snapshot holds a message about it, and the feed keeps trying.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from etui.errors import EtuiError
from etui.events import Event
from etui.facts import RunSummary
from etui.host.current_state import HostFacts, HostWatch
from etui.paths import installation
from etui.results import LIVE_STATUSES
from etui.services.progress_state import SessionProgress
from etui.services.queue_estimate import Durations
from etui.services.session_progress import ProgressTracker, tracker_of
from etui.store import Condition, QueuedSession, Store
from etui.task_training import QueuedTraining
from etui.tui.database import Database
from etui.tui.error_text import to_text
from etui.tui.workers import Rest, in_daemon_thread

IDLE_LOOK_S = 0.25
LIVE_LOOK_S = 1.0
MEASURING_LOOK_S = 1.5
"""During a measurement the screen, which shares the machine, must use at most 1 % of a core."""
HOST_LOOK_S = 5.0
RUNNER_CHECK_S = 2.0
DEFECT_REST_S = 10.0
"""The pause after a defect: one that occurs at every look must not end the app (``defect_guard.MOST_A_MINUTE``)."""
OLD_EVENTS = 2_000


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is queued or running. ``runs`` are all its runs in order, finished ones too;
    ``medians`` the medians of the blocks so far, in milliseconds, by the variant's label; ``duration_s`` the estimated
    duration of the whole session, None if nothing is known about its model."""

    session: QueuedSession
    runs: tuple[RunSummary, ...]
    progress: SessionProgress | None = None
    medians: Mapping[str, tuple[float, ...]] = {}
    planned_blocks: int = 0
    duration_s: float | None = None

    @property
    def waits(self) -> bool:
        """Whether no runner has claimed it yet."""
        return self.session.claimed_by is None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The queue, and the changes since the previous snapshot.

    ``sessions`` and ``trainings`` are the live ones, oldest first; ``events`` the new events by session id (for a new
    session, the newest ones); ``ended`` the ids of runs that are no longer live; ``changed`` whether the database was
    written to; ``version`` counts those changes. With a ``problem`` (a message) the other fields keep their last
    values.
    """

    version: int
    host: HostFacts
    sessions: tuple[LiveSession, ...] = ()
    trainings: tuple[QueuedTraining, ...] = ()
    events: Mapping[str, tuple[Event, ...]] = {}
    ended: tuple[str, ...] = ()
    changed: bool = False
    problem: str | None = None

    @property
    def current(self) -> LiveSession | None:
        """The session that is running."""
        return next((session for session in self.sessions if not session.waits), None)


class _Blocks:
    """The medians of the blocks of a session, read as the blocks arrive."""

    def __init__(self) -> None:
        self._last = 0
        self._medians: dict[str, tuple[float, ...]] = {}

    def read(self, store: Store, session_id: str) -> Mapping[str, tuple[float, ...]]:
        """Read the new blocks; return the medians so far, in milliseconds, by the variant's label."""
        for number, block in store.blocks_after(session_id, self._last):
            self._last = number
            if block.samples_ms and not block.superseded:
                before = self._medians.get(block.variant, ())
                self._medians[block.variant] = (*before, statistics.median(block.samples_ms))
        return dict(self._medians)


class Feed:
    """Poll the database and pass each new snapshot to ``post``, and an unexpected exception to ``report``."""

    def __init__(
        self, database: Database, post: Callable[[Snapshot], object], report: Callable[[Exception], object]
    ) -> None:
        self._post = post
        self._report = report
        self._connection = database.connect()
        self._store: Store | None = None
        self._seen_version: int | None = None
        self._version = 0
        self._last_event: dict[str, int] = {}
        self._trackers: dict[str, ProgressTracker] = {}
        self._blocks: dict[str, _Blocks] = {}
        self._durations = Durations()
        self._has_queue = False
        """Whether a session waits behind another one, so that it is of interest how long they take."""
        self._sessions: tuple[LiveSession, ...] = ()
        self._trainings: tuple[QueuedTraining, ...] = ()
        self._host = HostWatch()
        self._host_facts = self._host.read()
        self._problem: str | None = None
        self._host_read_at = self._runner_checked_at = 0.0
        self._rest = Rest()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            try:
                # Ending the runs of a dead runner waits for other writers, for which quitting must not wait.
                snapshot = await in_daemon_thread(self.look)
            except Exception as error:  # noqa: BLE001 - without the feed the screen would freeze without a message
                self._seen_version = None
                self._report(error)
                await asyncio.sleep(DEFECT_REST_S)
                continue
            if snapshot is not None:
                self._post(snapshot)
            await self._rest.wait(self._rest_s())

    def nudge(self) -> None:
        """Read at once, after a change made by the user."""
        self._rest.end()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def look(self) -> Snapshot | None:
        """Read once; return a snapshot, or None if nothing has to be redrawn."""
        now = time.monotonic()
        host_changed = self._look_at_host(now)
        try:
            snapshot = self._connection.run(lambda store: self._look_at_store(store, now))
        except EtuiError as error:
            return self._trouble(error)
        if snapshot is not None:
            return snapshot
        if self._problem is not None or host_changed or self._sessions:
            self._problem = None
            return self._snapshot()
        return None

    def _look_at_store(self, store: Store, now: float) -> Snapshot | None:
        if store is not self._store:
            # The versions of two connections cannot be compared.
            self._store, self._seen_version = store, None
        self._look_after_runner(store, now)
        version = store.data_version()
        if version == self._seen_version:
            return None
        # The version counts as seen only after a successful read: after a failure everything is read again.
        snapshot = self._read(store)
        self._seen_version, self._problem = version, None
        return snapshot

    def _rest_s(self) -> float:
        if not self._sessions:
            # A training writes its progress several times a second.
            return MEASURING_LOOK_S if self._trainings else IDLE_LOOK_S
        progress = self._sessions[0].progress
        return MEASURING_LOOK_S if progress is not None and progress.is_measuring else LIVE_LOOK_S

    def _trouble(self, error: EtuiError) -> Snapshot | None:
        self._seen_version = None
        message = to_text(error)
        if message == self._problem:
            return None
        self._problem = message
        return self._snapshot()

    def _read(self, store: Store) -> Snapshot:
        before = {run.id for session in self._sessions for run in session.runs if run.status in LIVE_STATUSES}
        live_runs = store.summaries([Condition("status", "in", sorted(LIVE_STATUSES))], descending=False)
        known = {session.session.id: session for session in self._sessions}
        events: dict[str, tuple[Event, ...]] = {}
        sessions = []
        self._has_queue = len({run.session for run in live_runs}) > 1
        for session_id in dict.fromkeys([*known, *(run.session for run in live_runs)]):
            new = store.events_after(session_id, self._last_event.get(session_id, 0))
            if new:
                events[session_id] = tuple(new[-OLD_EVENTS:])
                self._last_event[session_id] = new[-1].id or 0
            if any(run.session == session_id for run in live_runs):
                sessions.append(self._live_session(store, session_id, new))
        self._trainings = tuple(store.live_trainings())
        self._sessions = tuple(sorted(sessions, key=lambda live: (live.waits, live.session.created_at)))
        for session_id in set(self._last_event) - {live.session.id for live in self._sessions}:
            self._last_event.pop(session_id)
            self._trackers.pop(session_id, None)
            self._blocks.pop(session_id, None)
        self._durations.keep(live.session.id for live in self._sessions)
        ended = tuple(sorted(before - {run.id for run in live_runs}))
        self._version += 1
        return self._snapshot(events=events, ended=ended, changed=True)

    def _live_session(self, store: Store, session_id: str, new: Sequence[Event]) -> LiveSession:
        session = store.session(session_id)
        tracker = self._trackers.get(session_id)
        if tracker is None:
            tracker = self._trackers[session_id] = tracker_of(store, session)
        for event in new:
            tracker.add(event)
        return LiveSession(
            session=session,
            runs=tuple(store.summaries([Condition("session", "=", session_id)], descending=False)),
            progress=tracker.progress,
            medians=self._blocks.setdefault(session_id, _Blocks()).read(store, session_id),
            planned_blocks=tracker.planned_blocks,
            duration_s=self._durations.of(store, session) if self._has_queue else None,
        )

    def _snapshot(
        self,
        events: Mapping[str, tuple[Event, ...]] | None = None,
        ended: tuple[str, ...] = (),
        changed: bool = False,
    ) -> Snapshot:
        return Snapshot(
            version=self._version,
            host=self._host_facts,
            sessions=self._sessions,
            trainings=self._trainings,
            events=events or {},
            ended=ended,
            changed=changed,
            problem=self._problem if not changed else None,
        )

    def _look_at_host(self, now: float) -> bool:
        if now - self._host_read_at < HOST_LOOK_S:
            return False
        before, self._host_facts, self._host_read_at = self._host_facts, self._host.read(), now
        return self._host_facts != before

    def _look_after_runner(self, store: Store, now: float) -> None:
        """End the runs of a runner that died, and start a runner for queued work."""
        if now - self._runner_checked_at < RUNNER_CHECK_S:
            return
        self._runner_checked_at = now
        if store.read_only or not store.has_live_work():
            return
        from etui.runner.start import ensure_runner, recover

        recover(store)
        if store.has_waiting_work(socket.gethostname(), installation()):
            ensure_runner(store.path)
