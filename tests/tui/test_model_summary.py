"""The summary of a model on the screen: from the picker, a run or its details; as a tree that is folded, sorted and
filtered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.errors import EtuiError
from etui.insight import Profile
from etui.machine_peaks import MachinePeaks
from etui.model_summary import ModelSummary
from etui.services.summarize import Request
from etui.store import Store
from etui.store.kept_peaks import keep
from etui.tui.details.table_view import TreeTable
from etui.tui.model_summary.pane import SummaryPane
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.model_summary import ModelSummaryScreen
from etui.tui.screens.peaks import PeaksDialog
from tests.model_summaries import made_up
from tests.rooflines import net, peaks, side
from tests.tui.benches import fill, make_app, make_documents, opened, settled
from tests.tui.hosts import drawn_rows, until, work_done

SIZES = {"60x16": (60, 16), "80x24": (80, 24), "120x40": (120, 40)}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What was to be summarized; the result is made up."""
    seen: list[Request] = []

    def summarize(request: Request, *, stopped: Callable[[], bool]) -> ModelSummary:
        del stopped
        seen.append(request)
        return made_up(model=request.model)

    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", summarize)
    return seen


def screen_of(pilot: Pilot[Any]) -> ModelSummaryScreen:
    assert isinstance(pilot.app.screen, ModelSummaryScreen)
    return pilot.app.screen


def table(pilot: Pilot[Any]) -> TreeTable:
    return screen_of(pilot).query_one(TreeTable)


def names(pilot: Pilot[Any]) -> list[str]:
    rows = table(pilot).rows
    assert rows is not None
    return [node.label for node in rows.shown]


async def made(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, ModelSummaryScreen))
    await until(pilot, lambda: any(pane.summary is not None for pane in screen_of(pilot).query(SummaryPane)))
    await work_done(pilot)
    await pilot.pause()


async def open_details(pilot: Pilot[Any]) -> DetailsScreen:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen) and pilot.app.screen.document is not None)
    assert isinstance(pilot.app.screen, DetailsScreen)
    return pilot.app.screen


async def show(pilot: Pilot[Any], model: str = "resnet18") -> None:
    pilot.app.push_screen(ModelSummaryScreen(Request(model)))
    await made(pilot)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_run_and_the_picker_lead_to_the_summary(database: Path, requests: list[Request]) -> None:
    documents = make_documents(2)
    fill(database, documents)
    async with opened(make_app(database)) as pilot:
        await pilot.press("I")
        await made(pilot)
        assert requests[-1].model == documents[-1].model.name
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await work_done(pilot)
        await pilot.press("I")
        await until(pilot, lambda: len(requests) == 2)
        await pilot.press("escape", "escape")
        await settled(pilot)
        await pilot.press("n", "end", "ctrl+u", *"gpt2", "enter", "ctrl+t")
        await made(pilot)
        assert requests[-1].model == "gpt2"


@pytest.mark.slow
@pytest.mark.asyncio
async def test_rows_fold_sort_and_filter(database: Path, requests: list[Request]) -> None:
    async with opened(make_app(database)) as pilot:
        await show(pilot)
        before = names(pilot)
        assert before[:3] == ["resnet18", "body", "0"]
        await pilot.press("s")
        while table(pilot).sorting != ("macs", True):
            await pilot.press("s")
        assert names(pilot)[:3] == ["resnet18", "body", "1"]
        await pilot.press("S")
        assert names(pilot)[2] != "1"
        await pilot.press("slash", *"mine", "enter")
        assert {name for name in names(pilot) if not name.isdigit()} == {"resnet18", "body", "mine"}
        await pilot.press("escape")
        assert "conv" in names(pilot) or "0" in names(pilot)
        await pilot.press("home", "enter")
        assert names(pilot) == ["resnet18"]
        await pilot.press("y")
        assert "mine::twice" in pilot.app.clipboard and "| resnet18" in pilot.app.clipboard
        await pilot.press("q")
        assert not isinstance(pilot.app.screen, ModelSummaryScreen)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_unknown_work_is_marked_without_colour(database: Path, requests: list[Request]) -> None:
    async with opened(make_app(database)) as pilot:
        await show(pilot)
        await pilot.press("asterisk")
        rows = table(pilot).rows
        assert rows is not None
        work = next(column for column in rows.columns if column.name == "macs")
        assert [node.label for node in rows.shown if "?" in work.cell(node)] == ["resnet18", "body", "0", "mine"]
        assert any("resnet18" in line and "?" in line for line in drawn_rows(table(pilot)))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_an_error_is_shown_with_the_next_step(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: Request, *, stopped: Callable[[], bool]) -> ModelSummary:
        raise EtuiError("net.py:3 `raise`: ValueError", "fix net.py")

    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", fail)
    async with opened(make_app(database)) as pilot:
        screen = ModelSummaryScreen(Request("net.py:net"))
        pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.query(SummaryPane) and "fix net.py" in screen.pane.message)
        await pilot.press("escape")
        assert pilot.app.screen is not screen


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_tab_of_a_run_counts_once_and_copies_the_modules(database: Path, requests: list[Request]) -> None:
    fill(database, make_documents(1))
    async with opened(make_app(database)) as pilot:
        details = await open_details(pilot)
        assert not requests
        await pilot.press("I")
        await until(pilot, lambda: details.query_one(SummaryPane).state == "made")
        await pilot.press("1", "I")
        await work_done(pilot)
        assert (len(requests), details.tab) == (1, "Model")
        rows = details.query_one(SummaryPane).view.rows
        assert rows is not None
        before = len(rows)
        await pilot.press("asterisk")
        assert len(rows) > before
        await pilot.press("y")
        assert "| body.1.conv" in pilot.app.clipboard


