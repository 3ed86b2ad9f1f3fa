"""The comparison without its screen: the baseline, runs that are deleted meanwhile, and options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from etui.analysis.side_by_side import Row
from etui.errors import StoreError
from etui.results import Flag
from etui.store import Store
from etui.tui.compare.comparison import Comparison
from etui.tui.compare.metrics_text import MEDIAN
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


async def test_changes_are_marked_by_the_trust_in_them(database: Path) -> None:
    documents = variants()
    documents[1].flags = [Flag(name="spread", detail="the samples spread by 20 %")]
    # Every second block of this run took ten times as long.
    documents[2].blocks = [
        msgspec.structs.replace(block, samples_ms=[value * (10 if place % 2 else 1) for value in block.samples_ms])
        for place, block in enumerate(documents[2].blocks)
    ]
    fill(database, documents)
    comparison = Comparison(Database(database), ALL, pinned=BASE)
    await read(comparison)
    result = await comparison.compare(UNICODE)
    assert result is not None
    sheet = result.differing
    place = next(place for place, line in enumerate(sheet.lines) if isinstance(line, Row) and line.name == MEDIAN)
    base, flagged, wide, good = sheet.cells[place]
    assert [cell.trust for cell in (base, flagged, wide, good)] == ["good", "caution", "poor", "good"]
    assert flagged.change.endswith("!") and wide.change.endswith("?") and good.change.endswith("%")
    # The digits of a marked column stay below each other.
    assert {cells[1].change[-1] for cells in sheet.cells if cells and cells[1].change} == {"!", " "}


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
