"""The progress of one session, computed from its events: a share that never decreases, what is being done, and the time
left.

Preparation, the blocks of all variants and the checks after them have fixed parts of the share, in proportion to what
they are expected to take (``etui.services.time_estimate``). Preparation progresses with time, since lowering a large
model takes minutes without an event; blocks are counted. A step of the preparation that takes less time than expected
does not make the share jump: the steps after it, and at last the blocks, get what it had.

The time left is first that expectation. Once every variant has been measured, it is the remaining blocks of each
variant at its median duration, blocks that are expected to be repeated, and the checks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from etui.catalog.find import find_model
from etui.errors import EtuiError
from etui.events import Event
from etui.host.cpus import usable_cores
from etui.paths import cache_dir
from etui.runner.plan import REPEAT_SHARE, make_plan
from etui.services.progress_state import OVERDUE, SessionProgress
from etui.services.time_estimate import ExpectedTimes, expected_of_session
from etui.spec import EAGER, SessionSpec, is_eager
from etui.store import QueuedSession, Store
from etui.text import moment

_PREPARED, _MEASURED = 0.2, 0.95
"""The share when preparation and timing are complete, if it is not known how long they take."""

_LEAST_PART, _MOST_CHECKS = 0.03, 0.3
"""The least share of each of the three parts, and the largest of the checks."""

_STAGES_S = {
    "load": 0.5,
    "export": 1.0,
    "convert": 3.0,
    "quantize": 4.0,
    "reference": 0.5,
    "compile": 20.0,
    "lower": 10.0,
    "write": 0.5,
}
"""The stages of preparing a program, in their order, with the seconds that are assumed if nothing is known."""
_BASELINE_STAGES = frozenset({"convert", "compile"})
"""The stages that only the programs of baselines have."""
_LOAD_S = 3.0

_LEAST_LEFT = 0.1
"""A step whose end is overdue is expected to take at least this share of its expected time longer."""

_ENOUGH_BLOCKS, _DISTURBED = 3, 1.5
"""Until a variant has this number of blocks, blocks that take longer than expected by this factor may be disturbed."""

_SAME = 1e-6
"""Shares that differ by less are equal."""

_LEAST_S = 0.05
"""A shorter time between two events of the timing is not that of a block."""

_EXPECTED_REPEATS, _EXPECTED_BLOCKS = 2.0, 8
"""The rate of repeats before any is observed: as on a noisy machine, and halved after a few blocks without one."""

_CHECKS_S, _LEAST_LOAD_S, _SIDE_BY_SIDE = 0.3, 0.1, 2.0
"""The checks load each program twice and eager once, in parallel workers."""

_CHECK_FACTOR = (0.5, 2.0)
"""Bounds of the time of one check relative to what a block takes besides its samples: it grows with that time, since
heavy workers slow each other down. Fitted to recorded sessions (``tests/services/recorded_sessions``)."""


class ProgressTracker:
    """Follows the events of one session. ``labels`` are the labels of its runs' variants by run id; ``expected`` is
    what the session was expected to take, if that is known."""

    def __init__(self, spec: SessionSpec, labels: Mapping[str, str], expected: ExpectedTimes | None = None) -> None:
        plan = make_plan(spec, (), repeat=1, warmup=1)
        self._labels = dict(labels)
        self._expected = expected
        self._preparation = _Preparation(self._labels, expected)
        self._share_prepared, self._share_measured = _parts(expected)
        self._blocks = plan.blocks
        self._block_s = plan.preset.block_s
        self._budget_s = None if spec.repeat is not None else plan.preset.budget_s
        self._export_only = spec.export_only_dir is not None
        self._has_eager = True
        self._baselines = {variant.label: variant.eager_label for variant in spec.variants}
        self._spent_s: dict[str, list[float]] = {}
        self._repeats_s: list[float] = []
        self._ended: set[str] = set()
        self._checked: set[str] = set()
        self._boundary: datetime | None = None
        """When the current block began."""
        self._block_left_s: float | None = None
        self._evaluated_left_s: float | None = None
        """What the evaluation on labelled images reported last."""
        self._stage, self._step, self._doing, self._since = "", "starting", "starting", ""
        self._share = 0.0
        self.progress: SessionProgress | None = None

    def add(self, event: Event) -> SessionProgress | None:
        """Take an event into account and return the progress; None before the first stage."""
        now = moment(event.at) or datetime.now(UTC)
        shown = 0.0 if self.progress is None else self.progress.share_at(now)
        was_prepared = self._preparation.is_complete
        if event.kind == "stage":
            self._begin_stage(event, now)
        elif event.kind == "block":
            self._end_block(self._labels.get(event.run_id or "") or _eager_label(event), now)
        elif event.kind == "progress":
            self._note_progress(event)
        elif event.kind == "finished" and event.run_id in self._labels:
            self._ended.add(event.run_id)
            self._preparation.end(event.run_id)
        elif event.kind == "warning" and self._stage == "measure":
            self._end_repeated(now)
        elif event.kind == "log":
            self._end_part(event.run_id, event.stage)
        if not was_prepared:
            # If a step took less time than expected, the share does not jump: what is left is distributed over the
            # steps that follow, and after the last over the blocks.
            self._preparation.continue_from(shown / self._share_of_preparation, now)
            if self._preparation.is_complete:
                self._share_prepared = min(self._share_prepared, shown)
        if self._stage:
            self._update(event.at, now)
        return self.progress

    def _update(self, at: str, now: datetime) -> None:
        """Compute the progress after an event."""
        left_s = self._left_s(now)
        shown = 0.0 if self.progress is None else self.progress.share_at(now)
        self._share = max(self._share, shown, self._counted_share(now))
        step_s, next_share = self._next(now)
        least_left_s = 0.0
        if left_s is not None and step_s > 0:
            least_left_s = max(0.0, left_s - (1 - _LEAST_LEFT) * step_s)
        self.progress = SessionProgress(
            share=self._share,
            stage=self._stage,
            step=self._step,
            doing=self._doing,
            at=at,
            left_s=left_s,
            since=self._since,
            is_rough=any(not self._spent_s.get(variant) for variant in self._blocks_left()),
            next_share=next_share,
            step_s=step_s,
            least_left_s=least_left_s,
        )

    @property
    def planned_blocks(self) -> int:
        """The number of blocks that each variant is to be measured in."""
        return self._blocks

    # Events

    def _begin_stage(self, event: Event, now: datetime) -> None:
        stage = event.stage or ""
        self._describe(event)
        if stage in _STAGES_S:
            self._preparation.begin(event, now)
        if stage == "measure":
            self._boundary = now
            if event.total is not None:
                self._has_eager = event.total > len(self._live()) * self._blocks

    def _describe(self, event: Event) -> None:
        """Describe what is being done by the begin of a stage."""
        label = self._labels.get(event.run_id or "")
        self._stage, self._step = event.stage or "", event.stage or event.message
        self._doing = f"{label}: {event.message}" if label and label not in event.message else event.message
        self._since = event.at if event.stage != "measure" else ""

    def _end_part(self, run_id: str | None, stage: str | None) -> None:
        """Note that a part of a run's preparation, or its accuracy, is complete."""
        if stage == "accuracy" and run_id is not None:
            self._checked.add(run_id)
        if self._preparation.end_stage(run_id, stage) and (other := self._preparation.last_begun) is not None:
            # Runs are prepared in parallel: describe one that still is.
            self._describe(other)

    def _note_progress(self, event: Event) -> None:
        if event.message:
            self._doing = event.message
        self._stage = event.stage or self._stage
        self._since = self._since if event.stage != "measure" else ""
        if event.stage == "evaluate":
            self._evaluated_left_s = event.left_s
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
            over = (
                bool(spent) and self._budget_s is not None and sum(spent) + self._block_s_of(variant) > self._budget_s
            )
            left[variant] = 0 if over else max(0, self._blocks - len(spent))
        if self._has_eager and any(left.values()):
            # A baseline is measured as long as any of its programs is.
            for baseline in {self._baselines.get(variant, EAGER) for variant, count in left.items() if count}:
                left[baseline] = max(0, self._blocks - len(self._spent_s.get(baseline, [])))
        return left

    def _counted_share(self, now: datetime) -> float:
        if not self._live():
            return 1.0
        if self._stage == "accuracy" or self._checked:
            checked = len(self._checked | self._ended) / (len(self._labels) + 1)
            return self._share_measured + (1 - self._share_measured) * checked
        if self._stage == "wait":
            return self._share_prepared
        if self._stage != "measure":
            # Until then it is the one shown.
            return self._share_of_preparation if self._preparation.is_complete else 0.0
        return self._measured_share(self._begun_block(now))

    @property
    def _share_of_preparation(self) -> float:
        """The share when the preparation is complete."""
        return 1.0 if self._export_only else self._share_prepared

    def _measured_share(self, begun: float) -> float:
        """Return the share with this part of the current block."""
        done = sum(len(spent) for spent in self._spent_s.values())
        measured = min(1.0, (done + begun) / max(1, done + sum(self._blocks_left().values())))
        return self._share_prepared + (self._share_measured - self._share_prepared) * measured

    def _begun_block(self, now: datetime) -> float:
        """Return the part of the current block that is complete, if it reports that."""
        if self._block_left_s is None or self._boundary is None:
            return 0.0
        elapsed_s = (now - self._boundary).total_seconds()
        return min(0.95, elapsed_s / max(_LEAST_S, elapsed_s + self._block_left_s))

    def _next(self, now: datetime) -> tuple[float, float]:
        """Return the seconds until the share is expected to reach the end of the current step, and that share."""
        if not self._live() or self._stage in ("", "wait"):
            return 0.0, 0.0
        if self._stage == "evaluate":
            return (self._evaluated_left_s, 1.0) if self._evaluated_left_s else (0.0, 0.0)
        if self._stage == "accuracy" or self._checked:
            return (self._checks_s() if self._spent_s else _CHECKS_S), 1.0
        if self._stage != "measure":
            whole = self._share_of_preparation
            step_s, share = self._preparation.next(now)
            if whole * share - self._share < _SAME:
                # Another program takes longer than the one of the current step.
                return self._preparation.left_s(now), whole
            return step_s, whole * share
        if self._block_left_s is not None:
            return self._block_left_s, self._measured_share(1.0)
        typical = [self._block_s_of(variant) for variant in self._blocks_left() if self._knows(variant)]
        elapsed_s = 0.0 if self._boundary is None else (now - self._boundary).total_seconds()
        return max(0.0, (max(typical) if typical else 0.0) - elapsed_s), self._measured_share(1.0)

    def _left_s(self, now: datetime) -> float | None:
        if not self._live():
            return 0.0
        if self._stage == "evaluate":
            return self._evaluated_left_s
        if self._stage == "accuracy" or self._checked:
            return None if self.progress is None else self.progress.left_at(now)
        if self._stage in ("", "wait"):
            return None
        if self._export_only:
            return self._preparation.left_s(now) if self._expected is not None else None
        left = self._blocks_left()
        if not left or not all(self._knows(variant) for variant in left):
            return None
        blocks_s = sum(self._remaining_s(variant, count) for variant, count in left.items())
        preparation_s = 0.0
        if self._stage == "measure":
            elapsed_s = 0.0 if self._boundary is None else (now - self._boundary).total_seconds()
            blocks_s = max(blocks_s - elapsed_s, self._block_left_s or 0.0)
        else:
            preparation_s = self._preparation.left_s(now)
        return preparation_s + blocks_s * self._repeat_factor(sum(left.values())) + self._checks_s()

    def _knows(self, variant: str) -> bool:
        """Whether the duration of a variant's blocks can be estimated."""
        return bool(self._spent_s.get(variant)) or self._expected_block_s(variant) is not None

    def _expected_block_s(self, variant: str) -> float | None:
        if self._expected is None or variant not in self._expected.blocks_s:
            return None
        return self._expected.blocks_s[variant] / max(1, self._expected.blocks)

    def _block_s_of(self, variant: str) -> float:
        """Return the seconds that a block of a variant takes."""
        spent, expected_s = self._spent_s.get(variant, []), self._expected_block_s(variant)
        if expected_s is None:
            return statistics.median(spent)
        if not spent:
            return expected_s
        median_s = statistics.median(spent)
        if len(spent) < _ENOUGH_BLOCKS and median_s > _DISTURBED * expected_s:
            # A disturbance of the first blocks says little about the others.
            return (median_s + expected_s) / 2
        return median_s

    def _remaining_s(self, variant: str, count: int) -> float:
        block_s = self._block_s_of(variant)
        remaining_s = block_s * count
        if self._budget_s is None:
            return remaining_s
        spent_s = sum(self._spent_s.get(variant, []))
        return min(remaining_s, max(block_s if count else 0.0, self._budget_s - spent_s))

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
        if self._expected is not None and (self._expected.is_measured or not self._spent_s):
            return self._expected.checks_s
        least, most = _CHECK_FACTOR
        checks_s = {}
        for variant in self._spent_s:
            load_s = max(_LEAST_LOAD_S, self._block_s_of(variant) - self._block_s)
            checks_s[variant] = load_s * min(most, max(least, load_s))
        eager_s = sum(checks_s.pop(name) for name in list(checks_s) if is_eager(name))
        return _CHECKS_S + (2 * sum(checks_s.values()) + eager_s) / _SIDE_BY_SIDE


