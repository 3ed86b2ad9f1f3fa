"""The help opens at the keys of the present screen, and its search field finds keys by words."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Input, Static

from etui.actions import SCOPE_TITLES
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.help import HelpScreen
from tests.tui.benches import app_of, fill, make_app, make_documents, opened
from tests.tui.hosts import until

pytestmark = pytest.mark.asyncio


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, make_documents(3))
    return database


def lines(pilot: Pilot[object]) -> list[str]:
    """The lines of the help."""
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(pilot.app.screen.query_one("#help-text", Static).content)
    return [line for line in capture.get().splitlines() if line.strip()]


async def open_help(pilot: Pilot[object]) -> None:
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
    await pilot.pause()


@pytest.mark.slow
async def test_it_opens_at_the_present_screen(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await open_help(pilot)
        assert lines(pilot)[0] == SCOPE_TITLES["bench"]
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await open_help(pilot)
        assert lines(pilot)[0] == SCOPE_TITLES["details"]


@pytest.mark.slow
async def test_a_search_leaves_the_lines_with_all_words(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await open_help(pilot)
        everything = lines(pilot)
        await pilot.press("slash", *"save", "space", *"main", "enter")
        await until(pilot, lambda: len(lines(pilot)) < len(everything))
        found = lines(pilot)[1:]
        assert lines(pilot)[0] == SCOPE_TITLES["bench"] and found
        assert [line for line in found if "save" not in line.lower() and "Export" not in line] == []
        await pilot.press("escape")
        await until(pilot, lambda: lines(pilot) == everything)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)


@pytest.mark.slow
async def test_what_is_not_found_is_said(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await open_help(pilot)
        await pilot.press("slash", *"zzzz")
        await until(pilot, lambda: len(lines(pilot)) == 1)
        assert pilot.app.screen.query_one(Input).value == "zzzz"
