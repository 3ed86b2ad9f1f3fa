"""The menu of the row under the cursor: by key and by right click, chosen by key, by letter and by the pointer."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from etui.config import Config
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.export import ExportDialog
from etui.tui.screens.menu import MenuDialog
from etui.tui.widgets.runs_table import RunsTable
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened
from tests.tui.hosts import until

pytestmark = pytest.mark.asyncio


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, make_documents(9))
    return database


def lines(pilot: Pilot[object]) -> list[str]:
    """The lines of the menu."""
    menu = pilot.app.screen.query_one(OptionList)
    return [str(menu.get_option_at_index(index).prompt) for index in range(menu.option_count)]


async def open_menu(pilot: Pilot[object], key: str = "m") -> None:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, MenuDialog))


async def test_enter_runs_the_chosen_action(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await open_menu(pilot)
        assert any("Export runs" in line and line.startswith("e ") for line in lines(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))


@pytest.mark.slow
async def test_the_key_of_an_action_works_in_the_menu_as_configured(filled: Path) -> None:
    async with opened(make_app(filled, config=Config(keys={"bench.export": "E"}))) as pilot:
        await open_menu(pilot)
        await pilot.press("e", "j")
        assert isinstance(pilot.app.screen, MenuDialog) and pilot.app.screen.query_one(OptionList).highlighted == 1
        await pilot.press("E")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))


@pytest.mark.slow
async def test_marked_runs_have_their_own_menu(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press("space", "space")
        await open_menu(pilot)
        assert not any("details" in line.lower() for line in lines(pilot))
        await pilot.press("minus")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench and not bench_table(pilot).marked)


@pytest.mark.slow
async def test_a_right_click_opens_it_for_the_clicked_run(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.click(RunsTable, offset=(10, 4), button=3)
        await until(pilot, lambda: isinstance(pilot.app.screen, MenuDialog))
        assert bench_table(pilot).cursor == 3
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_it_fits_small_terminals(filled: Path, size: tuple[int, int]) -> None:
    async with opened(make_app(filled), size) as pilot:
        await open_menu(pilot)
        menu = pilot.app.screen.query_one(OptionList)
        assert pilot.app.screen.region.contains_region(menu.region)
