"""The line at the bottom names the keys that matter for what has the focus, is marked and is under the cursor."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from etui.store import Store
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.trend import TrendScreen
from etui.tui.widgets.key_bar import KeyBar
from tests.documents import MODEL, make_document, make_spec
from tests.insights import look_inside
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened, settled
from tests.tui.comparing import past
from tests.tui.hosts import until, work_done

pytestmark = pytest.mark.asyncio
SMALL = (80, 24)


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, make_documents(9))
    return database


def footer(pilot: Pilot[object]) -> str:
    return app_of(pilot).screen.query_one(KeyBar).render().plain


async def test_a_small_terminal_names_the_keys_of_the_three_tasks(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        for words in ("r run", "c compare", "e export", "/ filter", "space mark", "? help", "q quit"):
            assert words in footer(pilot)


@pytest.mark.slow
async def test_it_follows_the_marks(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        await pilot.press("space", "space")
        await until(pilot, lambda: footer(pilot).startswith(" 2 marked: c compare  e export"))
        await pilot.press("minus")
        await until(pilot, lambda: "marked" not in footer(pilot))


async def test_it_follows_the_run_under_the_cursor(filled: Path) -> None:
    with Store.open(filled) as store:
        store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="x")
    async with opened(make_app(filled), SMALL) as pilot:
        await until(pilot, lambda: "details  x cancel" in footer(pilot))
        await pilot.press("j")
        await until(pilot, lambda: "c compare" in footer(pilot) and "x cancel" not in footer(pilot))


@pytest.mark.slow
async def test_it_follows_the_focus_into_text_fields(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        await pilot.press("slash")
        await until(pilot, lambda: "tab complete" in footer(pilot))
        assert "apply" in footer(pilot) and "esc leave" in footer(pilot) and "/ filter" not in footer(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "c compare" in footer(pilot))
        await pilot.press("n")
        await until(pilot, lambda: "go to Run" in footer(pilot))
        assert "tab next field" in footer(pilot) and "esc back" in footer(pilot)
        await pilot.press("tab")
        await until(pilot, lambda: "space choose" in footer(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "c compare" in footer(pilot))
        await pilot.press("ctrl+f")
        await until(pilot, lambda: "go to matches" in footer(pilot))


async def test_an_empty_table_names_how_to_fill_it(database: Path) -> None:
    async with opened(make_app(database), SMALL) as pilot:
        await settled(pilot)
        await until(pilot, lambda: footer(pilot).startswith(" r run  i import"))


@pytest.mark.slow
async def test_the_details_name_the_keys_of_the_open_tab(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await until(pilot, lambda: footer(pilot).startswith(" tab next tab  a note"))
        await pilot.press("2")
        await until(pilot, lambda: footer(pilot).startswith(" v chart"))
        await pilot.press("4")
        await until(pilot, lambda: footer(pilot).startswith(" P profile"))
        await pilot.press("8")
        await until(pilot, lambda: "/ filter" in footer(pilot) or footer(pilot).startswith(" tab next tab"))
        await pilot.press("9")
        await until(pilot, lambda: footer(pilot).startswith(" f pause"))


@pytest.mark.slow
async def test_a_failed_run_names_its_log(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        await pilot.press("j", "j", "j", "j", "j", "j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await until(pilot, lambda: footer(pilot).startswith(" 9 open tab log"))


async def test_the_filter_of_rows_names_its_keys(filled: Path) -> None:
    with Store.open(filled) as store:
        store.import_documents([look_inside(make_document("bbbbbbbbbbb2", created_at="2026-11-20T12:00:00.000Z"))])
    async with opened(make_app(filled), SMALL) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await pilot.press("4")
        await until(pilot, lambda: footer(pilot).startswith(" ⏎ open  / filter  s sort"))
        await pilot.press("slash")
        await until(pilot, lambda: footer(pilot).startswith(" ⏎ apply  esc leave"))


@pytest.mark.slow
async def test_the_trend_names_the_keys_of_the_run_under_the_cursor(filled: Path) -> None:
    with Store.open(filled) as store:
        store.import_documents(past(4))
    async with opened(make_app(filled), SMALL) as pilot:
        bench_table(pilot).go_to(past(4)[-1].id)
        await work_done(pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        await until(pilot, lambda: footer(pilot).startswith(" ⏎ details  c compare"))
        await pilot.press("G")
        await until(pilot, lambda: "compare" not in footer(pilot))
        await pilot.press("z")
        await until(pilot, lambda: footer(pilot).startswith(" z zoom  s spacing"))


async def test_a_click_presses_the_key(filled: Path) -> None:
    async with opened(make_app(filled), SMALL) as pilot:
        await pilot.click(KeyBar, offset=(footer(pilot).index("/ filter"), 0))
        await until(pilot, lambda: "tab complete" in footer(pilot))
