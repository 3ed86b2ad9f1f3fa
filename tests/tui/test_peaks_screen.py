"""The peaks of this machine on the screen: where they are opened from, what is stored, measuring, cancelling."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.errors import EtuiError
from etui.host.cpus import usable_cores
from etui.machine_peaks import MachinePeaks
from etui.store.kept_peaks import keep
from etui.tui.details.text_view import Paper
from etui.tui.screens.peaks import PeaksDialog, PeaksScreen
from tests.rooflines import rate
from tests.tui.benches import fill, make_app, make_documents, opened, settled
from tests.tui.hosts import until

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


def made_up(threads: int, *, host: str | None = None) -> MachinePeaks:
    return MachinePeaks(
        host=host or socket.gethostname(),
        cpu="a CPU",
        threads=threads,
        measured_at="2026-11-28T09:00:00.000Z",
        rates=[rate("fp32", 500.0), rate("fp32", 200.0, "PyTorch"), rate("memory", 40.0, "PyTorch")],
        missing={"int8": "no kernel"},
        calm=False,
        load="make (pid 1) 2.0 cores",
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that were measured; the results are made up and stored."""
    seen: list[int] = []

    def measure(threads: int, *, progress: Callable[[str, float, float], None], **rest: Any) -> MachinePeaks:
        progress("measuring FP32 ..", 1.0, 2.0)
        seen.append(threads)
        keep(made_up(threads))
        return made_up(threads)

    monkeypatch.setattr("etui.tui.screens.peaks.measure_peaks", measure)
    return seen


def screen_of(pilot: Pilot[Any]) -> PeaksScreen:
    return next(one for one in reversed(pilot.app.screen_stack) if isinstance(one, PeaksScreen))


def shown(pilot: Pilot[Any]) -> str:
    return " ".join(word for paper in screen_of(pilot).query(Paper) for word in str(paper.content).split())


async def asked(pilot: Pilot[Any]) -> PeaksDialog:
    await until(pilot, lambda: isinstance(pilot.app.screen, PeaksDialog))
    await pilot.pause()
    assert isinstance(pilot.app.screen, PeaksDialog)
    return pilot.app.screen


@pytest.mark.asyncio
async def test_peaks_are_measured_stored_shown_and_copied(database: Path, measured: list[int]) -> None:
    keep(made_up(usable_cores(), host="elsewhere"))
    async with opened(make_app(database)) as pilot:
        await pilot.press("R")
        dialog = await asked(pilot)  # those of another machine do not count
        for wrong in ("none", "0", str(usable_cores() + 1)):
            dialog.query_one(Input).value = wrong
            dialog.confirm()
            assert wrong in dialog.row.problem and pilot.app.screen is dialog
        dialog.query_one(Input).value = "1"
        await pilot.press("enter")
        await until(pilot, lambda: screen_of(pilot).peaks == [made_up(1)])
        assert measured == [1]
        for fact in ("1 thread", "500 GFLOP/s", "PyTorch 200 GFLOP/s", "40.0 GB/s", "no kernel", "make (pid 1)"):
            assert fact in shown(pilot)
        await pilot.press("y")
        assert "500 GFLOP/s" in pilot.app.clipboard
        await pilot.press("q")
        await pilot.press("R")
        if usable_cores() > 1:  # the default number of threads was not measured
            await asked(pilot)
            await pilot.press("escape")
        await until(pilot, lambda: "500 GFLOP/s" in shown(pilot))


@pytest.mark.asyncio
async def test_the_number_of_threads_of_a_run_is_suggested(database: Path, measured: list[int]) -> None:
    fill(database, make_documents(1))
    async with opened(make_app(database)) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("R")
        dialog = await asked(pilot)
        document = make_documents(1)[0]
        assert dialog.query_one(Input).value == str(document.threads)


@pytest.mark.asyncio
async def test_measuring_can_be_cancelled_and_keeps_what_is_stored(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(made_up(usable_cores()))
    flags: list[Callable[[], bool]] = []
    may_end = threading.Event()

    def endless(
        threads: int, *, progress: Callable[[str, float, float], None], stopped: Callable[[], bool], **rest: Any
    ) -> MachinePeaks:
        flags.append(stopped)
        progress("waiting for the machine", 0.0, 0.0)
        may_end.wait(20.0)
        raise EtuiError("stopped")

    monkeypatch.setattr("etui.tui.screens.peaks.measure_peaks", endless)
    async with opened(make_app(database)) as pilot:
        await pilot.press("R")
        await until(pilot, lambda: "500 GFLOP/s" in shown(pilot))
        await pilot.press("r")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "waiting for the machine" in shown(pilot))
        assert "500 GFLOP/s" not in shown(pilot)
        await pilot.press("x")
        await until(pilot, flags[0])
        assert "Cancelled" in shown(pilot) and "500 GFLOP/s" in shown(pilot)
        await pilot.press("r")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: len(flags) == 2)
        await pilot.press("q")
        await until(pilot, flags[1])
        may_end.set()


@pytest.mark.asyncio
async def test_a_failure_is_explained(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(threads: int, **rest: Any) -> MachinePeaks:
        raise EtuiError("no peak can be measured: no kernel", "etui doctor")

    monkeypatch.setattr("etui.tui.screens.peaks.measure_peaks", failing)
    async with opened(make_app(database)) as pilot:
        await pilot.press("R")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "no peak can be measured: no kernel" in shown(pilot))
        assert not screen_of(pilot).is_working


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(snap_compare: Any, database: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "bench-1")
    for threads in (1, 2):
        keep(made_up(threads))

    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        pilot.app.push_screen(PeaksScreen(2))
        await until(pilot, lambda: "500 GFLOP/s" in shown(pilot))
        await pilot.pause()

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=before)
