"""The diagram of a model on the screen: from the picker, a run or its details; folded, coloured, sorted and written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from etui.errors import EtuiError
from etui.model_graph import ModelGraph
from etui.results import RunDocument
from etui.services.summarize import Request
from etui.tui.details.table_view import TreeTable
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.diagram import DiagramScreen
from tests.analysis.test_box_figures import measured
from tests.documents import make_document
from tests.model_graphs import hostile, residual
from tests.tui.benches import app_of, fill, make_app, make_documents, opened, settled
from tests.tui.hosts import drawn_rows, notices, until, work_done

SIZES = {"60x16": (60, 16), "80x24": (80, 24), "120x40": (120, 40)}


def profiled() -> RunDocument:
    document = make_document("run1")
    document.profile = measured(
        ("aten.conv2d.default", "stem", "Conv2d", 0.6),
        ("aten.conv2d.default", "body.0.conv", "Conv2d", 0.3),
        ("aten.relu.default", "body.0.act", "ReLU", 0.06),
        ("aten.mean.dim", "", "Net", 0.04),
    )
    return document


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The models whose graphs were to be read; the result is made up."""
    seen: list[Request] = []

    def read(request: Request, *, method: str | None, stopped: Callable[[], bool]) -> ModelGraph:
        del method, stopped
        seen.append(request)
        return residual(name=request.model)

    monkeypatch.setattr("etui.tui.screens.diagram.model_graph", read)
    return seen


def screen_of(pilot: Pilot[Any]) -> DiagramScreen:
    assert isinstance(pilot.app.screen, DiagramScreen)
    return pilot.app.screen


def table(pilot: Pilot[Any]) -> TreeTable:
    return screen_of(pilot).query_one(TreeTable)


def names(pilot: Pilot[Any]) -> list[str]:
    rows = table(pilot).rows
    assert rows is not None
    return [node.label for node in rows.shown]


def colour(pilot: Pilot[Any]) -> str:
    diagram = screen_of(pilot).diagram
    assert diagram is not None
    return diagram.colour


async def made(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, DiagramScreen))
    await until(pilot, lambda: screen_of(pilot).diagram is not None)
    await work_done(pilot)
    await pilot.pause()


async def show(pilot: Pilot[Any], document: RunDocument | None = None) -> None:
    pilot.app.push_screen(DiagramScreen(Request("resnet18"), document))
    await made(pilot)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_run_its_details_and_the_picker_lead_to_the_diagram(database: Path, requests: list[Request]) -> None:
    documents = make_documents(2)
    fill(database, documents)
    async with opened(make_app(database)) as pilot:
        await pilot.press("D")
        await made(pilot)
        assert requests[-1].model == documents[-1].model.name
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await work_done(pilot)
        await pilot.press("D")
        await made(pilot)
        assert len(requests) == 2
        await pilot.press("escape", "escape")
        await settled(pilot)
        await pilot.press("n", "end", "ctrl+u", *"gpt2", "enter", "ctrl+g")
        await made(pilot)
        assert requests[-1].model == "gpt2"


@pytest.mark.slow
@pytest.mark.asyncio
async def test_levels_colours_order_and_filter(database: Path, requests: list[Request]) -> None:
    async with opened(make_app(database)) as pilot:
        await show(pilot, profiled())
        assert colour(pilot) == "time"
        await pilot.press("minus", "minus")
        assert names(pilot) == ["x", "stem", "body", "mean, flatten", "output 1"]
        assert any("36.0 %" in row and "body" in row for row in drawn_rows(table(pilot)))
        await pilot.press("minus")
        assert any("level 1" in notice.message for notice in notices(app_of(pilot)))
        await pilot.press("plus", "plus", "plus")
        assert "body.0: add" in names(pilot)
        assert any("┐" in row and "stem" in row for row in drawn_rows(table(pilot)))
        while table(pilot).sorting != ("value", True):
            await pilot.press("s")
        assert names(pilot)[0] == "stem"
        # Lines would connect the wrong rows in this order.
        assert not any("┐" in row for row in drawn_rows(table(pilot)))
        await pilot.press("c")
        assert colour(pilot) == "type"  # the run has no numeric gap, and not which operators were delegated
        await pilot.press("slash", *"relu", "enter")
        assert names(pilot) and all("act" in name for name in names(pilot))
        await pilot.press("escape", "q")
        assert not isinstance(pilot.app.screen, DiagramScreen)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_it_is_written_as_a_picture(
    database: Path, requests: list[Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(make_app(database)) as pilot:
        await show(pilot)
        await pilot.press("c")  # only the types of a model alone are known
        assert any("run" in notice.message for notice in notices(app_of(pilot)))
        await pilot.press("e", "enter")
        await until(pilot, lambda: (tmp_path / "resnet18.svg").exists() and isinstance(pilot.app.screen, DiagramScreen))
        assert ">stem<" in (tmp_path / "resnet18.svg").read_text()


@pytest.mark.asyncio
async def test_names_of_a_model_do_not_change_the_screen(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.tui.screens.diagram.model_graph", lambda request, method, stopped: hostile())
    async with opened(make_app(database)) as pilot:
        await show(pilot)
        assert any("<script>" in row for row in drawn_rows(table(pilot)))


@pytest.mark.asyncio
async def test_an_error_is_shown_and_leaving_stops_the_work(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = threading.Event(), threading.Event()

    def endless(request: Request, *, method: str | None, stopped: Callable[[], bool]) -> ModelGraph:
        began.set()
        while not stopped():
            ended.wait(0.01)
        ended.set()
        raise EtuiError("stopped")

    def failing(request: Request, *, method: str | None, stopped: Callable[[], bool]) -> ModelGraph:
        raise EtuiError("net.py:3 `if`: the model branches on the value of a tensor", "use torch.where")

    async with opened(make_app(database)) as pilot:
        monkeypatch.setattr("etui.tui.screens.diagram.model_graph", failing)
        screen = DiagramScreen(Request("net.py:net"))
        pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.query("#diagram-state") and "torch.where" in screen.state)
        await pilot.press("escape")
        monkeypatch.setattr("etui.tui.screens.diagram.model_graph", endless)
        pilot.app.push_screen(DiagramScreen(Request("net")))
        await until(pilot, began.is_set)
        await pilot.press("escape")
        await until(pilot, ended.is_set)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(snap_compare: Any, database: Path, requests: list[Request], size: str) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await show(pilot, profiled())
        await pilot.press("down", "down")
        await work_done(pilot)
        await pilot.pause()

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=prepare)
