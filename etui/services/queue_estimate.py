"""Estimate when the sessions of the queue will start: what is left of the running one, and the durations of those that
wait before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from etui.catalog.find import find_model
from etui.errors import EtuiError
from etui.host.cpus import usable_cores
from etui.paths import cache_dir
from etui.services.progress_state import SessionProgress
from etui.services.session_progress import tracker_of
from etui.services.time_estimate import estimate, has_known_size, newest_similar
from etui.store import QueuedSession, Store
from etui.text import about_seconds, counted


class Durations:
    """Estimated durations of whole sessions. Each is computed once: it reads similar runs."""

    def __init__(self) -> None:
        self._known: dict[str, float | None] = {}

    def of(self, store: Store, session: QueuedSession) -> float | None:
        """Return the estimated duration of a session in seconds; None if nothing is known about the model. Raises
        StoreError."""
        if session.id not in self._known:
            self._known[session.id] = self._estimated(store, session)
        return self._known[session.id]

    def keep(self, session_ids: Iterable[str]) -> None:
        """Forget all other sessions."""
        kept = set(session_ids)
        self._known = {name: value for name, value in self._known.items() if name in kept}

    def _estimated(self, store: Store, session: QueuedSession) -> float | None:
        try:
            model, cache = find_model(session.spec.model), cache_dir()
        except (EtuiError, OSError):
            return None
        similar = newest_similar(store, session.spec, model, cache)
        if not similar and not has_known_size(model):
            return None
        return estimate(session.spec, model, similar, usable_cores()).seconds


def time_left(progress: SessionProgress | None, duration_s: float | None, now: datetime) -> float | None:
    """Return the seconds left of a running session: as its progress says, else its estimated duration without the share
    that is done. None if neither is known."""
    left = None if progress is None else progress.left_at(now)
    if left is not None or duration_s is None:
        return left
    return duration_s * (1 - (progress.share_at(now) if progress is not None else 0.0))


def starts(times_left: Sequence[float | None]) -> list[float | None]:
    """Return in how many seconds each session starts that follows in the queue, from the times that those before it
    still take; None if one of these is unknown."""
    result: list[float | None] = []
    total: float | None = 0.0
    for left in times_left:
        total = None if total is None or left is None else total + left
        result.append(total)
    return result


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """The unfinished sessions ahead of one in the queue: their number, the model of the first, and the seconds until
    they have ended, None if unknown."""

    sessions: int
    first_model: str = ""
    seconds: float | None = 0.0

    @property
    def text(self) -> str:
        """The number of sessions and the time."""
        time = f", about {about_seconds(self.seconds)}" if self.sessions and self.seconds is not None else ""
        return f"{counted(self.sessions, 'session')} ahead in the queue{time}"


def ahead_of(store: Store, session_id: str, durations: Durations | None = None) -> Ahead:
    """Return what is ahead of a waiting session. Raises StoreError."""
    before = [session for session in store.sessions_waiting_before(session_id) if session.runs]
    if not before:
        return Ahead(sessions=0)
    return Ahead(
        sessions=len(before),
        first_model=before[0].spec.model.rsplit("/", 1)[-1],
        seconds=time_until_start(store, before, durations or Durations()),
    )


def time_until_start(store: Store, before: Sequence[QueuedSession], durations: Durations) -> float | None:
    """Return the seconds until the unfinished sessions ``before`` have ended, None if unknown. Raises StoreError."""
    now = datetime.now(UTC)
    left = []
    for session in before:
        progress = None
        if session.claimed_by is not None:
            tracker = tracker_of(store, session)
            for event in store.events_after(session.id, 0):
                progress = tracker.add(event)
        left.append(time_left(progress, durations.of(store, session), now))
    return starts(left)[-1] if left else 0.0
