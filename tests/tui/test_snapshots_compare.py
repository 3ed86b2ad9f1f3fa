"""Snapshots of the compare and trend screens at the two sizes they are designed for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from etui.tui.database import Database
from etui.tui.screens.compare import CompareScreen
from etui.tui.screens.trend import TrendScreen
from tests.tui.benches import app_of, fill, make_app, settled, snapshot
from tests.tui.comparing import BASE, not_comparable, past, variants
from tests.tui.hosts import until, work_done

pytestmark = pytest.mark.slow

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
Prepare = Callable[[Pilot[Any]], Awaitable[None]]


def comparing(database: Path, runs: list[str], *keys: str) -> Prepare:
    """Open the compare screen over a quiet bench, and type."""

    async def prepare(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        app_of(pilot).bench.take(snapshot())
        screen = CompareScreen(Database(database), runs, baseline=BASE)
        pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.found is not None)
        for key in keys:
            await pilot.press(key)
            await work_done(pilot)
        await settled(pilot)

    return prepare


def trending(database: Path, run: str, *keys: str) -> Prepare:
    """Open the trend screen over a quiet bench, and type."""

    async def prepare(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        screen = TrendScreen(Database(database), run)
        pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.trend is not None)
        await pilot.press(*keys)
        await settled(pilot)

    return prepare


@pytest.mark.parametrize("size", SIZES)
def test_variants_of_a_session(snap_compare: Any, database: Path, size: str) -> None:
    fill(database, variants())
    runs = [document.id for document in variants()]
    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=comparing(database, runs))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [("2", "o"), ("3", "G"), ("4",), ("5", "z")], ids=" ".join)
def test_pictures_and_figures(snap_compare: Any, database: Path, keys: tuple[str, ...], size: str) -> None:
    fill(database, variants())
    runs = [document.id for document in variants()]
    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=comparing(database, runs, *keys))


def test_what_cannot_be_compared(snap_compare: Any, database: Path) -> None:
    documents = [variants()[0], *not_comparable()]
    fill(database, documents)
    runs = [*(document.id for document in documents), "0123456789ab"]
    assert snap_compare(make_app(database), terminal_size=(120, 40), run_before=comparing(database, runs))


@pytest.mark.parametrize("size", SIZES)
def test_a_history(snap_compare: Any, database: Path, size: str) -> None:
    fill(database, past())
    run_before = trending(database, past()[-1].id, "j", "j")
    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=run_before)


def test_a_history_of_both_at_even_steps(snap_compare: Any, database: Path) -> None:
    fill(database, past())
    run = past()[-1].id
    assert snap_compare(make_app(database), terminal_size=(120, 40), run_before=trending(database, run, "3", "s", "G"))
