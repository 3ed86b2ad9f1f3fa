"""The line of progress on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from etui.cli.status_line import StatusLine, status_line


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def rows(self) -> list[str]:
        """What a reader sees in the end."""
        return [row.rsplit("\r\x1b[K", 1)[-1] for row in self.getvalue().split("\n")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    opened = Terminal()
    # Not sys.stderr itself, which pytest replaces before the test begins.
    monkeypatch.setattr("etui.cli.status_line.sys", SimpleNamespace(stderr=opened))
    return opened


def test_what_begins_is_replaced_by_what_follows(terminal: Terminal) -> None:
    with status_line() as line:
        line.begin("loading")
        assert terminal.rows == ["loading"]
        line.begin("counting")
        assert terminal.rows == ["counting"]
    assert terminal.rows == [""]


def test_progress_is_shown_at_most_ten_times_a_second(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with status_line() as line:
        line.show("step 1")
        clock[0] += 0.05
        line.show("step 2")
        assert terminal.rows == ["step 1"]
        clock[0] += 0.1
        line.show("step 3")
        assert terminal.rows == ["step 3"]


def test_a_note_remains_and_the_line_does_not(terminal: Terminal) -> None:
    with status_line() as line:
        line.show("step 1")
        line.note("stored as 3f2a")
        line.begin("second model")
    assert terminal.rows == ["stored as 3f2a", ""]


def test_the_line_is_removed_after_an_error(terminal: Terminal) -> None:
    def fail() -> None:
        with status_line() as line:
            line.begin("loading")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert terminal.rows == [""]


@pytest.mark.parametrize("write", [StatusLine.begin, StatusLine.show, StatusLine.note])
def test_nothing_is_written_without_a_terminal(
    write: Callable[[StatusLine, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with status_line() as line:
        write(line, "loading")
    assert capsys.readouterr() == ("", "")
