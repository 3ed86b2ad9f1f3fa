"""A defect in etui leaves the screen up, with a notice and a traceback in a file; in tests it is raised."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from etui.config import LoadedConfig
from etui.tui import defect_guard
from etui.tui.app import EtuiApp
from etui.tui.details import environment
from etui.tui.screens import details
from etui.tui.screens.details import DetailsScreen
from etui.tui.widgets.chart_pane import ChartPane
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened
from tests.tui.hosts import PATIENCE_S, notices, until

pytestmark = pytest.mark.asyncio


def broken(*_arguments: object, **_named: object) -> Any:
    raise ZeroDivisionError("planted")


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, make_documents(4))
    return database


def forgiving(database: Path) -> EtuiApp:
    return EtuiApp(database, LoadedConfig(), live=False, forgiving=True)


def messages(pilot: Pilot[object]) -> list[str]:
    return [notice.message for notice in notices(pilot.app)]


async def ended(app: EtuiApp) -> None:
    """Wait until the app has left."""
    async with asyncio.timeout(PATIENCE_S):
        while app.is_running:
            await asyncio.sleep(0.01)  # between two looks: what has left cannot be waited for in any other way


async def works(pilot: Pilot[object]) -> None:
    """The bench still hears keys."""
    table = bench_table(pilot)
    before = table.cursor
    await pilot.press("down")
    await until(pilot, lambda: table.cursor != before)


async def test_a_picture_that_fails_is_a_sentence_and_one_notice(
    filled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ChartPane, "draw", broken)
    async with opened(forgiving(filled)) as pilot:
        for _ in range(3):
            await works(pilot)
        assert len([words for words in messages(pilot) if "planted" in words]) == 1
        assert "planted" in (tmp_path / "state" / defect_guard.FILE_NAME).read_text()


@pytest.mark.slow
async def test_a_page_that_fails_leaves_the_others(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "environment_page", broken)
    assert environment.environment_page is not broken
    async with opened(forgiving(filled)) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen) and pilot.app.screen.document)
        await until(pilot, lambda: any("planted" in words for words in messages(pilot)))
        for _ in range(10):
            await pilot.press("tab")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, DetailsScreen))
        await works(pilot)


@pytest.mark.slow
async def test_a_handler_and_a_worker_that_fail_leave_the_screen(filled: Path) -> None:
    async with opened(forgiving(filled)) as pilot:
        bench = app_of(pilot).bench
        bench.call_later(broken)

        async def work() -> None:
            raise KeyError("in a worker")

        bench.run_worker(work())
        await until(pilot, lambda: any("planted" in words for words in messages(pilot)))
        await until(pilot, lambda: any("in a worker" in words for words in messages(pilot)))
        await works(pilot)


async def test_too_many_defects_end_the_app_with_3_and_a_line(filled: Path) -> None:
    async with opened(forgiving(filled)) as pilot:
        app = app_of(pilot)
        for _ in range(defect_guard.MOST_A_MINUTE + 1):
            app.bench.call_later(broken)
        await ended(app)
    assert app.return_code == 3


@pytest.mark.slow
async def test_without_forgiving_a_defect_is_raised(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChartPane, "draw", broken)
    with pytest.raises(ZeroDivisionError, match="planted"):
        async with make_app(filled).run_test() as pilot:
            await ended(app_of(pilot))
