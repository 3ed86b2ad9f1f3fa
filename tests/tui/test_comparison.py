"""The comparison without its screen: the baseline, runs that are deleted meanwhile, and options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from etui.errors import StoreError
from etui.store import Store
from etui.tui.compare.comparison import Comparison
from etui.tui.database import Database
from etui.tui.glyphs import UNICODE
from tests.tui.benches import fill
from tests.tui.comparing import BASE, FP16, INT8, OPENVINO, variants

pytestmark = pytest.mark.asyncio
ALL = (BASE, INT8, OPENVINO, FP16)


@pytest.fixture
def stored(database: Path) -> Path:
    fill(database, variants())
    return database


async def read(comparison: Comparison) -> None:
    await comparison.read(lambda count: None)


def delete(database: Path, run_ids: Sequence[str]) -> None:
    with Store.open(database) as store:
        store.delete_runs(run_ids)


def compared(comparison: Comparison) -> tuple[str, set[str]]:
    """The baseline and the other runs of the result."""
    assert comparison.outcome is not None
    return comparison.outcome.compared.base.id, {run.id for run in comparison.outcome.compared.others}


@pytest.mark.parametrize(
    ("pinned", "cursor", "base"), [(FP16, INT8, FP16), (None, INT8, INT8), (None, None, BASE), ("gone", INT8, INT8)]
)
async def test_the_baseline_is_the_pinned_run_else_the_one_under_the_cursor_else_the_oldest(
    stored: Path, pinned: str | None, cursor: str | None, base: str
) -> None:
    comparison = Comparison(Database(stored), ALL, pinned=pinned, cursor=cursor)
    assert await comparison.compare(UNICODE) is None
    await read(comparison)
    await comparison.compare(UNICODE)
    assert compared(comparison) == (base, set(ALL) - {base})


async def test_a_deleted_run_leaves_the_comparison_even_if_it_was_excluded(stored: Path) -> None:
    comparison = Comparison(Database(stored), ALL, pinned=BASE)
    await read(comparison)
    assert comparison.selection is not None
    comparison.selection.drop(INT8)
    comparison.selection.drop(FP16)
    delete(stored, [INT8, OPENVINO])
    await read(comparison)
    assert comparison.selection.take_back() == [FP16]
    await comparison.compare(UNICODE)
    assert compared(comparison) == (BASE, {FP16})


async def test_the_next_run_is_the_baseline_if_the_baseline_is_deleted(stored: Path) -> None:
    comparison = Comparison(Database(stored), ALL, pinned=BASE)
    await read(comparison)
    delete(stored, [BASE])
    await read(comparison)
    await comparison.compare(UNICODE)
    assert compared(comparison) == (INT8, {OPENVINO, FP16})


async def test_an_excluded_run_is_the_baseline_if_all_others_are_deleted(stored: Path) -> None:
    comparison = Comparison(Database(stored), ALL, pinned=BASE)
    await read(comparison)
    assert comparison.selection is not None
    comparison.selection.drop(FP16)
    delete(stored, [BASE, INT8, OPENVINO])
    await read(comparison)
    await comparison.compare(UNICODE)
    assert compared(comparison) == (FP16, set())


async def test_what_was_read_stays_if_the_database_is_removed(stored: Path) -> None:
    comparison = Comparison(Database(stored), ALL, pinned=BASE)
    await read(comparison)
    stored.unlink()
    with pytest.raises(StoreError):
        await read(comparison)
    outcome = await comparison.compare(UNICODE)
    assert outcome is not None and compared(comparison) == (BASE, set(ALL) - {BASE})
