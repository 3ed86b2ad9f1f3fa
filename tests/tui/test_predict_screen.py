"""A prediction for an NPU on the screen: its options, progress, result, and an environment that is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.errors import EtuiError
from etui.npu_prediction import MemoryEstimate, NpuPrediction
from etui.results import InputsInfo, WeightsInfo
from etui.services.predict_npu import NpuRequest
from etui.services.summarize import Request
from etui.tui.details.text_view import Paper
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.predict_npu import NpuDialog, PredictScreen
from etui.tui.widgets.cycle import Cycle
from tests.tui.benches import fill, make_app, make_documents, opened, settled
from tests.tui.hosts import until

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


def made_up(request: NpuRequest) -> NpuPrediction:
    return NpuPrediction(
        model=request.model,
        title="a made-up network",
        npu=request.npu,
        system_config="Ethos_U55_High_End_Embedded",
        memory_mode="Shared_Sram",
        clock_hz=5e8,
        cycles=22_000_000,
        time_ms=44.0,
        macs=1_800_000,
        memories=[
            MemoryEstimate(name="SRAM", read_bytes=50, written_bytes=10, traffic_bytes=65, used_bytes=100),
        ],
        weight_bytes=1_000,
        encoded_weight_bytes=900,
        subgraphs=2,
        fallback={"aten.sort": 1},
        calibration_count=request.calibration_count,
        weights=WeightsInfo(kind="synthetic", detail="random, seed 0"),
        inputs=InputsInfo(kind="random", detail="seeded", accuracy_count=1, shapes=[[1, 3, 8, 8]], dtypes=["float32"]),
        versions={"ethos-u-vela": "5.1.0"},
    )


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[NpuRequest, Path]]:
    """What was predicted with which environment; the results are made up. Every environment has the tools."""
    seen: list[tuple[NpuRequest, Path]] = []

    def predict(
        request: NpuRequest, environment: Path, *, begin: Callable[[str], object], **rest: Any
    ) -> NpuPrediction:
        begin("net: exporting ..")
        seen.append((request, environment))
        return made_up(request)

    monkeypatch.setattr("etui.tui.screens.predict_npu.predict", predict)
    monkeypatch.setattr("etui.host.npu_environment.problem", lambda environment: None)
    return seen


def screen_of(pilot: Pilot[Any]) -> PredictScreen:
    return next(one for one in reversed(pilot.app.screen_stack) if isinstance(one, PredictScreen))


def shown(pilot: Pilot[Any]) -> str:
    return " ".join(word for paper in screen_of(pilot).query(Paper) for word in str(paper.content).split())


async def asked(pilot: Pilot[Any]) -> NpuDialog:
    await until(pilot, lambda: isinstance(pilot.app.screen, NpuDialog))
    await pilot.pause()
    assert isinstance(pilot.app.screen, NpuDialog)
    return pilot.app.screen


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_run_its_details_and_the_picker_lead_to_the_prediction(
    database: Path, predicted: list[tuple[NpuRequest, Path]]
) -> None:
    documents = make_documents(2)
    fill(database, documents)
    async with opened(make_app(database)) as pilot:
        await pilot.press("N")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "22,000,000" in shown(pilot))
        assert predicted[0][0].model == documents[-1].model.name
        for fact in ("PREDICTED", "44", "500 MHz", "aten.sort x1", "calibrated on 8 inputs"):
            assert fact in shown(pilot)
        await pilot.press("y")
        assert "22,000,000" in pilot.app.clipboard and "PREDICTED" in pilot.app.clipboard
        await pilot.press("escape", "enter")
        await settled(pilot)
        await pilot.press("N")
        await asked(pilot)
        await pilot.press("escape", "escape", "escape")
        await settled(pilot)
        await pilot.press("n", "end", "ctrl+u", *"gpt2", "enter", "ctrl+n")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: len(predicted) == 2)
        assert predicted[1][0].model == "gpt2"


@pytest.mark.asyncio
async def test_options_are_checked_and_used(
    database: Path, tmp_path: Path, predicted: list[tuple[NpuRequest, Path]]
) -> None:
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(PredictScreen(Request("net")))
        dialog = await asked(pilot)
        inputs, environment = dialog.query(Input)
        for wrong in ("", "0", "-1", "many"):
            inputs.value = wrong
            dialog.confirm()
            assert dialog.rows["inputs"].problem and not predicted
        inputs.value, environment.value = "3", str(tmp_path)
        dialog.query_one(Cycle).value = "ethos-u85-256"
        dialog.confirm()
        await until(pilot, lambda: predicted)
        request, used = predicted[0]
        assert (request.npu, request.calibration_count, used) == ("ethos-u85-256", 3, tmp_path)


@pytest.mark.asyncio
async def test_missing_tools_are_explained_and_installed_only_after_confirmation(
    database: Path, tmp_path: Path, predicted: list[tuple[NpuRequest, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "npu-env"
    installed: list[Path] = []

    def make(environment: Path, say: Callable[[str], object], stopped: Callable[[], bool]) -> None:
        say("installing ..")
        installed.append(environment)

    monkeypatch.setenv("ETUI_NPU_ENV", str(folder))
    monkeypatch.setattr("etui.host.npu_environment.make", make)
    monkeypatch.setattr(
        "etui.host.npu_environment.problem", lambda environment: None if installed else f"{environment} does not exist"
    )
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(PredictScreen(Request("net")))
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("enter")  # the default answer is no
        await until(pilot, lambda: f"{folder} does not exist" in shown(pilot))
        assert not installed and not predicted
        await pilot.press("r")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: "22,000,000" in shown(pilot))
        assert installed == [folder]


@pytest.mark.asyncio
async def test_a_folder_without_the_tools_is_never_installed_into(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETUI_NPU_ENV", str(tmp_path))
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(PredictScreen(Request("net")))
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "is not a Python environment" in shown(pilot))
        assert pilot.app.screen is screen_of(pilot)


@pytest.mark.asyncio
async def test_a_prediction_can_be_cancelled(
    database: Path, predicted: list[tuple[NpuRequest, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[Callable[[], bool]] = []
    may_end = threading.Event()

    def endless(
        request: NpuRequest, environment: Path, *, begin: Callable[[str], object], stopped: Callable[[], bool]
    ) -> NpuPrediction:
        flags.append(stopped)
        begin("net: lowering ..")
        may_end.wait(20.0)
        raise EtuiError("stopped")

    monkeypatch.setattr("etui.tui.screens.predict_npu.predict", endless)
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(PredictScreen(Request("net")))
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "net: lowering" in shown(pilot))
        await pilot.press("x")
        await until(pilot, flags[0])
        assert "Cancelled" in shown(pilot)
        may_end.set()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(snap_compare: Any, database: Path, predicted: list[tuple[NpuRequest, Path]], size: str) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        pilot.app.push_screen(PredictScreen(Request("net")))
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "22,000,000" in shown(pilot))
        await pilot.pause()

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=before)
