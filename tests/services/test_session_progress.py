"""The progress of a session, tested with recorded events of sessions on quiet and on busy machines.

A recording (``recorded_sessions/*.jsonl``) has the model, the preset and the runs' variants in its first line, and one
event per following line.
"""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from etui.events import Event
from etui.services.follow import ProgressPrinter
from etui.services.session_progress import ProgressTracker, SessionProgress
from etui.spec import PresetName, SessionSpec, Variant
from etui.text import moment

RECORDINGS = sorted((Path(__file__).parent / "recorded_sessions").glob("*.jsonl"))

DISTURBED = "resnet18_busy"
"""Other programs slowed down its first block to six times the later ones, which no estimate can know."""


class Recorded(NamedTuple):
    """A session: its events, and the progress after each."""

    events: list[Event]
    progress: list[SessionProgress | None]

    def left_s(self, index: int) -> float:
        """Return the seconds that were left at an event."""
        end, now = moment(self.events[-1].at), moment(self.events[index].at)
        assert end is not None and now is not None
        return (end - now).total_seconds()


def tracker(runs: dict[str, str], preset: PresetName = "default", repeat: int | None = None) -> ProgressTracker:
    pairs = [label.partition("/") for label in runs.values()]
    variants = tuple(Variant(precision, delegate) for precision, _, delegate in pairs)
    return ProgressTracker(SessionSpec(model="resnet18", variants=variants, preset=preset, repeat=repeat), runs)


def replayed(path: Path) -> Recorded:
    first, *lines = path.read_text("utf-8").splitlines()
    about = json.loads(first)
    events = [Event(**json.loads(line)) for line in lines]
    followed = tracker(about["runs"], about["preset"])
    return Recorded(events, [followed.add(event) for event in events])


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
        assert shown == ([] if progress is None else [str(int(progress.share * 100))])


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
