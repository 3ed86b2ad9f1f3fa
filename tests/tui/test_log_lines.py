"""The rows of a log: what is kept, how it is broken, what is found."""

from __future__ import annotations

import pytest

from etui.events import Event, Level
from etui.text import width as cells
from etui.tui.widgets.log_lines import KEPT, LogLines, LogStyles

AT = "2026-11-20T10:42:07.123Z"


def say(message: str, level: Level = "info", **more: object) -> Event:
    """A log event."""
    return Event(kind="log", message=message, at=AT, level=level, stage="lower", **more)  # type: ignore[arg-type]


def shown(lines: LogLines) -> list[str]:
    """The rows as text."""
    return [lines.text(index, LogStyles()).plain for index in range(len(lines))]


def test_a_row_has_time_stage_and_words() -> None:
    lines = LogLines()
    lines.add([say("lowered in 7.4 s")], {})
    assert shown(lines)[0].split() == ["10:42:07", "lower", "lowered", "in", "7.4", "s"]


@pytest.mark.parametrize("stage", ["load", "quantize", "reference", "a long stage"])
def test_stage_is_separated_from_the_message(stage: str) -> None:
    lines = LogLines()
    lines.add([Event(kind="stage", message="int8/xnnpack: running", at=AT, stage=stage)], {})
    row = shown(lines)[0]
    assert " int8/xnnpack: running" in row and stage[:4] in row


def test_levels_have_a_sign_each() -> None:
    lines = LogLines()
    lines.set_level("debug")
    lines.add([say("a", level) for level in ("debug", "info", "warning", "error")], {})
    assert [row[9] for row in shown(lines)] == ["·", " ", "!", "✗"]


def test_a_level_hides_those_below_and_nothing_is_lost() -> None:
    lines = LogLines()
    lines.add([say("a", level) for level in ("debug", "info", "warning", "error")], {})
    assert len(lines) == 3
    lines.set_level("error")
    assert len(lines) == 1
    lines.set_level("debug")
    assert len(lines) == 4


def test_the_newest_are_kept() -> None:
    lines = LogLines()
    added, dropped = lines.add([say(f"line {number}") for number in range(KEPT + 5)], {})
    assert (added, dropped, len(lines), lines.forgotten) == (KEPT + 5, 5, KEPT, 5)
    assert shown(lines)[0].endswith("line 5")


def test_what_was_hidden_drops_no_row() -> None:
    lines = LogLines()
    lines.add([say("hidden", "debug")], {})
    assert lines.add([say("x") for _ in range(KEPT)], {}) == (KEPT, 0)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_long_messages_go_on_under_themselves(width: int) -> None:
    lines = LogLines()
    lines.set_width(width)
    words = "several words " * 20 + "x" * 150 + " 模型" * 30
    lines.add([say(words)], {})
    assert all(cells(row) <= max(width, 30) for row in shown(lines))
    assert "".join("".join(row.text.split()) for row in lines._rows) == "".join(words.split())


def test_other_peoples_text_is_shown_as_text() -> None:
    lines = LogLines()
    lines.add([say("[bold]a\x1b[31mb\x07\nsecond [/bold]")], {})
    assert [row[20:] for row in shown(lines)] == ["[bold]ab", "second [/bold]"]


def test_a_run_is_named_where_its_message_does_not() -> None:
    lines = LogLines()
    labels = {"r1": "int8/xnnpack"}
    lines.add([say("exporting", run_id="r1"), say("int8/xnnpack: done", run_id="r1"), say("waiting")], labels)
    assert [row[20:] for row in shown(lines)] == ["int8/xnnpack: exporting", "int8/xnnpack: done", "waiting"]


def test_a_term_is_found_in_any_case_and_marked() -> None:
    lines = LogLines()
    lines.add([say("Block 1"), say("nothing"), say("a block, a BLOCK")], {})
    assert lines.matches("block") == [0, 2]
    assert lines.matches("") == []
    marked = lines.text(2, LogStyles(), "block")
    assert [marked.plain[span.start : span.end] for span in marked.spans if span.style == "reverse"] == [
        "block",
        "BLOCK",
    ]