def _eager_label(event: Event) -> str:
    """Return the label of the baseline that a block event without a run is about."""
    label = event.message.partition(":")[0]
    return label if is_eager(label) else EAGER


class _Preparation:
    """The preparation of a session's programs: the model is loaded, then the programs are prepared in parallel."""

    def __init__(self, labels: Mapping[str, str], expected: ExpectedTimes | None) -> None:
        self._labels = labels
        self._cores = expected.cores if expected is not None else len(labels)
        self._load_s = expected.load_s if expected is not None else _LOAD_S
        usual_s = {stage: seconds for stage, seconds in _STAGES_S.items() if stage not in _BASELINE_STAGES}
        self._stages_s = {run_id: dict(usual_s) for run_id in labels}
        if expected is not None:
            self._stages_s = {run_id: dict(expected.stages_s.get(label, {})) for run_id, label in labels.items()}
        self._shown, self._left_then_s = 0.0, 0.0
        """The share that was shown at the last event, and the seconds that were left."""
        self._is_loaded = False
        self._load_begun: datetime | None = None
        self._open: dict[str, tuple[Event, datetime]] = {}
        self._complete: set[str] = set()

    @property
    def last_begun(self) -> Event | None:
        """The begin of a stage that is not complete, the last one; None if there is none."""
        return next((event for event, _ in reversed(self._open.values())), None)

    @property
    def is_complete(self) -> bool:
        """Whether all programs are prepared."""
        return self._complete.issuperset(self._labels)

    def begin(self, event: Event, now: datetime) -> None:
        """Note the begin of a stage of a run, or of loading the model."""
        if event.run_id is None:
            self._load_begun = self._load_begun or now
            return
        self._is_loaded = True
        stages_s = self._stages_s.setdefault(event.run_id, {})
        order = list(_STAGES_S)
        for stage in order[: order.index(event.stage or "")]:
            stages_s.pop(stage, None)
        if not stages_s:
            later = order[order.index(event.stage or "") :]
            stages_s |= {
                stage: _STAGES_S[stage] for stage in later if stage == event.stage or stage not in _BASELINE_STAGES
            }
        stages_s.setdefault(event.stage or "", _STAGES_S[event.stage or ""])
        self._open.pop(event.run_id, None)
        self._open[event.run_id] = event, now

    def end_stage(self, run_id: str | None, stage: str | None) -> bool:
        """Note a message of a stage; return whether it was its end."""
        if run_id is None:
            return False
        if run_id not in self._open:
            if stage == "lower":
                # The program was in the cache.
                self.end(run_id)
            return False
        if self._open[run_id][0].stage != stage:
            return False
        self._stages_s[run_id].pop(stage or "", None)
        del self._open[run_id]
        if stage == "write":
            self.end(run_id)
        return True

    def end(self, run_id: str) -> None:
        """Note that the preparation of a run is over."""
        self._open.pop(run_id, None)
        self._complete.add(run_id)

    def continue_from(self, shown: float, now: datetime) -> None:
        """Distribute what is left of the share over the time that is left."""
        self._shown, self._left_then_s = min(1.0, shown), self.left_s(now)

    def left_s(self, now: datetime) -> float:
        """Return the seconds that are left."""
        load_s = 0.0 if self._is_loaded else _left_of(self._load_s, self._load_begun, now)
        return self._expected_s(load_s, [self._left_of_run(run_id, now) for run_id in self._stages_s])

    def next(self, now: datetime) -> tuple[float, float]:
        """Return the seconds that the current stages take, and the share that is complete after them."""
        if not self._is_loaded:
            step_s = _left_of(self._load_s, self._load_begun, now)
            after_s = self._expected_s(0.0, [self._left_of_run(run_id, now) for run_id in self._stages_s])
        else:
            current = [self._current_s(run_id, now) for run_id in self._open]
            step_s = max(current, default=0.0)
            after_s = self._expected_s(
                0.0,
                [
                    self._left_of_run(run_id, now) - (self._current_s(run_id, now) if run_id in self._open else 0.0)
                    for run_id in self._stages_s
                ],
            )
        if self._left_then_s <= 0:
            return step_s, self._shown
        return step_s, max(self._shown, 1 - (1 - self._shown) * after_s / self._left_then_s)

    def _left_of_run(self, run_id: str, now: datetime) -> float:
        if run_id in self._complete:
            return 0.0
        stages_s = self._stages_s[run_id]
        if run_id not in self._open:
            return sum(stages_s.values())
        current = self._open[run_id][0].stage
        later_s = sum(seconds for stage, seconds in stages_s.items() if stage != current)
        return later_s + self._current_s(run_id, now)

    def _current_s(self, run_id: str, now: datetime) -> float:
        """Return what is left of the current stage of a run."""
        event, begun = self._open[run_id]
        return _left_of(self._stages_s[run_id].get(event.stage or "", 0.0), begun, now)

    def _expected_s(self, load_s: float, programs_s: Sequence[float]) -> float:
        return load_s + max(max(programs_s, default=0.0), sum(programs_s) / max(1, self._cores))


