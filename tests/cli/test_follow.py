"""What is printed of a session while it is followed: harmless, within the terminal's width, cancelled by Ctrl-C."""

from __future__ import annotations

import io
import os
import pty
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etui.cli.run_sessions import _CancelOnInterrupt, followed, interrupts_counted
from etui.errors import StoreError
from etui.events import Event, EventKind, Level, stage_end
from etui.results import ModelInfo
from etui.runner.start import RunnerFailed
from etui.services.follow import ProgressPrinter, RunnerWatch, ended_with, follow
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, Store
from etui.text import LINE_CELLS, WHOLE_CELLS

EVIL = "\x1b]0;title\x07evil\x1b[31m"


def _queued(store: Store) -> QueuedSession:
    spec = SessionSpec(model="resnet18", variants=(Variant("fp32", "xnnpack"),))
    info = ModelInfo(name="resnet18", family="cnn", source="torchvision:resnet18", identity="torchvision:resnet18")
    return store.add_session(spec, model=info, box="elsewhere")


def test_nothing_of_an_event_reaches_the_terminal_as_an_escape() -> None:
    out = io.StringIO()
    talk = ProgressPrinter(out, {"r": f"fp32/{EVIL}"})
    talk.event(Event(kind="log", at=f"2026-11-20T{EVIL}", stage=EVIL, message=EVIL, run_id="r"))
    talk.event(Event(kind="stage", at="2026-11-20T10:00:00.000Z", stage="wait", message=EVIL, run_id="r"))
    assert "evil" in out.getvalue()
    assert not any(ord(character) < 32 and character != "\n" for character in out.getvalue())


def test_a_traceback_keeps_its_lines() -> None:
    out = io.StringIO()
    message = "Traceback:\n  File one\nValueError: no"
    ProgressPrinter(out, {}, verbose=True).event(
        Event(kind="log", level="debug", at="2026-11-20T10:00:00.000Z", message=message)
    )
    assert [line.strip() for line in out.getvalue().splitlines()[1:]] == ["File one", "ValueError: no"]


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_not_lost() -> None:
    out = io.StringIO()
    label, stage, message = "l" * 5_000, "s" * 5_000, f"{'m' * 5_000}\nlast"
    ProgressPrinter(out, {"r": label}).event(
        Event(kind="log", at="2026-11-20T10:00:00.000Z", stage=stage, message=message, run_id="r")
    )
    first, last = out.getvalue().splitlines()
    assert len(first) == LINE_CELLS + WHOLE_CELLS and last.strip() == "last"


def test_the_line_that_is_redrawn_fits_the_terminal_and_keeps_the_time_left() -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        talk = ProgressPrinter(terminal, {})
        long = "block 1 of 6: int8-static-per-tensor/openvino, and a message that is longer than the terminal is wide"
        at = datetime.now(UTC).isoformat()
        talk.advance(Event(kind="progress", message=long, done=1, total=6, left_s=125.0, at=at))
        drawn = os.read(reader, 4096).decode()
    os.close(reader)
    assert len(drawn) < 80
    assert "2:05 left" in drawn and "16 %" in drawn


def test_a_session_has_one_line_per_stage_for_all_variants() -> None:
    out = io.StringIO()
    talk = ProgressPrinter(out, {}, by_stage=True)
    talk.begin_session({"a": "fp32/xnnpack", "b": "int8/xnnpack", "c": "fp16/xnnpack"})

    def say(kind: EventKind, message: str, run: str | None, stage: str, level: Level = "info") -> None:
        at = "2026-11-20T10:00:00.000Z"
        talk.event(Event(kind=kind, message=message, run_id=run, stage=stage, level=level, at=at))

    say("stage", "loading tiny", None, "load")
    say("log", "loaded in 0.1 s: weights", None, "load")
    for run, seconds, details in (("b", 3.1, []), ("a", 2.0, ["7 of 7 nodes"])):
        say("stage", "exporting", run, "export")
        say("log", stage_end("exporting", 0.2), run, "export")
        say("stage", "lowering", run, "lower")
        say("log", stage_end("writing", 0.0, ["4.0 MB"]), run, "write")
        say("log", stage_end("lowering", seconds, details), run, "lower")
    say("log", "fp16/xnnpack: cached, nothing to prepare", "c", "lower")
    say("stage", "measuring 4 variants", None, "measure")
    for variant, repeated in (("eager", None), ("int8/xnnpack", "b"), ("int8/xnnpack", "b")):
        say("warning", f"{variant}: block 1 is measured again: the canary", repeated, "measure", "warning")
        say("block", f"{variant}: block 1 of 6", repeated, "measure")
    say("stage", "measuring accuracy and memory", None, "accuracy")
    for judged, verdict in (("c", "PASS"), ("b", "FAIL"), ("a", "PASS")):
        say("log", f"accuracy {verdict}: because", judged, "accuracy")
    say("finished", "fp32/xnnpack: done", "a", "")
    say("finished", "int8/xnnpack: failed: it broke", "b", "", "error")
    talk.end_session()
    assert [line[10:] for line in out.getvalue().splitlines()] == [
        "load      loaded in 0.1 s: weights",
        "lower     cached, nothing to prepare: fp16/xnnpack",
        "lower     fp32/xnnpack 2.0 s (7 of 7 nodes), int8/xnnpack 3.1 s",
        "write     fp32/xnnpack 4.0 MB, int8/xnnpack 4.0 MB",
        "measure   measuring 4 variants",
        "measure   measured again because the canary kernel deviated: eager 1 block, int8/xnnpack 2 blocks",
        "accuracy  PASS fp32/xnnpack, fp16/xnnpack; FAIL int8/xnnpack",
        "          int8/xnnpack: failed: it broke",
    ]


