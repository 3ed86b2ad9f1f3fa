"""The log pane as a user meets it: following, holding still, levels, search, progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Button, Input

from etui.events import Event, Level, utc_now
from etui.services.progress_state import SessionProgress
from etui.tui.widgets import log_pane as log_pane_module
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.log_view import LogView
from etui.tui.widgets.progress_line import ProgressLine
from tests.tui.hosts import drawn_lines, dress, shown_title, type_text, until

pytestmark = pytest.mark.asyncio

AT = "2026-11-20T10:42:07.123Z"


def say(number: int, level: Level = "info", run_id: str | None = None) -> Event:
    """A log event."""
    return Event(kind="log", message=f"line {number}", at=AT, level=level, stage="lower", run_id=run_id)


class LogHost(App[None]):
    """A log pane beside something else that takes the focus."""

    def __init__(self) -> None:
        super().__init__()
        dress(self)

    def compose(self) -> ComposeResult:
        """Both."""
        yield Button("elsewhere")
        yield LogPane()

    @property
    def pane(self) -> LogPane:
        """The pane."""
        return self.query_one(LogPane)

    @property
    def view(self) -> LogView:
        """Its lines."""
        return self.query_one(LogView)

    def seen(self) -> str:
        """What the lines show."""
        return "\n".join(drawn_lines(self.view))

    def progress(self) -> str:
        """What the progress line shows; nothing where it is hidden."""
        line = self.query_one(ProgressLine)
        return str(line.render()) if line.display else ""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for its second."""
    monkeypatch.setattr(log_pane_module, "BRISK_REDRAW_S", 0.0)
    monkeypatch.setattr(log_pane_module, "QUIET_REDRAW_S", 0.0)


async def filled(pilot: Pilot[Any], count: int = 50) -> LogHost:
    """The host with so many lines in its pane, which has the focus."""
    host = pilot.app
    assert isinstance(host, LogHost)
    host.pane.follow("s1", None, "resnet18 fp32")
    host.pane.show([say(number) for number in range(count)])
    host.pane.focus()
    await pilot.pause()
    return host


async def test_it_follows_the_newest_line() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot)
        assert "line 49" in host.seen()
        host.pane.add([say(50)])
        await pilot.pause()
        assert "line 50" in host.seen()
        assert "following" in shown_title(host.pane.border_title)


async def test_scrolled_up_it_holds_still_and_counts_what_comes() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot)
        await pilot.press("k", "k")
        before = host.seen()
        host.pane.add([say(50), say(51), say(52)])
        await pilot.pause()
        assert host.seen() == before
        assert "paused" in shown_title(host.pane.border_title)
        assert "3 new lines below" in shown_title(host.pane.border_subtitle)
        await pilot.press("G")
        assert "line 52" in host.seen()
        assert "below" not in shown_title(host.pane.border_subtitle)
        assert host.pane.is_following


async def test_held_lines_stay_while_the_oldest_are_forgotten() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot, 2000)
        await pilot.press("ctrl+u")
        before = host.seen()
        host.pane.add([say(number) for number in range(2000, 2100)])
        await pilot.pause()
        assert host.seen() == before
        assert "100 older lines in the database" in shown_title(host.pane.border_subtitle)


async def test_f_holds_and_follows() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot)
        await pilot.press("f")
        host.pane.add([say(50)])
        await pilot.pause()
        assert "line 50" not in host.seen()
        await pilot.press("f")
        await pilot.pause()
        assert "line 50" in host.seen()


async def test_o_goes_through_the_levels() -> None:
    async with LogHost().run_test(size=(100, 24)) as pilot:
        host = await filled(pilot, 0)
        host.pane.show([say(1, "debug"), say(2), say(3, "warning"), say(4, "error")])
        words = []
        for _ in range(4):
            words.append((shown_title(host.pane.border_subtitle), host.seen().count("line")))
            await pilot.press("o")
        assert words == [("info and above", 3), ("warning and above", 2), ("errors only", 1), ("all levels", 4)]


@pytest.mark.slow
async def test_search_goes_from_match_to_match_and_back() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot)
        host.query_one(Button).focus()
        await pilot.pause()
        host.pane.action_search()
        await pilot.pause()
        await type_text(pilot, "line 1")
        assert "match 11 of 11" in shown_title(host.pane.border_subtitle)
        await pilot.press("enter", "n")
        assert "match 1 of 11" in shown_title(host.pane.border_subtitle)
        assert "line 1" in host.seen()
        await pilot.press("N")
        assert "match 11 of 11" in shown_title(host.pane.border_subtitle)
        await pilot.press("escape")
        assert not host.query_one(Input).display
        assert isinstance(host.focused, Button)


