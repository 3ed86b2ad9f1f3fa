"""Deletions and cancellations can be undone for a while, and nothing is lost if the app ends meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from etui.config import Config
from etui.store import Store
from etui.tui import undo
from etui.tui.screens.confirm import ConfirmDialog
from tests.documents import MODEL, make_spec
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened
from tests.tui.hosts import notices, until

pytestmark = pytest.mark.asyncio
COUNT = 9


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, make_documents(COUNT))
    return database


def stored(database: Path) -> int:
    with Store.open(database) as store:
        return store.count()


async def delete(pilot: Pilot[object]) -> None:
    """Delete the marked runs, or the one under the cursor."""
    before = bench_table(pilot).total
    await pilot.press("d")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
    await pilot.press("right", "enter")
    await until(pilot, lambda: bench_table(pilot).total < before)


@pytest.mark.slow
async def test_a_deletion_is_undone_with_its_marks_and_baseline(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        await pilot.press("p", "space", "space")
        marked, baseline = set(table.marked), table.baseline
        await delete(pilot)
        assert table.total == COUNT - 2 and not table.marked and table.baseline is None
        assert stored(filled) == COUNT
        assert any(" u " in str(notice.message) for notice in notices(pilot.app))
        await pilot.press("u")
        await until(pilot, lambda: table.total == COUNT)
        assert (table.marked, table.baseline) == (marked, baseline)
    assert stored(filled) == COUNT


@pytest.mark.slow
async def test_it_is_final_when_the_app_ends(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await delete(pilot)
        assert stored(filled) == COUNT
    assert stored(filled) == COUNT - 1


@pytest.mark.slow
async def test_it_is_final_after_its_time(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "UNDO_S", 0.01)
    async with opened(make_app(filled)) as pilot:
        await delete(pilot)
        await until(pilot, lambda: stored(filled) == COUNT - 1)
        await pilot.press("u")
        assert bench_table(pilot).total == COUNT - 1


@pytest.mark.slow
async def test_the_next_deletion_makes_the_first_final(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await delete(pilot)
        await delete(pilot)
        assert stored(filled) == COUNT - 1 and bench_table(pilot).total == COUNT - 2
        await pilot.press("u")
        await until(pilot, lambda: bench_table(pilot).total == COUNT - 1)


@pytest.mark.slow
async def test_a_live_run_is_not_deleted(filled: Path) -> None:
    with Store.open(filled) as store:
        store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="x")
    async with opened(make_app(filled)) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: any(notice.severity == "error" for notice in notices(pilot.app)))
        assert bench_table(pilot).total == COUNT + 1
    assert stored(filled) == COUNT + 1


@pytest.mark.slow
async def test_a_cancelled_run_is_queued_again(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.services.submit.start_and_check", lambda path: None)
    with Store.open(filled) as store:
        session = store.add_session(make_spec(("fp32", "xnnpack"), ("int8", "xnnpack")), model=MODEL, box="x")
        ids = [run_id for run_id, _ in session.runs]
        async with opened(make_app(filled, config=Config(keys={"app.undo": "f7"}))) as pilot:
            await until(pilot, lambda: bench_table(pilot).run is not None)
            cancelled = bench_table(pilot).run
            assert cancelled is not None and cancelled.id in ids
            await pilot.press("x")
            await until(pilot, lambda: store.summary(cancelled.id).status == "cancelled")
            await until(pilot, lambda: any(" f7 " in str(notice.message) for notice in notices(pilot.app)))
            await pilot.press("f7")
            await until(pilot, lambda: len(store.live_run_ids()) == 2)
        (again,) = set(store.live_run_ids()) - set(ids)
        assert store.summary(again).precision == cancelled.precision
        assert app_of(pilot).return_code in (None, 0)
