"""The trend screen by keyboard: the words of the command line, the runs over time, and every key it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from etui.actions import ACTIONS
from etui.analysis import trends
from etui.store import Store
from etui.tui.database import Database
from etui.tui.screens.compare import CompareScreen
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.menu import MenuDialog
from etui.tui.screens.trend import TrendScreen
from etui.tui.trend.chart import TrendChart
from etui.tui.trend.table import TrendTable
from etui.wording import trend as trend_wording
from tests.facts import lacking
from tests.tui.benches import app_of, bench_table, fill, make_app, opened
from tests.tui.comparing import past
from tests.tui.hosts import drawn_lines, drawn_rows, until, work_done

pytestmark = pytest.mark.asyncio


def screen_of(pilot: Pilot[Any]) -> TrendScreen:
    """The trend screen on top."""
    assert isinstance(pilot.app.screen, TrendScreen)
    return pilot.app.screen


def chart(pilot: Pilot[Any]) -> TrendChart:
    """Its chart."""
    return screen_of(pilot).query_one(TrendChart)


def drawn(pilot: Pilot[Any]) -> str:
    """The chart as text."""
    return str(cast("Any", chart(pilot).render()).plain)


def points(pilot: Pilot[Any]) -> TrendTable:
    """Its table."""
    return screen_of(pilot).query_one(TrendTable)


@asynccontextmanager
async def trending(database: Path, size: tuple[int, int] = (120, 40), count: int = 14) -> AsyncIterator[Pilot[Any]]:
    """The screen of the newest run, opened by key from the bench."""
    documents = past(count)
    fill(database, documents)
    async with opened(make_app(database), size) as pilot:
        bench_table(pilot).go_to(documents[-1].id)
        await work_done(pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen) and screen_of(pilot).trend is not None)
        await pilot.pause()
        yield pilot


async def test_the_change_is_named_in_the_words_of_the_command_line(database: Path) -> None:
    async with trending(database) as pilot:
        with Store.open(database) as store:
            found = trends.trend(store.history(past()[-1].id))
        words = " ".join(screen_of(pilot).summary.split())
        for sentence in trend_wording.sentences(found):
            assert sentence in words
        assert not lacking(words, "Slower", "9.9 %", "executorch 1.5.1")
        assert "executorch 1.5.1" in drawn(pilot) and "slower by 9.9 %" in drawn(pilot) and "✗" in drawn(pilot)
        lines = [drawn_lines(points(pilot))[0], *drawn_rows(points(pilot))]
        assert "versions changed" in lines[0]
        assert "slower by 9.9 %" in lines[6] and "executorch 1.5.1" in lines[6]
        assert "failed" in lines[11]


@pytest.mark.slow
async def test_the_cursor_moves_along_the_runs_and_opens_details(database: Path) -> None:
    async with trending(database, (80, 24)) as pilot:
        assert points(pilot).place == 13
        await pilot.press("j", "j", "h")
        assert points(pilot).place == 10
        await pilot.press("k", "l")
        assert points(pilot).place == 12
        await pilot.press("G")
        assert points(pilot).place == 0 and points(pilot).scroll_offset.y > 0
        first = drawn(pilot)
        await pilot.press("g")
        assert points(pilot).place == 13 and drawn(pilot) != first
        await pilot.press("ctrl+d", "ctrl+u", "j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        details = cast("DetailsScreen", pilot.app.screen)
        await until(pilot, lambda: details.document is not None and details.document.id == past()[12].id)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))


@pytest.mark.slow
async def test_views_spacing_and_scale_by_key(database: Path) -> None:
    async with trending(database) as pilot:
        for number, view in enumerate(("latency", "MAE", "both"), 1):
            await pilot.press(str(number))
            assert chart(pilot).view == view
        assert "MAE" in drawn(pilot) and "ms" in drawn(pilot)
        true = drawn(pilot)
        await pilot.press("s")
        assert drawn(pilot) != true and "even" in str(chart(pilot).border_subtitle)
        await pilot.press("s")
        assert drawn(pilot) == true
        await pilot.press("L")
        assert "log scale" in drawn(pilot)


@pytest.mark.slow
async def test_the_chart_is_enlarged_and_restored(database: Path) -> None:
    async with trending(database, count=4) as pilot:
        chart, table = (pilot.app.screen.query_one(name) for name in ("#trend-chart", "#trend-points"))
        before = chart.size.height
        await pilot.press("z")
        await until(pilot, lambda: chart.size.height > before and not table.display)
        await pilot.press("escape")
        await until(pilot, lambda: chart.size.height == before and table.has_focus)
        assert isinstance(pilot.app.screen, TrendScreen)


@pytest.mark.slow
async def test_copying_writes_words_and_runs(database: Path, tmp_path: Path) -> None:
    async with trending(database) as pilot:
        await pilot.press("y")
        copied = (tmp_path / "state" / "copied-runs.md").read_text()
        assert any(line.startswith("## ") and "resnet18 fp32/xnnpack" in line for line in copied.splitlines())
        assert "since executorch 1.5.1" in copied and past()[0].id in copied
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(pilot.app.screen, TrendScreen))


async def test_one_run_says_that_it_makes_no_trend(database: Path) -> None:
    async with trending(database, count=1) as pilot:
        words = screen_of(pilot).summary
        assert "8 runs" in words and "Slower" not in words and "Faster" not in words


@pytest.mark.slow
async def test_a_run_that_is_gone_is_said(database: Path) -> None:
    fill(database, past(2))
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrendScreen(Database(database), "777777777777"))
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        await until(
            pilot, lambda: screen_of(pilot).query("#trend-words") and "there is no run" in screen_of(pilot).summary
        )
        await pilot.press(*"123sLy", "enter", "j", "G", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, TrendScreen))


async def test_every_key_of_the_screen_has_a_method_and_is_in_the_palette(database: Path) -> None:
    async with trending(database, count=2) as pilot:
        wanted = [action for action in ACTIONS if action.scope == "trend"]
        assert wanted and all(hasattr(TrendScreen, f"action_{action.name}") for action in wanted)
        offered = {entry.title for entry in app_of(pilot).palette_entries()}
        assert {action.title for action in wanted} <= offered


@pytest.mark.slow
async def test_the_menu_compares_a_run_with_the_one_before(database: Path) -> None:
    documents = past(14)
    async with trending(database) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, MenuDialog))
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await until(pilot, lambda: cast("CompareScreen", pilot.app.screen).base == documents[-2].id)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        await pilot.press("G", "c")
        await work_done(pilot)
        assert isinstance(pilot.app.screen, TrendScreen), "nothing is before the first run"


@pytest.mark.slow
async def test_a_right_click_opens_the_menu_of_the_clicked_run(database: Path) -> None:
    async with trending(database) as pilot:
        await pilot.click(TrendTable, offset=(10, 4), button=3)
        await until(pilot, lambda: isinstance(pilot.app.screen, MenuDialog))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        assert points(pilot).cursor == 2
