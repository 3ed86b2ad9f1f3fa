"""The progress of a session, tested with recorded events of sessions on quiet and on busy machines.

A recording (``recorded_sessions/*.jsonl``) has the model, the preset and the runs' variants in its first line, and one
event per following line.
"""

from __future__ import annotations

import io
import json
import math
import re
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from etui.events import Event
from etui.results import Stage
from etui.services.follow import ProgressPrinter
from etui.services.progress_state import SessionProgress
from etui.services.session_progress import ProgressTracker, SessionFollower
from etui.services.time_estimate import ExpectedTimes
from etui.spec import EAGER, PresetName, SessionSpec, Variant
from etui.store import Store
from etui.text import moment
from tests.documents import MODEL, make_document, make_spec

AT = "2026-11-27T10:00:00.000Z"
RECORDINGS = sorted((Path(__file__).parent / "recorded_sessions").glob("*.jsonl"))

DISTURBED = "resnet18_busy"
"""Other programs slowed down its first block to six times the later ones, which no estimate can know."""

PREPARING = {"load", "export", "quantize", "reference", "lower", "write"}

WAITING = "small_waiting"
"""It waited for the machine to be idle."""


def test_the_time_left_of_an_evaluation_is_what_it_reports() -> None:
    spec = make_spec(("fp32", "xnnpack"), ("int8", "xnnpack"))
    tracker = ProgressTracker(spec, {"aaaaaaaaaaa1": "fp32/xnnpack", "aaaaaaaaaaa2": "int8/xnnpack"})
    events = [
        Event(kind="stage", stage="measure", message="measuring", at=AT, total=9),
        Event(kind="stage", stage="accuracy", message="measuring accuracy", at=AT),
        Event(kind="log", stage="accuracy", message="accuracy PASS", at=AT, run_id="aaaaaaaaaaa1"),
        Event(kind="log", stage="accuracy", message="accuracy PASS", at=AT, run_id="aaaaaaaaaaa2"),
        Event(kind="stage", stage="evaluate", message="evaluating on 500 images", at=AT),
        Event(
            kind="progress", stage="evaluate", message="evaluating fp32/xnnpack: image 120 of 500", done=120, total=500,
            left_s=70.0, at=AT, run_id="aaaaaaaaaaa1",
        ),
    ]  # fmt: skip
    shown = [tracker.add(event) for event in events][-1]
    assert shown is not None and shown.left_s == 70.0
    assert "image 120 of 500" in shown.doing and shown.share < 1


class Recorded(NamedTuple):
    """A session: its events, and the progress after each."""

    events: list[Event]
    progress: list[SessionProgress | None]

    def left_s(self, index: int) -> float:
        """Return the seconds that were left at an event."""
        end, now = moment(self.events[-1].at), moment(self.events[index].at)
        assert end is not None and now is not None
        return (end - now).total_seconds()

    def each_second(self) -> list[tuple[Event, float]]:
        """Return the last event and the share at each second of the session."""
        begin, last, seconds = moment(self.events[0].at), 0, []
        assert begin is not None
        for second in range(math.ceil(self.left_s(0))):
            now = begin + timedelta(seconds=second)
            while last + 1 < len(self.events) and (moment(self.events[last + 1].at) or now) <= now:
                last += 1
            progress = self.progress[last]
            seconds.append((self.events[last], 0.0 if progress is None else progress.share_at(now)))
        return seconds


def tracker(
    runs: dict[str, str],
    preset: PresetName = "default",
    repeat: int | None = None,
    expected: ExpectedTimes | None = None,
) -> ProgressTracker:
    pairs = [label.partition("/") for label in runs.values()]
    variants = tuple(Variant(precision, delegate) for precision, _, delegate in pairs)
    spec = SessionSpec(model="resnet18", variants=variants, preset=preset, repeat=repeat)
    return ProgressTracker(spec, runs, expected)


