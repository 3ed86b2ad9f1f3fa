"""The progress of one session, computed from its events: a share that never decreases, what is being done, and the time
left.

The share counts steps: preparation, the blocks of all variants, and the checks after them have fixed parts of it. The
time left is known once every variant has been measured once: it is the remaining blocks of each variant at its median
duration, blocks that are expected to be repeated, and the checks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from etui.events import Event
from etui.runner.plan import REPEAT_SHARE, make_plan
from etui.spec import EAGER, SessionSpec
from etui.text import moment

_PREPARED, _MEASURED = 0.2, 0.95
"""The share when preparation and timing are complete."""

_STAGE_SHARES = {
    "load": 0.0,
    "export": 0.1,
    "convert": 0.2,
    "compile": 0.2,
    "quantize": 0.2,
    "reference": 0.45,
    "lower": 0.5,
    "write": 0.95,
}
"""The share of a run's preparation at the begin of each stage."""

_LEAST_S = 0.05
"""A shorter time between two events of the timing is not that of a block."""

_EXPECTED_REPEATS, _EXPECTED_BLOCKS = 2.0, 8
"""The rate of repeats before any is observed: as on a noisy machine, and halved after a few blocks without one."""

_CHECKS_S, _LEAST_LOAD_S, _SIDE_BY_SIDE = 0.3, 0.1, 2.0
"""The checks load each program twice and eager once, in parallel workers."""

_CHECK_FACTOR = (0.5, 2.0)
"""Bounds of the time of one check relative to what a block takes besides its samples: it grows with that time, since
heavy workers slow each other down. Fitted to recorded sessions (``tests/services/recorded_sessions``)."""


class SessionProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The state after the last event, whose time is ``at``. ``share`` is between 0 and 1; without ``has_share``, as in
    a step of an analysis that reports no numbers, it is 0. ``step`` describes what is being done in about two words and
    ``doing`` in a sentence; ``left_s`` is None while it cannot be estimated."""

    share: float
    stage: str
    step: str
    doing: str
    at: str
    left_s: float | None = None
    has_share: bool = True

    @property
    def is_measuring(self) -> bool:
        """Whether samples are being taken, so that front ends should use little CPU time."""
        return self.stage == "measure"

    def left_at(self, now: datetime) -> float | None:
        """Return the seconds left at a time, at least 0; None if they cannot be estimated."""
        if self.left_s is None:
            return None
        reported = moment(self.at)
        return max(0.0, self.left_s - ((now - reported).total_seconds() if reported is not None else 0.0))


class ProgressTracker:
    """Follows the events of one session. ``labels`` are the labels of its runs' variants by run id."""

    def __init__(self, spec: SessionSpec, labels: Mapping[str, str]) -> None:
        plan = make_plan(spec, (), repeat=1, warmup=1)
        self._labels = dict(labels)
        self._blocks = plan.blocks
        self._block_s = plan.preset.block_s
        self._budget_s = None if spec.repeat is not None else plan.preset.budget_s
        self._export_only = spec.export_only_dir is not None
        self._has_eager = True
        self._prepared: dict[str, float] = {}
        self._preparing: dict[str, Event] = {}
        self._spent_s: dict[str, list[float]] = {}
        self._repeats_s: list[float] = []
        self._ended: set[str] = set()
        self._checked: set[str] = set()
        self._boundary: datetime | None = None
        """When the current block began."""
        self._block_left_s: float | None = None
        self._stage, self._step, self._doing = "", "starting", "starting"
        self._share = 0.0
        self.progress: SessionProgress | None = None

    def add(self, event: Event) -> SessionProgress | None:
        """Take an event into account and return the progress; None before the first stage."""
        now = moment(event.at) or datetime.now(UTC)
        if event.kind == "stage":
            self._begin_stage(event, now)
        elif event.kind == "block":
            self._end_block(self._labels.get(event.run_id or "", EAGER), now)
        elif event.kind == "progress":
            self._note_progress(event)
        elif event.kind == "finished" and event.run_id in self._labels:
            self._ended.add(event.run_id)
            self._preparing.pop(event.run_id, None)
        elif event.kind == "warning" and self._stage == "measure":
            self._end_repeated(now)
        elif event.kind == "log" and event.run_id is not None:
            self._end_part(event.run_id, event.stage)
        if self._stage:
            left_s = self._left_s(now)
            self._share = max(self._share, self._counted_share(now))
            self.progress = SessionProgress(
                share=self._share, stage=self._stage, step=self._step, doing=self._doing, at=event.at, left_s=left_s
            )
        return self.progress

    @property
    def planned_blocks(self) -> int:
        """The number of blocks that each variant is to be measured in."""
        return self._blocks

    # Events

    def _begin_stage(self, event: Event, now: datetime) -> None:
        stage = event.stage or ""
        label = self._labels.get(event.run_id or "")
        self._stage, self._step = stage, stage or event.message
        self._doing = f"{label}: {event.message}" if label and label not in event.message else event.message
        if event.run_id is not None and stage in _STAGE_SHARES:
            self._prepared[event.run_id] = max(self._prepared.get(event.run_id, 0.0), _STAGE_SHARES[stage])
            self._preparing[event.run_id] = event
        if stage == "measure":
            self._boundary = now
            if event.total is not None:
                self._has_eager = event.total > len(self._live()) * self._blocks

    def _end_part(self, run_id: str, stage: str | None) -> None:
        """Note that a part of a run's preparation, or its accuracy, is complete."""
        if stage == "accuracy":
            self._checked.add(run_id)
        begun = self._preparing.get(run_id)
        if begun is None or begun.stage != stage:
            return
        del self._preparing[run_id]
        if stage == "write":
            self._prepared[run_id] = 1.0
        for other in self._preparing.values():
            # Runs are prepared in parallel: describe one that still is.
            self._begin_stage(other, datetime.now(UTC))

    def _note_progress(self, event: Event) -> None:
        if event.message:
            self._doing = event.message
        self._stage = event.stage or self._stage
        if event.stage != "measure":
            return
        begin, _, _ = event.message.partition(":")
        if begin.startswith("block "):
            self._step, self._block_left_s = begin, None
        else:
            self._block_left_s = event.left_s

    def _end_block(self, variant: str, now: datetime) -> None:
        if self._boundary is not None:
            self._spent_s.setdefault(variant, []).append((now - self._boundary).total_seconds())
        self._boundary, self._block_left_s = now, None

    def _end_repeated(self, now: datetime) -> None:
        """Note a block that is measured again, if a block has been measured since the last event."""
        if self._boundary is not None and (spent_s := (now - self._boundary).total_seconds()) > _LEAST_S:
            self._repeats_s.append(spent_s)
            self._boundary, self._block_left_s = now, None

    # Figures

    def _live(self) -> list[str]:
        return [label for run_id, label in self._labels.items() if run_id not in self._ended]

    def _blocks_left(self) -> dict[str, int]:
        """Return the number of blocks that each variant will still be measured in."""
        left = {}
        for variant in self._live():
            spent = self._spent_s.get(variant, [])
            over = bool(spent) and self._budget_s is not None and sum(spent) + _typical(spent) > self._budget_s
            left[variant] = 0 if over else max(0, self._blocks - len(spent))
        if self._has_eager and any(left.values()):
            # Eager is measured as long as any program is.
            left[EAGER] = max(0, self._blocks - len(self._spent_s.get(EAGER, [])))
        return left

    def _counted_share(self, now: datetime) -> float:
        if not self._live():
            return 1.0
        prepared = statistics.fmean(self._prepared.get(run_id, 0.0) for run_id in self._labels)
        if self._export_only:
            return prepared
        if self._stage == "accuracy" or self._checked:
            return _MEASURED + (1 - _MEASURED) * len(self._checked | self._ended) / (len(self._labels) + 1)
        if self._stage == "wait":
            return _PREPARED
        if self._stage != "measure":
            return _PREPARED * prepared
        done = sum(len(spent) for spent in self._spent_s.values())
        left = sum(self._blocks_left().values())
        begun = 0.0
        if self._block_left_s is not None and self._boundary is not None:
            elapsed_s = (now - self._boundary).total_seconds()
            begun = min(0.95, elapsed_s / max(_LEAST_S, elapsed_s + self._block_left_s))
        return _PREPARED + (_MEASURED - _PREPARED) * min(1.0, (done + begun) / max(1, done + left))

    def _left_s(self, now: datetime) -> float | None:
        if not self._live():
            return 0.0
        if self._stage == "accuracy" or self._checked:
            return None if self.progress is None else self.progress.left_at(now)
        left = self._blocks_left()
        if self._stage != "measure" or not left or any(not self._spent_s.get(variant) for variant in left):
            return None
        blocks_s = sum(self._remaining_s(variant, count) for variant, count in left.items())
        elapsed_s = 0.0 if self._boundary is None else (now - self._boundary).total_seconds()
        blocks_s = max(blocks_s - elapsed_s, self._block_left_s or 0.0)
        return blocks_s * self._repeat_factor(sum(left.values())) + self._checks_s()

    def _remaining_s(self, variant: str, count: int) -> float:
        spent = self._spent_s[variant]
        remaining_s = _typical(spent) * count
        if self._budget_s is None:
            return remaining_s
        return min(remaining_s, max(_typical(spent) if count else 0.0, self._budget_s - sum(spent)))

    def _repeat_factor(self, left: int) -> float:
        """Return the factor for blocks that will be repeated, of which there is a limited number."""
        if not left:
            return 1.0
        done = sum(len(spent) for spent in self._spent_s.values())
        observed = len(self._repeats_s)
        rate = (observed + _EXPECTED_REPEATS) / (done + _EXPECTED_BLOCKS)
        most = max(0, math.ceil(REPEAT_SHARE * (done + left)) - observed)
        return 1 + min(rate * left, most) / left

    def _checks_s(self) -> float:
        least, most = _CHECK_FACTOR
        checks_s = {}
        for variant, spent in self._spent_s.items():
            load_s = max(_LEAST_LOAD_S, _typical(spent) - self._block_s)
            checks_s[variant] = load_s * min(most, max(least, load_s))
        eager_s = checks_s.pop(EAGER, 0.0)
        return _CHECKS_S + (2 * sum(checks_s.values()) + eager_s) / _SIDE_BY_SIDE


def analysis_progress(events: Sequence[Event]) -> SessionProgress | None:
    """Return the progress of the analysis that the last of these events belong to; None if it has not begun."""
    for event in reversed(events):
        if event.kind == "stage" or (event.kind == "progress" and event.total):
            counts = event.kind == "progress"
            stage = event.stage or ""
            return SessionProgress(
                share=min(1.0, (event.done or 0.0) / (event.total or 1.0)) if counts else 0.0,
                stage=stage,
                step=stage,
                doing=event.message,
                at=event.at,
                left_s=event.left_s,
                has_share=counts,
            )
    return None


def _typical(spent_s: list[float]) -> float:
    return statistics.median(spent_s)
