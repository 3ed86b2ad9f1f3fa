"""The details screen inside the whole app: its actions in the command palette, and its errors in the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from etui.actions import ACTIONS, SCOPE_TITLES, Scope
from etui.store import Store
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.details import TABS, DetailsScreen
from tests.documents import make_document
from tests.insights import look_inside
from tests.tui.benches import app_of, fill, make_app, opened
from tests.tui.hosts import until

pytestmark = pytest.mark.asyncio
RUN = "bbbbbbbbbbb2"


@pytest.fixture
def profiled(database: Path) -> Path:
    """A database with a run that has a profile and no program of its own here."""
    fill(database, [look_inside(make_document(RUN, precision="int8"))])
    return database


async def _details(pilot: Pilot[object], tab: str = "Summary") -> DetailsScreen:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, DetailsScreen)
    await until(pilot, lambda: screen.document is not None)
    await pilot.press(*["tab"] * TABS.index(tab))
    await pilot.pause()
    return screen


def _offered(pilot: Pilot[object]) -> set[tuple[str, str]]:
    return {(entry.group, entry.title) for entry in app_of(pilot).palette_entries()}


def _titles(*scopes: Scope) -> set[tuple[str, str]]:
    return {
        (SCOPE_TITLES[action.scope].partition(":")[0], action.title) for action in ACTIONS if action.scope in scopes
    }


def _titles_of(action_id: str) -> set[str]:
    return {action.title for action in ACTIONS if action.id == action_id}


def _is_kept(pilot: Pilot[object], text: str) -> bool:
    return any(text in notice.message for notice in app_of(pilot).notice_history)


@pytest.mark.slow
async def test_the_palette_offers_what_the_details_can_do(profiled: Path) -> None:
    async with opened(make_app(profiled)) as pilot:
        await _details(pilot)
        assert _titles("details", "chart", "log") <= _offered(pilot)
        assert not _titles("bench", "table", "compare", "trend", "rows") & _offered(pilot)


@pytest.mark.slow
async def test_the_palette_offers_the_actions_of_a_table_only_on_its_tab(profiled: Path) -> None:
    async with opened(make_app(profiled)) as pilot:
        screen = await _details(pilot, "Operators")
        assert _titles("rows") <= _offered(pilot)
        table = screen._table
        assert table is not None
        before = table.rows.sort if table.rows else ""
        (sort,) = [entry for entry in app_of(pilot).palette_entries() if entry.title in _titles_of("rows.sort")]
        await sort.run()
        await until(pilot, lambda: table.rows and table.rows.sort != before)


@pytest.mark.slow
async def test_an_action_of_the_details_runs_from_the_palette(profiled: Path) -> None:
    async with opened(make_app(profiled)) as pilot:
        screen = await _details(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press(*"next tab", "enter", "enter")
        await until(pilot, lambda: pilot.app.screen is screen and screen.tab == TABS[1])


@pytest.mark.slow
async def test_an_action_of_the_chart_runs_on_its_tab(profiled: Path) -> None:
    async with opened(make_app(profiled)) as pilot:
        screen = await _details(pilot)
        (ecdf,) = [entry for entry in app_of(pilot).palette_entries() if entry.title in _titles_of("chart.view_2")]
        await ecdf.run()
        await until(pilot, lambda: screen.tab == "Latency")


@pytest.mark.slow
async def test_an_analysis_that_cannot_be_queued_is_in_the_log_without_a_command_line(database: Path) -> None:
    document = make_document(RUN)
    document.artifact = None
    fill(database, [document])
    async with opened(make_app(database)) as pilot:
        await _details(pilot, "Operators")
        await pilot.press("P")
        await until(pilot, lambda: pilot.app._notifications)
        (notice,) = pilot.app._notifications
        assert notice.severity == "error" and RUN in notice.message and "etui run" not in notice.message
        await until(pilot, lambda: _is_kept(pilot, RUN))
        assert not _is_kept(pilot, "etui run")


@pytest.mark.slow
async def test_a_note_on_a_deleted_run_is_refused_in_the_log(database: Path) -> None:
    fill(database, [make_document(RUN)])
    async with opened(make_app(database)) as pilot:
        screen = await _details(pilot)
        await pilot.press("a")
        await until(pilot, lambda: pilot.app.screen is not screen)
        assert not isinstance(pilot.app.screen, ConfirmDialog)
        with Store.open(database) as store:
            store.delete_runs([RUN])
        await pilot.press("tab", "enter")
        await until(pilot, lambda: _is_kept(pilot, f"there is no run {RUN}"))