def replayed(path: Path, *, knows: float | None = None) -> Recorded:
    """Follow a recording. With ``knows`` the similar runs before it took this multiple of its times."""
    first, *lines = path.read_text("utf-8").splitlines()
    about = json.loads(first)
    events = [Event(**json.loads(line)) for line in lines]
    expected = None if knows is None else as_expected(events, about["runs"], knows)
    followed = tracker(about["runs"], about["preset"], expected=expected)
    return Recorded(events, [followed.add(event) for event in events])


def as_expected(events: list[Event], runs: dict[str, str], factor: float) -> ExpectedTimes:
    """Return what the parts of a recorded session took, multiplied by a factor."""
    times = [at.timestamp() for event in events if (at := moment(event.at)) is not None]
    stages: dict[str, dict[str, float]] = {label: {} for label in runs.values()}
    blocks: dict[str, list[float]] = {}
    begun: dict[str | None, tuple[str | None, float]] = {}
    loaded = boundary = times[0]
    for event, time in zip(events, times, strict=True):
        if event.kind == "stage" and event.run_id in runs and event.stage != "accuracy":
            loaded = time if loaded == times[0] else loaded
            begun[event.run_id] = event.stage, time
        elif event.kind == "log" and begun.get(event.run_id, (None,))[0] == event.stage and event.stage:
            stages[runs[event.run_id or ""]][event.stage] = factor * (time - begun.pop(event.run_id)[1])
        elif event.stage == "measure" and event.kind == "block":
            blocks.setdefault(runs.get(event.run_id or "", EAGER), []).append(time - boundary)
        if event.stage == "measure" and event.kind in ("stage", "block"):
            boundary = time
    count = max(map(len, blocks.values()))
    return ExpectedTimes(
        load_s=factor * (loaded - times[0]),
        stages_s=stages,
        blocks=count,
        blocks_s={label: factor * count * statistics.median(spent) for label, spent in blocks.items()},
        checks_s=factor * (times[-1] - boundary),
        cores=2,
        is_measured=True,
    )


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_share_never_decreases_and_ends_at_one(path: Path) -> None:
    shares = [progress.share for progress in replayed(path).progress if progress is not None]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 and shares[-1] == 1.0
    assert len(set(shares)) > 12


