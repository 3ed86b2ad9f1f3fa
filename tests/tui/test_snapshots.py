"""Snapshots of the bench at the two sizes it is designed for; light, high contrast and ASCII have one each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from etui.services.progress_state import SessionProgress
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, Store
from etui.tui import runs_columns
from etui.tui.feed import LiveSession
from tests.tui.benches import NOW, app_of, bench_table, fill, make_app, make_documents, settled, snapshot
from tests.tui.hosts import stop_blinking, until, work_done
from tests.tui.summaries import with_facts

pytestmark = pytest.mark.slow

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
Prepare = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_columns, "now", lambda: NOW)


def prepared(*keys: str) -> Prepare:
    """Let the bench settle, show it a quiet machine, and type."""

    async def prepare(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        app_of(pilot).bench.take(snapshot())
        await pilot.press(*keys)
        await settled(pilot)
        table, bench = bench_table(pilot), app_of(pilot).bench
        # The chart is read once the cursor rests.
        await until(pilot, lambda: table.run is None or bench.drawn == table.run.id)
        await settled(pilot)
        await stop_blinking(pilot)

    return prepare


CASES = {
    "runs": ("j", "j"),
    "marked": ("space", "space", "p"),
    "filtered": ("slash", *"precision:int8 p50<20", "enter"),
    "mistake": ("slash", *"p50<abc x"),
    "help": ("question_mark",),
    "new": ("n",),
}
AT_BOTH_SIZES = [(case, size) for case in ("runs", "help", "new") for size in SIZES]
AT_ONE_SIZE = [("marked", "120x40"), ("filtered", "80x24"), ("mistake", "80x24")]


@pytest.mark.parametrize(("case", "size"), [*AT_BOTH_SIZES, *AT_ONE_SIZE])
def test_the_bench(snap_compare: Any, database: Path, case: str, size: str) -> None:
    fill(database, make_documents())
    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=prepared(*CASES[case]))


@pytest.mark.parametrize("size", SIZES)
def test_the_empty_bench(
    snap_compare: Any, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=prepared())


def test_a_terminal_that_is_too_small(snap_compare: Any, database: Path) -> None:
    assert snap_compare(make_app(database), terminal_size=(40, 10), run_before=prepared())


@pytest.mark.parametrize("theme", ["etui-light", "etui-contrast"])
def test_the_other_themes(snap_compare: Any, database: Path, theme: str) -> None:
    fill(database, make_documents())
    app = make_app(database, theme=theme)
    assert snap_compare(app, terminal_size=(120, 40), run_before=prepared("j"))


def test_ascii(snap_compare: Any, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    fill(database, make_documents())
    assert snap_compare(make_app(database), terminal_size=(120, 40), run_before=prepared("j"))


def test_a_wide_terminal(snap_compare: Any, database: Path) -> None:
    fill(database, make_documents())
    assert snap_compare(make_app(database), terminal_size=(250, 70), run_before=prepared("j"))


def live_session(store: Store) -> LiveSession:
    """The session of the newest run as if its run were measured now."""
    newest = store.summaries(limit=1)[0]
    variant = Variant(newest.precision, newest.delegate)
    label = variant.label
    session = QueuedSession(
        id=newest.session,
        spec=SessionSpec(model=newest.model, variants=(variant,)),
        created_at=newest.created_at,
        box=None,
        runs=[(newest.id, variant)],
        claimed_by="u@bench-01:1:now",
    )
    progress = SessionProgress(
        share=0.619, stage="measure", step="block 5 of 6", doing=f"block 5 of 6: {label}", at="2026-11-20T12:00:00Z"
    )
    return LiveSession(
        session=session,
        runs=(with_facts(newest, status="measuring", latency_median_ms=None, latency_ci95_ms=None, verdict=None),),
        progress=progress,
        medians={label: (4.1, 4.3, 4.0, 4.6), "eager": (20.0, 21.0, 20.5, 20.1)},
        planned_blocks=6,
    )


@pytest.mark.parametrize(("size", "locale"), [("80x24", "C.UTF-8"), ("120x40", "C.UTF-8"), ("120x40", "C")])
def test_a_live_run(snap_compare: Any, database: Path, monkeypatch: pytest.MonkeyPatch, size: str, locale: str) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    fill(database, make_documents())
    with Store.open(database) as store:
        live = live_session(store)

    async def prepare(pilot: Pilot[Any]) -> None:
        await prepared()(pilot)
        bench = app_of(pilot).bench
        bench.take(snapshot([live]))
        if size == "80x24":
            await pilot.press("l")
        await work_done(pilot)
        await pilot.pause()
        await stop_blinking(pilot)

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=prepare)