@pytest.mark.asyncio
async def test_the_tab_shows_the_roofline_when_the_run_has_a_profile(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", lambda request, stopped: net())
    monkeypatch.setattr("etui.tui.details.loader.LOOK_S", 0.02)
    keep(peaks())
    (document,) = make_documents(1)
    document.profile = None
    fill(database, [document])
    async with opened(make_app(database)) as pilot:
        await pilot.press("I")
        await made(pilot)
        assert screen_of(pilot).pane.roofline is None
        await pilot.press("escape")
        pane = (await open_details(pilot)).query_one(SummaryPane)
        await pilot.press("I")
        await until(pilot, lambda: pane.summary is not None)
        assert any("etui profile" in str(line) for line in (*pane.view.above, *pane.view.below))
        await pilot.press("m")
        assert column_names(pane) >= {"macs"}
        document.profile = Profile(created_at="2026-11-21T02:00:00.000Z", threads=2, program=side())
        with Store.open(database) as store:
            store.save_document(document)
        await until(pilot, lambda: pane.roofline is not None)
        await pilot.press("m")
        assert column_names(pane) >= {"rate", "bandwidth", "bound", "of_limit"}
        rows = pane.view.rows
        assert rows is not None
        head = next(node for node in rows.shown if node.key == "head")
        cells = {column.name: column.cell(head) for column in rows.columns}
        assert {cells[name] for name in ("time", "rate", "bound", "of_limit")} == {"2.00", "1.00", "memory", "20 %"}
        await pilot.press("escape", "I")
        await made(pilot)
        await until(pilot, lambda: screen_of(pilot).pane.roofline is not None)


@pytest.mark.asyncio
async def test_peaks_that_are_missing_are_measured_from_the_summary_and_used(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(threads: int, **rest: Any) -> MachinePeaks:
        keep(peaks(threads=threads))
        return peaks(threads=threads)

    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", lambda request, stopped: net())
    monkeypatch.setattr("etui.tui.screens.peaks.measure_peaks", measure)
    (document,) = make_documents(1)
    document.profile = Profile(created_at="2026-11-21T02:00:00.000Z", threads=1, program=side())
    fill(database, [document])
    async with opened(make_app(database)) as pilot:
        await pilot.press("I")
        await made(pilot)
        summary = screen_of(pilot)
        await until(pilot, lambda: summary.pane.roofline is not None)
        assert "model.peaks" in summary.footer().first
        await pilot.press("R")
        await until(pilot, lambda: isinstance(pilot.app.screen, PeaksDialog))
        await pilot.pause()
        assert pilot.app.screen.query_one(Input).value == "1"  # those of the profile
        await pilot.press("enter")
        await until(pilot, lambda: summary.pane.roofline is not None and summary.pane.roofline.peaks is not None)
        await pilot.press("q")
        assert screen_of(pilot) is summary
        assert "model.peaks" not in summary.footer().first


def column_names(pane: SummaryPane) -> set[str]:
    rows = pane.view.rows
    assert rows is not None
    return {column.name for column in rows.columns}


@pytest.mark.asyncio
async def test_counting_in_the_tab_is_cancelled_and_started_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_flags: list[Callable[[], bool]] = []
    may_end = threading.Event()

    def slow(request: Request, *, stopped: Callable[[], bool]) -> ModelSummary:
        stopped_flags.append(stopped)
        may_end.wait(20.0)
        return made_up(model=request.model)

    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", slow)
    fill(database, make_documents(1))
    async with opened(make_app(database)) as pilot:
        pane = (await open_details(pilot)).query_one(SummaryPane)
        await pilot.press("I")
        await until(pilot, lambda: stopped_flags)
        await pilot.press("x")
        await until(pilot, stopped_flags[0])
        assert (pane.state, pane.summary) == ("cancelled", None)
        may_end.set()
        await pilot.press("I")
        await until(pilot, lambda: pane.summary is not None)


@pytest.mark.asyncio
async def test_leaving_the_screen_stops_the_work(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = threading.Event(), threading.Event()

    def endless(request: Request, *, stopped: Callable[[], bool]) -> ModelSummary:
        began.set()
        while not stopped():
            ended.wait(0.01)
        ended.set()
        raise EtuiError("stopped")

    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", endless)
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(ModelSummaryScreen(Request("net")))
        await until(pilot, began.is_set)
        await pilot.press("escape")
        await until(pilot, ended.is_set)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_thousands_of_modules_are_drawn_a_screen_at_a_time(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", lambda request, stopped: made_up(1_700))
    async with opened(make_app(database)) as pilot:
        await show(pilot)
        await pilot.press("asterisk", "end")
        assert len(names(pilot)) == 2 + 3 * 1_700
        node = table(pilot).node
        assert node is not None and node.key == "body.1699.mine"
        assert any("mine" in line for line in drawn_rows(table(pilot)))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(snap_compare: Any, database: Path, requests: list[Request], size: str) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await show(pilot)
        await pilot.press("down", "down")
        await settled_screen(pilot)

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=prepare)


async def settled_screen(pilot: Pilot[Any]) -> None:
    await work_done(pilot)
    await pilot.pause()
