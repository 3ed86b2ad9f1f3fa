"""Before a start on a busy machine the screen asks, and does what was answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.results import ModelInfo
from etui.runner.wait_for_idle import LoadReading
from etui.services import busy_start, submit
from etui.spec import SessionSpec
from etui.store import QueuedSession, Store
from etui.tui.screens.busy_machine import BusyMachineDialog
from tests.tui.benches import app_of, make_app, opened
from tests.tui.hosts import until, work_done

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