def test_the_line_of_a_stage_has_the_time_of_its_end() -> None:
    out = io.StringIO()
    talk = ProgressPrinter(out, {}, by_stage=True)
    talk.begin_session({"a": "fp32/xnnpack", "b": "int8/xnnpack"})

    def say(second: int, kind: EventKind, message: str, run: str | None, stage: str) -> None:
        talk.event(Event(kind=kind, message=message, run_id=run, stage=stage, at=f"2026-11-20T10:00:{second:02}.000Z"))

    say(1, "log", "loaded in 0.1 s: weights", None, "load")
    say(2, "stage", "exporting", "a", "export")
    assert "loaded in 0.1 s" in out.getvalue(), "the line about loading does not wait for the preparation"
    for second, run in ((3, "a"), (4, "b")):
        say(second, "log", stage_end("exporting", 1.0), run, "export")
    for second, run in ((5, "b"), (25, "a")):
        say(second, "log", stage_end("lowering", 9.0), run, "lower")
    say(26, "stage", "measuring 3 variants", None, "measure")
    talk.end_session()
    assert [line[6:8] for line in out.getvalue().splitlines()] == ["01", "04", "25", "26"]


def test_a_long_line_about_a_stage_is_wrapped_to_the_terminal() -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        talk = ProgressPrinter(terminal, {}, by_stage=True)
        talk.begin_session({"a": "fp32/xnnpack"})
        message = "weights " + "and inputs " * 12
        talk.event(Event(kind="log", message=message, stage="load", at="2026-11-20T10:00:00.000Z"))
        talk.end_session()
        lines = os.read(reader, 4096).decode().split("\r\n")[:-1]
    os.close(reader)
    assert len(lines) > 1 and all(len(line) <= 80 for line in lines)
    assert all(line[:20].isspace() and not line[20].isspace() for line in lines[1:])


def test_control_c_cancels_even_amid_a_transaction(tmp_path: Path) -> None:
    with Store.open(tmp_path / "etui.db") as store, interrupts_counted() as interrupted:
        queued = _queued(store)
        (run_id, _), out = queued.runs[0], io.StringIO()
        stop = _CancelOnInterrupt(store, [run_id], ProgressPrinter(out, {}), interrupted)
        assert not stop()
        with store._database.read():
            signal.raise_signal(signal.SIGINT)
        assert not stop()
        assert store.summary(run_id).status == "cancelled"
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert out.getvalue().count("cancelling") == 1


def test_what_is_cancelled_while_it_waits_is_followed_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunnerWatch, "due", lambda self: False)
    with Store.open(tmp_path / "etui.db") as store:
        queued, looks = _queued(store), 0

        def cancelled_once() -> bool:
            nonlocal looks
            looks += 1
            if looks == 2:
                store.request_cancel([queued.runs[0][0]])
            return looks == 6

        follow(store, queued, ProgressPrinter(io.StringIO(), {}), stop=cancelled_once)
        assert looks < 6


def test_of_several_sessions_none_stays_queued_without_a_runner(tmp_path: Path) -> None:
    with Store.open(tmp_path / "etui.db") as store:

        def queue() -> Iterator[QueuedSession]:
            yield _queued(store)
            raise RunnerFailed("cannot start the runner")

        with pytest.raises(RunnerFailed):
            followed(store, queue, {"detach": True})
        (cancelled,) = store.summaries()
        assert (cancelled.status, cancelled.error) == ("cancelled", "cannot start the runner")


def test_leaving_before_the_end_says_cancelled(tmp_path: Path) -> None:
    with Store.open(tmp_path / "etui.db") as store:
        run_id, _ = _queued(store).runs[0]
        assert ended_with(store, [run_id]) == 130


def test_following_ends_when_the_database_is_removed(tmp_path: Path) -> None:
    with Store.open(tmp_path / "etui.db") as store:
        queued, out = _queued(store), io.StringIO()
        store.path.unlink()
        with pytest.raises(StoreError, match="removed or replaced"):
            follow(store, queued, ProgressPrinter(out, {}))
