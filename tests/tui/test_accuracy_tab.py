"""The Accuracy tab of a run that was evaluated on labelled images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from etui.results import RunDocument, TaskEvaluation
from etui.store import Store
from etui.tui.details import loader
from etui.tui.details.accuracy_tab import AccuracyTab
from tests.documents import make_document, make_evaluation, with_evaluation
from tests.facts import lacking
from tests.tui.hosts import type_text, until
from tests.tui.test_details import RUN, DetailsHost, opened

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is looked at often enough for a test."""
    monkeypatch.setattr(loader, "LOOK_S", 0.02)


def store(database: Path, evaluation: TaskEvaluation) -> Path:
    document: RunDocument = with_evaluation(make_document(RUN, precision="int8", median=5.0), evaluation)
    with Store.open(database) as opened_store:
        opened_store.save_document(document)
    return database


@pytest.fixture
def evaluated(database: Path) -> Path:
    return store(database, make_evaluation(drop=0.2, changed=3))


def foot(host: DetailsHost) -> str:
    return str(host.details.query_one("#tab-accuracy #rows-foot").render())


def names(host: DetailsHost) -> list[str]:
    rows = host.details.query_one(AccuracyTab).view.rows
    return [node.label for node in rows.shown] if rows else []


@pytest.mark.asyncio
async def test_categories_images_and_errors_are_views_of_the_tab(evaluated: Path) -> None:
    async with DetailsHost(evaluated).run_test(size=(100, 30)) as pilot:
        host = await opened(pilot, "Accuracy")
        await until(pilot, lambda: bool(names(host)))
        assert not lacking(
            host.page(), "73.3 %", "80.0 %", "-6.7 (-7.7 to -5.7)", "pets val", "40 of 100", "da7ada7ada7a"
        )
        assert not lacking(host.page(), "0.4", "3 of 40")
        # Of equal changes, the order is that of the data.
        assert names(host) == ["cat", "dog", "tree [old]"]
        assert "-20.0" in next(line for line in host.lines() if "cat  " in line)
        assert not lacking(foot(host), "cat", "10 images", "80.0 / 80.0", "60.0 / 80.0", "recall")
        await pilot.press("down", "down")
        await until(pilot, lambda: "tree [old]" in foot(host))
        await pilot.press("slash")
        await type_text(pilot, "dog")
        await pilot.press("enter")
        assert names(host) == ["dog"]
        await pilot.press("escape", "m")
        assert names(host)[0] == "val/000.jpg"
        assert not lacking(foot(host), "program: dog", "eager: cat, dog")
        await pilot.press("m")
        assert not lacking(host.page(), "SQNR", "tolerance")
        await pilot.press("m")
        assert names(host)[0] == "cat"


@pytest.mark.asyncio
async def test_one_label_has_no_curve_and_the_other_tabs_are_reached(database: Path) -> None:
    store(database, make_evaluation(multi_label=False, changed=0))
    async with DetailsHost(database).run_test(size=(80, 24)) as pilot:
        host = await opened(pilot, "Accuracy")
        await until(pilot, lambda: bool(names(host)))
        assert "top-1" in host.page() and "recall %" in host.page() and "precision ●" not in foot(host)
        await pilot.press("m", "m", "right")
        assert host.details.tab == "Operators"


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (60, 16)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_evaluation(evaluated: Path, snap_compare: Compare, size: tuple[int, int]) -> None:
    host = DetailsHost(evaluated)

    async def before(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: host.details.document is not None)
        await pilot.press("3")
        await until(pilot, lambda: bool(names(host)))
        await pilot.pause()

    assert snap_compare(host, terminal_size=size, run_before=before)