def _left_of(expected_s: float, begun: datetime | None, now: datetime) -> float:
    """Return what is left of a step that began at a time."""
    elapsed_s = 0.0 if begun is None else (now - begun).total_seconds()
    return max(expected_s - elapsed_s, _LEAST_LEFT * expected_s + OVERDUE * max(0.0, elapsed_s - expected_s))


def _parts(expected: ExpectedTimes | None) -> tuple[float, float]:
    """Return the shares at the ends of the preparation and of the measurement."""
    if expected is None or expected.seconds <= 0:
        return _PREPARED, _MEASURED
    checks = min(_MOST_CHECKS, max(_LEAST_PART, expected.checks_s / expected.seconds))
    prepared = max(_LEAST_PART, expected.prepare_s / expected.seconds)
    return min(prepared, 1 - checks - _LEAST_PART), 1 - checks


def _expected_of(store: Store, spec: SessionSpec) -> ExpectedTimes | None:
    """Return what a session is expected to take; None if its model cannot be read here."""
    try:
        model = find_model(spec.model)
    except (EtuiError, OSError):
        return None
    return expected_of_session(store, spec, model, cache_dir(), usable_cores())


def tracker_of(store: Store, session: QueuedSession) -> ProgressTracker:
    """Return a tracker for the events of a stored session. Raises StoreError."""
    labels = {run_id: variant.label for run_id, variant in session.runs}
    return ProgressTracker(session.spec, labels, _expected_of(store, session.spec))


class SessionFollower:
    """The progress of a live session, from the events since the last look."""

    def __init__(self) -> None:
        self._session = ""
        self._tracker: ProgressTracker | None = None
        self._last_event = 0

    def look(self, store: Store, session_id: str) -> SessionProgress | None:
        """Return the progress; None before the first stage. Raises StoreError."""
        if self._tracker is None or session_id != self._session:
            self._tracker = tracker_of(store, store.session(session_id))
            self._session, self._last_event = session_id, 0
        for event in store.events_after(session_id, self._last_event):
            self._tracker.add(event)
            self._last_event = event.id or self._last_event
        return self._tracker.progress


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
