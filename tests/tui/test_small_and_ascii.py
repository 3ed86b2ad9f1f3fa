"""A terminal of 60x16, and one without Unicode: every screen is complete, and drawn with what the terminal has."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from etui.config import Config
from etui.results import LogLine
from etui.tui.details.text_view import Page, Paper
from etui.tui.screens.compare import CompareScreen
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.trend import TrendScreen
from etui.tui.trend.chart import TrendChart
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.key_bar import KeyBar
from tests.documents import make_document
from tests.tui.benches import app_of, bench_table, fill, make_app, opened
from tests.tui.comparing import past
from tests.tui.hosts import until, work_done

pytestmark = pytest.mark.asyncio
SMALL = (60, 16)
AT_LEAST = "\u2265"


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, past(10))
    return database


def lines(pilot: Pilot[object]) -> list[str]:
    """The lines of the terminal."""
    return [strip.text for strip in pilot.app.screen._compositor.render_strips()]


def strange(pilot: Pilot[object]) -> list[str]:
    """The lines of the terminal that are not ASCII."""
    return [line for line in lines(pilot) if not line.isascii()]


async def show(pilot: Pilot[object], *keys: str) -> None:
    """Press keys and wait until what they show is drawn."""
    await pilot.press(*keys)
    await work_done(pilot)
    await pilot.pause()


async def test_the_table_has_the_lines_of_a_chart_that_would_leave_two_runs(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        assert bench_table(pilot).visible_rows >= 10
        assert not pilot.app.screen.query_one(ChartPane).display
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: pilot.app.screen.query_one(ChartPane).display)


async def test_the_trend_shows_title_runs_and_keys_and_its_chart_enlarged(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        await show(pilot, "t")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        await until(pilot, lambda: lines(pilot)[0].startswith(" Trend  resnet18"))
        screen = pilot.app.screen
        assert screen.region.contains_region(screen.query_one(KeyBar).region)
        chart = screen.query_one(TrendChart)
        assert not chart.display
        await show(pilot, "z")
        assert chart.display and chart.size.height > 8


@pytest.mark.slow
async def test_every_screen_is_ascii_where_the_terminal_is(filled: Path) -> None:
    async with opened(make_app(filled, config=Config(ascii=True)), (80, 24)) as pilot:
        for keys in (("m",), ("f2",), ("v",), ("ctrl+p",)):
            await show(pilot, *keys)
            assert strange(pilot) == [], keys
            await show(pilot, "escape")
        await show(pilot, "space", "space", "c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await show(pilot)
        assert strange(pilot) == []
        await show(pilot, "escape", "t")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        await show(pilot)
        assert strange(pilot) == []


async def test_the_details_have_the_width_of_an_ascii_terminal(filled: Path) -> None:
    async with opened(make_app(filled, config=Config(ascii=True)), (80, 24)) as pilot:
        await show(pilot, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await until(pilot, lambda: app_of(pilot).screen.query(Page).first().query_one(Paper).size.width > 70)
        assert strange(pilot) == []


async def test_signs_of_stored_messages_are_ascii_where_the_terminal_is(database: Path) -> None:
    document = make_document()
    assert document.accuracy is not None
    reason = f"SQNR 28.5 dB {AT_LEAST} 20 dB"
    document.accuracy = msgspec.structs.replace(document.accuracy, reason=reason)
    document.log = [LogLine(at="2026-11-20T10:00:00.000Z", stage="accuracy", level="info", message=reason)]
    fill(database, [document])
    async with opened(make_app(database, config=Config(ascii=True))) as pilot:
        app_of(pilot).say(reason, keep=True)
        assert app_of(pilot).notice_history[-1].message == "SQNR 28.5 dB >= 20 dB"
        await until(pilot, lambda: "SQNR 28.5 dB >= 20 dB" in "".join(lines(pilot)))
        assert strange(pilot) == []
        await show(pilot, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        for tab in ("3", "9"):
            await show(pilot, tab)
            await until(pilot, lambda: "SQNR 28.5 dB >= 20 dB" in "".join(lines(pilot)))
            assert strange(pilot) == [], tab
