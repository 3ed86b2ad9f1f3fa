"""Notices: equal ones do not stack, they cover nothing, and their history can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.events import Event
from etui.store import Store
from etui.tui.notices import KEPT, Notices
from etui.tui.screens.notices import NoticesScreen
from etui.tui.widgets.key_bar import KeyBar
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.log_view import LogView
from tests.documents import make_document
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened, settled
from tests.tui.hosts import drawn_lines, notices, until

SIZES = [(60, 16), (80, 24), (120, 40)]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_equal_notices_do_not_stack(database: Path) -> None:
    async with opened(make_app(database)) as pilot:
        await pilot.press("c", "c", "d", "c")
        await pilot.pause()
        assert len(notices(pilot.app)) == 1
        app_of(pilot).say("something else", "warning")
        await pilot.pause()
        assert len(notices(pilot.app)) == 2


def test_a_notice_is_shown_again_once_it_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("etui.tui.notices.time.monotonic", lambda: now)
    shown = Notices()
    assert not shown.is_shown(("a", "", "error"), 5)
    assert shown.is_shown(("a", "", "error"), 5)
    assert not shown.is_shown(("a", "", "warning"), 5)
    now = 105.5
    assert not shown.is_shown(("a", "", "error"), 5)


def test_the_history_keeps_the_newest_and_repetitions_once() -> None:
    shown = Notices()
    for number in range(KEPT + 10):
        for _ in range(3):
            shown.remember(f"notice {number}", "info")
    messages = [event.message for event in shown.history]
    assert messages == [f"notice {number}" for number in range(10, KEPT + 10)]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_notice_that_others_replaced_is_shown_again(database: Path) -> None:
    async with opened(make_app(database)) as pilot:
        for message in ("first", "second", "third", "first"):
            app_of(pilot).say(message)
            await pilot.pause()
        assert [notice.message for notice in notices(pilot.app)] == ["third", "first"]


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("size", SIZES)
async def test_notices_cover_nothing(database: Path, size: tuple[int, int]) -> None:
    fill(database, make_documents())
    async with make_app(database).run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        for number in range(20):
            app_of(pilot).say(f"notice {number}: " + "long " * 30, "warning")
        screen, keys = pilot.app.screen, app_of(pilot).bench.query_one(KeyBar)
        await until(pilot, lambda: any(toast.region for toast in screen.query("Toast")))
        shown = [toast.region for toast in screen.query("Toast") if toast.region]
        assert keys.region.height == 1
        assert all(keys.region.bottom <= region.y and region.right <= size[0] for region in shown)
        assert max(region.bottom for region in shown) == size[1]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_history_is_read_with_its_key(database: Path) -> None:
    async with opened(make_app(database)) as pilot:
        app_of(pilot).say("exported to a file", keep=True)
        app_of(pilot).say("the disk is full", "error")
        app_of(pilot).say("no run is under the cursor", "warning")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(pilot.app.screen, NoticesScreen))
        view = pilot.app.screen.query_one(LogView)
        await until(pilot, lambda: "disk is full" in "".join(drawn_lines(view)))
        assert "exported to a file" in "".join(drawn_lines(view))
        assert "under the cursor" not in "".join(drawn_lines(view))
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, NoticesScreen)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_log_of_a_run_has_only_its_own_lines(database: Path) -> None:
    first, second = make_document("aaaaaaaaaaa1", session_id="5e55000000a1"), make_document("bbbbbbbbbbb2")
    with Store.open(database) as store:
        store.import_documents([first, second])
        store.add_event(first.session.id, Event(kind="log", message="line of the run", run_id=first.id))
        store.add_event(first.session.id, Event(kind="log", message="line of the session"))
        store.add_event(first.session.id, Event(kind="log", message="line of a sibling", run_id=second.id))
        store.add_event(second.session.id, Event(kind="finished", message="foreign", run_id=second.id))
    async with opened(make_app(database)) as pilot:
        app_of(pilot).say("sent to the clipboard", keep=True)
        app_of(pilot).say("timed out", "error")
        bench_table(pilot).go_to(first.id)
        view = app_of(pilot).bench.query_one(LogPane).query_one(LogView)
        await until(pilot, lambda: view.lines.matches("line of the run"))
        assert view.lines.matches("line of the session")
        for foreign in ("sibling", "foreign", "clipboard", "timed out"):
            assert not view.lines.matches(foreign)
