"""Before a start on a busy machine the screen asks, and does what was answered: a new run, a run again, a duel."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.widgets import Input

from etui.results import ModelInfo
from etui.runner.wait_for_idle import LoadReading
from etui.services import busy_start, submit
from etui.spec import SessionSpec
from etui.store import QueuedSession, Store
from etui.tui.screens.busy_machine import BusyMachineDialog
from etui.tui.screens.compare import CompareScreen
from etui.tui.screens.duel_dialog import DuelDialog
from etui.tui.screens.keep_fp32 import KeepFp32Dialog
from tests.documents import make_document, make_spec
from tests.tui.benches import app_of, fill, make_app, opened
from tests.tui.comparing import queued_duels, variants
from tests.tui.hosts import until, work_done
from tests.tui.test_compare import comparing
from tests.tui.test_details import DetailsHost
from tests.tui.test_details import opened as screen_opened

BUSY = LoadReading(span_s=1.0, foreign_cpu_cores=1.5, cpu_pressure=60.0, by=["stress (pid 7, user bob) 1.5 cores"])


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[SessionSpec]:
    """What is queued, without a runner."""
    specs: list[SessionSpec] = []

    def queue(store: Store, spec: SessionSpec, model: ModelInfo) -> QueuedSession:
        specs.append(spec)
        return store.add_session(spec, model=model, box="bench-1", installation="here")

    monkeypatch.setattr(submit, "submit", queue)
    monkeypatch.delenv("ETUI_WAIT_QUIET")
    return specs


def busy(monkeypatch: pytest.MonkeyPatch, load: LoadReading | None) -> None:
    async def read(_threads: int | None) -> LoadReading | None:
        return load

    monkeypatch.setattr(busy_start, "busy_with", read)


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keys", "minutes"),
    [(["enter"], 60.0), (["left", "enter"], 0.0), (["left", "left", "enter"], None), (["escape"], None)],
)
async def test_a_busy_machine_asks(
    database: Path, monkeypatch: pytest.MonkeyPatch, queued: list[SessionSpec], keys: list[str], minutes: float | None
) -> None:
    busy(monkeypatch, BUSY)
    async with opened(make_app(database)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, BusyMachineDialog))
        assert not queued
        await pilot.press(*keys)
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)
        await work_done(pilot)
        assert [spec.wait_quiet_min for spec in queued] == ([] if minutes is None else [minutes])


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(("keys", "minutes"), [(["enter"], 60.0), (["left", "enter"], 0.0), (["escape"], None)])
async def test_running_again_asks_too(
    database: Path, monkeypatch: pytest.MonkeyPatch, queued: list[SessionSpec], keys: list[str], minutes: float | None
) -> None:
    busy(monkeypatch, BUSY)
    document = make_document(precision="int8")
    document.session = msgspec.structs.replace(document.session, spec=msgspec.to_builtins(make_spec()))
    fill(database, [document])
    async with DetailsHost(database, document.id).run_test(size=(120, 40)) as pilot:
        host = await screen_opened(pilot, "Summary")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(host.screen, KeepFp32Dialog))
        host.screen.query_one(Input).value = "fc"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(host.screen, BusyMachineDialog))
        assert not queued
        await pilot.press(*keys)
        await until(pilot, lambda: not isinstance(host.screen, BusyMachineDialog))
        await work_done(pilot)
        assert [spec.wait_quiet_min for spec in queued] == ([] if minutes is None else [minutes])


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(("keys", "minutes"), [(["enter"], 60.0), (["left", "enter"], 0.0), (["escape"], None)])
async def test_a_duel_asks_too(
    database: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str], minutes: float | None
) -> None:
    busy(monkeypatch, BUSY)
    monkeypatch.delenv("ETUI_WAIT_QUIET")
    started = queued_duels(monkeypatch)
    async with comparing(database, variants()) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, DuelDialog))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BusyMachineDialog))
        assert not started
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await work_done(pilot)
        waits = [options.wait_quiet_min for _, _, options in started]
        assert waits == ([] if minutes is None else [minutes])


@pytest.mark.asyncio
async def test_a_calm_machine_starts_at_once(
    database: Path, monkeypatch: pytest.MonkeyPatch, queued: list[SessionSpec]
) -> None:
    busy(monkeypatch, None)
    async with opened(make_app(database)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: queued)
        await work_done(pilot)
        assert len(queued) == 1 and pilot.app.screen is app_of(pilot).bench