class _Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """It is a terminal."""
        return True


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_command_line_shows_the_share_that_the_screen_shows(path: Path) -> None:
    about = json.loads(path.read_text("utf-8").splitlines()[0])
    recorded, out = replayed(path), _Terminal()
    printer = ProgressPrinter(out, about["runs"], by_stage=True)
    printer.begin_session(about["runs"], tracker(about["runs"], about["preset"]))
    for event, progress in zip(recorded.events, recorded.progress, strict=True):
        printer.advance(event)
        printer.line("")
        out.truncate(out.seek(0))
        printer.tick()
        shown = re.findall(r"\] +(\d+) %", out.getvalue())
        assert shown == ([] if progress is None else [str(int(progress.share_at(datetime.now(UTC)) * 100))])


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_time_left_is_accurate_after_the_first_block(path: Path) -> None:
    recorded = replayed(path)
    known = [
        (progress.left_s, recorded.left_s(index))
        for index, progress in enumerate(recorded.progress)
        if progress is not None and progress.is_measuring and progress.left_s is not None
    ]
    errors = [(left_s - true_s) / true_s for left_s, true_s in known]
    assert errors
    if path.stem == DISTURBED:
        # Right again once every variant has been measured in half of the blocks.
        assert abs(errors[len(errors) // 2]) < 0.2
        return
    # The limit of 0.2 with its rounding: gpt2, a quarter of whose blocks is repeated later, has 0.205.
    assert abs(errors[0]) < 0.21
    # Near the end few seconds are a large share, and the checks are the least certain part.
    assert all(abs(left_s - true_s) < max(0.25 * true_s, 5.0) for left_s, true_s in known)


@pytest.mark.parametrize("knows", [None, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_share_moves_with_time_and_is_never_complete_early(path: Path, knows: float | None) -> None:
    seconds = replayed(path, knows=knows).each_second()
    shares = [share for _, share in seconds]
    assert shares == sorted(shares) and shares[-1] < 1
    for (before, first), (_, second), (after, third) in zip(seconds, seconds[1:], seconds[2:], strict=False):
        if before.stage == after.stage == "lower":
            assert third > first or second > first


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_similar_runs_give_a_rough_time_left_during_preparation(path: Path) -> None:
    recorded = replayed(path, knows=1.0)
    known = [
        (progress, recorded.left_s(index))
        for index, progress in enumerate(recorded.progress)
        if progress is not None and progress.stage in ("load", "export", "quantize", "reference", "lower", "write")
    ]
    for progress, true_s in known:
        assert progress.left_s is not None and progress.is_rough
        # Nobody knows in advance how long the machine is busy.
        assert path.stem in (DISTURBED, WAITING) or abs(progress.left_s - true_s) < 0.25 * true_s


def test_overdue_step_slows_down_and_lengthens_the_time_left() -> None:
    progress = SessionProgress(
        share=0.1, stage="lower", step="lower", doing="lowering", at=AT, left_s=100.0, next_share=0.5, step_s=20.0,
        least_left_s=82.0, since=AT,
    )  # fmt: skip
    begin = moment(AT)
    assert begin is not None
    times = [begin + timedelta(seconds=second) for second in (0, 10, 20, 60, 600, 6000)]
    shares = [progress.share_at(time) for time in times]
    assert shares == sorted(set(shares)) and shares[0] == 0.1 and shares[-1] < 0.5
    assert [progress.left_at(time) for time in times] == [100, 90, 82, 92, 227, 1577]
    assert progress.doing_for_s(times[3]) == 60


def test_session_in_the_database_is_compared_with_similar_runs(tmp_path: Path) -> None:
    past = make_document("aaaaaaaaaaa1", median=10.0)
    past.stages = [Stage(name="load", seconds=2.0), Stage(name="lower", seconds=200.0)]
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([past])
        session = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="bench-1")
        store.add_event(session.id, Event(kind="stage", message="loading resnet18", stage="load", at=AT))
        follower = SessionFollower()
        progress = follower.look(store, session.id)
        assert progress is not None and progress.is_rough
        assert progress.left_s is not None and 200 < progress.left_s < 300
        run_id = session.runs[0][0]
        lowering = Event(kind="stage", message="lowering for xnnpack", stage="lower", at=AT, run_id=run_id)
        store.add_event(session.id, lowering)
        progress = follower.look(store, session.id)
        assert progress is not None and progress.step_s > 150 and progress.next_share > 0.7


def test_program_from_the_cache_needs_no_preparation() -> None:
    followed = tracker({"a": "fp32/xnnpack", "b": "int8/xnnpack"})
    followed.add(Event(kind="stage", message="loading", stage="load", at=AT))
    for run_id in ("a", "b"):
        followed.add(Event(kind="log", message="cached, nothing to prepare", stage="lower", run_id=run_id, at=AT))
    followed.add(Event(kind="stage", message="measuring", stage="measure", total=18, at=AT))
    progress = followed.add(Event(kind="block", message="eager: block 1 of 6", stage="measure", at=AT))
    assert progress is not None
    # The blocks have the share of the preparation.
    assert progress.share == pytest.approx(0.95 / 18)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_share_does_not_jump_if_preparing_takes_less_time_than_expected(path: Path) -> None:
    recorded = replayed(path, knows=3.0)
    moments = 0
    for before, after, event in zip(recorded.progress, recorded.progress[1:], recorded.events[1:], strict=False):
        now = moment(event.at)
        if before is not None and after is not None and now is not None and event.stage in PREPARING:
            assert after.share == pytest.approx(before.share_at(now)), event
            moments += 1
    assert moments


def test_no_time_left_before_every_variant_was_measured() -> None:
    recorded = replayed(next(path for path in RECORDINGS if path.stem == "resnet18_calm"))
    blocks = [index for index, event in enumerate(recorded.events) if event.kind == "block"]
    for index in blocks[:2]:
        progress = recorded.progress[index]
        assert progress is not None and progress.left_s is None
    third = recorded.progress[blocks[2]]
    assert third is not None and third.left_s is not None


def test_current_work_is_described_with_the_share() -> None:
    followed = tracker({"a": "fp32/xnnpack", "b": "int8/xnnpack"})
    at = "2026-11-27T10:00:00.000Z"
    followed.add(Event(kind="stage", message="lowering for xnnpack", stage="lower", run_id="a", at=at))
    progress = followed.add(Event(kind="stage", message="quantizing to int8", stage="quantize", run_id="b", at=at))
    assert progress is not None
    assert (progress.step, progress.doing) == ("quantize", "int8/xnnpack: quantizing to int8")
    # The other run is still being lowered.
    progress = followed.add(Event(kind="log", message="quantizing took 2 s", stage="quantize", run_id="b", at=at))
    assert progress is not None and progress.doing == "fp32/xnnpack: lowering for xnnpack"


def test_slow_block_advances_the_share_without_resetting_it() -> None:
    followed = tracker({"a": "fp32/portable"})
    start = moment("2026-11-27T10:00:00.000Z")
    assert start is not None

    def at(seconds: float) -> str:
        return (start + timedelta(seconds=seconds)).isoformat()

    followed.add(Event(kind="stage", message="measuring", stage="measure", total=12, at=at(0)))
    followed.add(Event(kind="progress", message="block 1 of 6: eager", stage="measure", done=0, total=12, at=at(0)))
    followed.add(Event(kind="block", message="eager: block 1 of 6", stage="measure", at=at(10)))
    followed.add(
        Event(kind="progress", message="block 1 of 6: fp32/portable", stage="measure", done=1, total=12, at=at(10))
    )
    shares = []
    for count in range(1, 5):
        progress = followed.add(
            Event(
                kind="progress", message=f"fp32/portable: timing {count} of 5", stage="measure", run_id="a",
                done=count, total=5, left_s=(5 - count) * 4.0, at=at(10 + 4 * count),
            )
        )  # fmt: skip
        assert progress is not None and progress.step == "block 1 of 6" and "timing" in progress.doing
        shares.append(progress.share)
    ended = followed.add(Event(kind="block", message="fp32/portable: 1", stage="measure", run_id="a", at=at(30)))
    assert ended is not None
    assert shares == sorted(set(shares)) and shares[-1] < ended.share


def test_runs_that_end_early_shorten_the_session() -> None:
    followed = tracker({"a": "fp32/xnnpack", "b": "int8/xnnpack"})
    at = "2026-11-27T10:00:00.000Z"
    followed.add(Event(kind="stage", message="measuring", stage="measure", total=18, at=at))
    before = followed.add(Event(kind="block", message="a", stage="measure", run_id="a", at=at))
    after = followed.add(Event(kind="finished", message="cancelled", run_id="b", at=at))
    end = followed.add(Event(kind="finished", message="cancelled", run_id="a", at=at))
    assert before is not None and after is not None and end is not None
    assert before.share < after.share < end.share == 1.0
    assert end.left_s == 0


def test_session_without_eager_is_complete_without_it() -> None:
    followed = tracker({"a": "fp32/xnnpack"}, "quick")
    at = "2026-11-27T10:00:00.000Z"
    followed.add(Event(kind="stage", message="measuring", stage="measure", total=3, at=at))
    progress = None
    for _ in range(3):
        progress = followed.add(Event(kind="block", message="a", stage="measure", run_id="a", at=at))
    assert progress is not None and progress.share == pytest.approx(0.95)