async def test_letters_in_the_search_are_letters() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot)
        await pilot.press("ctrl+f", "j", "k", "f", "o", "n")
        assert host.query_one(Input).value == "jkfon"
        assert "not found" in shown_title(host.pane.border_subtitle)


async def test_lines_of_other_runs_are_left_out() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot, 0)
        host.pane.follow("s1", "r1", "int8/xnnpack")
        host.pane.show([say(1, run_id="r1"), say(2, run_id="r2"), say(3)])
        await pilot.pause()
        assert [word for word in ("line 1", "line 2", "line 3") if word in host.seen()] == ["line 1", "line 3"]


async def test_following_something_else_empties_the_pane() -> None:
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot)
        host.pane.follow("s2", None, "[b]gpt2[/b]")
        await pilot.pause()
        assert "No log lines yet" in host.seen()
        assert "[b]gpt2[/b]" in shown_title(host.pane.border_title)


async def test_the_progress_line_comes_and_goes() -> None:
    async with LogHost().run_test(size=(100, 24)) as pilot:
        host = await filled(pilot, 0)
        assert host.progress() == ""
        progress = SessionProgress(
            share=0.519, stage="measure", step="block 3 of 6", doing="block 3 of 6: eager", at=utc_now(), left_s=61.5
        )
        host.pane.show_progress(progress)
        await pilot.pause()
        assert "51 %" in host.progress() and "block 3 of 6: eager" in host.progress() and "1:0" in host.progress()
        host.pane.show_progress(msgspec.structs.replace(progress, left_s=None))
        await pilot.pause()
        assert "left" not in host.progress()
        host.pane.show_progress(None)
        await pilot.pause()
        assert host.progress() == ""


async def test_a_long_step_moves_the_bar_and_shows_for_how_long_it_lasts() -> None:
    async with LogHost().run_test(size=(120, 24)) as pilot:
        host = await filled(pilot, 0)
        begun = (datetime.now(UTC) - timedelta(seconds=75)).isoformat()
        host.pane.show_progress(
            SessionProgress(
                share=0.1, stage="lower", step="lower", doing="int8/xnnpack: lowering for xnnpack", at=begun,
                since=begun, left_s=300, is_rough=True, next_share=0.5, step_s=150,
            )
        )  # fmt: skip
        await pilot.pause()
        assert "int8/xnnpack: lowering for xnnpack, 1:1" in host.progress()
        assert "30 %" in host.progress() and "about 4 min left" in host.progress()


@pytest.mark.slow
@pytest.mark.parametrize("width", [30, 60, 100, 200])
async def test_the_progress_fits_its_line(width: int) -> None:
    async with LogHost().run_test(size=(width, 24)) as pilot:
        host = await filled(pilot, 0)
        host.pane.show_progress(
            SessionProgress(share=0.99, stage="wait", step="wait", doing="waiting " * 20, at=utc_now(), left_s=5000)
        )
        await pilot.pause()
        line = host.query_one(ProgressLine)
        assert len(host.progress()) <= line.content_size.width
        assert "99 %" in host.progress() and "1:23:" in host.progress()


async def test_bursts_are_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pane_module, "BRISK_REDRAW_S", 0.05)
    async with LogHost().run_test(size=(80, 24)) as pilot:
        host = await filled(pilot, 0)
        drawn: list[int] = []
        add = host.view.add

        def counted(events: Sequence[Event], labels: Mapping[str, str]) -> None:
            drawn.append(len(events))
            add(events, labels)

        monkeypatch.setattr(host.view, "add", counted)
        for number in range(100):
            host.pane.add([say(number)])
        await until(pilot, lambda: "line 99" in host.seen())
        assert sum(drawn) == 100
        assert len(drawn) <= 2


@pytest.mark.parametrize("size", [(20, 4), (40, 10), (250, 70)])
async def test_any_size_will_do(size: tuple[int, int]) -> None:
    async with LogHost().run_test(size=size) as pilot:
        host = await filled(pilot)
        await pilot.press("ctrl+f", "x", "enter", "o", "f")
        await pilot.resize_terminal(60, 12)
        host.pane.add([say(51)])
        await pilot.pause()
