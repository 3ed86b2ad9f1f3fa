"""The progress of a session at one moment, as front ends show it: the share and the time left, which change between
events too, and their texts.

The tracker that computes it (``etui.services.session_progress``) is separate: the first paint of the screen does not
need it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec

from etui.text import about_seconds, clock, moment

OVERDUE = 0.25
"""A step whose end is overdue is expected to take this share of the time by which it is overdue longer."""

_ON_TIME = 0.6
"""A step progresses evenly up to this share of its expected time, and then slower and slower: it never completes before
its end is reported, however long it takes."""

_EXACT_S, _STEP_S = 10, 5
"""From this time left on, it is shown in steps."""


class SessionProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The state after the last event, whose time is ``at``. ``share`` is between 0 and 1; without ``has_share``, as in
    a step of an analysis that reports no numbers, it is 0. ``step`` describes what is being done in about two words and
    ``doing`` in a sentence, since the time ``since`` if that is known; ``left_s`` is None while it cannot be estimated,
    and ``is_rough`` if it is not based on blocks of this session.

    ``step_s`` seconds after ``at``, the share is expected to be ``next_share``; 0 if it only changes with events. Until
    the next event at least ``least_left_s`` seconds are left.
    """

    share: float
    stage: str
    step: str
    doing: str
    at: str
    left_s: float | None = None
    has_share: bool = True
    since: str = ""
    is_rough: bool = False
    next_share: float = 0.0
    step_s: float = 0.0
    least_left_s: float = 0.0

    @property
    def is_measuring(self) -> bool:
        """Whether samples are being taken, so that front ends should use little CPU time."""
        return self.stage == "measure"

    def share_at(self, now: datetime) -> float:
        """Return the share at a time. It never decreases with time, and is below ``next_share`` until the next
        event."""
        if self.step_s <= 0 or self.next_share <= self.share:
            return self.share
        return self.share + (self.next_share - self.share) * _begun(self.elapsed_s(now) / self.step_s)

    def left_at(self, now: datetime) -> float | None:
        """Return the seconds left at a time, at least 0; None if they cannot be estimated."""
        if self.left_s is None:
            return None
        elapsed_s = self.elapsed_s(now)
        overdue_s = max(0.0, elapsed_s - self.step_s) if self.step_s > 0 else 0.0
        return max(0.0, self.least_left_s + OVERDUE * overdue_s, self.left_s - elapsed_s)

    def doing_for_s(self, now: datetime) -> float | None:
        """Return for how many seconds what is being done has been done at a time; None if that is not known."""
        begun = moment(self.since) if self.since else None
        return None if begun is None else max(0.0, (now - begun).total_seconds())

    def elapsed_s(self, now: datetime) -> float:
        """Return the seconds since the last event at a time."""
        reported = moment(self.at)
        return max(0.0, (now - reported).total_seconds()) if reported is not None else 0.0


def left_text(progress: SessionProgress) -> str | None:
    """Return the time left as text, in steps of five seconds from ten on, rounded further while it is a rough estimate;
    None if it is not known."""
    left_s = progress.left_at(datetime.now(UTC))
    if left_s is None:
        return None
    if progress.is_rough:
        return f"about {about_seconds(left_s)} left"
    # Rounded: it is an estimate, and each change causes a redraw during the measurement.
    return f"{clock(left_s if left_s < _EXACT_S else math.ceil(left_s / _STEP_S) * _STEP_S)} left"


def share_text(share: float) -> str:
    """Return a share as a percentage, right-aligned; 100 % only for a complete session."""
    return f"{int(share * 100):2d} %"


def _begun(elapsed: float) -> float:
    """Return the part of a step that counts as complete after a share of its expected time."""
    if elapsed <= _ON_TIME:
        return elapsed
    # Continues with the same slope and approaches one.
    rest = 1 - _ON_TIME
    return 1 - rest**2 / (elapsed - _ON_TIME + rest)
