"""Whether to ask before a start: only if the machine is busy with other programs, and nothing else decides."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from etui.runner.wait_for_idle import FIRST_READING_S, READING_S, LoadReading
from etui.services.busy_start import busy_with, is_undecided
from etui.store import Store
from tests.documents import MODEL, make_spec

BUSY = LoadReading(span_s=READING_S, foreign_cpu_cores=1.5, cpu_pressure=60.0, by=["stress (pid 7) 1.5 cores"])
CALM = LoadReading(span_s=READING_S, foreign_cpu_cores=0.0, cpu_pressure=0.0)


def asked(*looks: LoadReading) -> tuple[LoadReading | None, list[float]]:
    """What is returned on a machine that looks like this, and how long it was read each time."""
    left, spans = list(looks), list[float]()

    async def read_load(span_s: float) -> LoadReading:
        spans.append(span_s)
        return left.pop(0)

    return asyncio.run(busy_with(1, read_load)), spans


def test_a_calm_machine_costs_one_short_reading() -> None:
    assert asked(CALM) == (None, [FIRST_READING_S])


def test_a_burst_is_not_worth_a_question() -> None:
    assert asked(BUSY, CALM) == (None, [FIRST_READING_S, READING_S])


def test_a_busy_machine_is_described() -> None:
    load, _ = asked(BUSY, BUSY)
    assert load is not None and "stress" in load.to_text()


def test_the_option_and_the_environment_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETUI_WAIT_QUIET", raising=False)
    with Store.open(tmp_path / "etui.db") as store:
        assert is_undecided(store, None)
        assert not is_undecided(store, 0.0)
        monkeypatch.setenv("ETUI_WAIT_QUIET", "5")
        assert not is_undecided(store, None)


def test_runs_of_etui_itself_are_no_reason_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETUI_WAIT_QUIET", raising=False)
    with Store.open(tmp_path / "etui.db") as store:
        store.add_session(make_spec(), model=MODEL, box="bench-1", installation="here")
        assert not is_undecided(store, None)
