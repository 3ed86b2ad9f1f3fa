"""Whether to ask before a start: only if other programs keep the machine busy."""

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


def load_to_ask_about(*readings: LoadReading) -> tuple[LoadReading | None, list[float]]:
    """Return the load to ask about on a machine with these readings, and the duration of each reading."""
    remaining, spans = list(readings), list[float]()

    async def read_load(span_s: float) -> LoadReading:
        spans.append(span_s)
        return remaining.pop(0)

    return asyncio.run(busy_with(1, read_load)), spans


def test_idle_machine_takes_one_short_reading() -> None:
    assert load_to_ask_about(CALM) == (None, [FIRST_READING_S])


def test_short_burst_does_not_cause_a_question() -> None:
    assert load_to_ask_about(BUSY, CALM) == (None, [FIRST_READING_S, READING_S])


def test_busy_machine_is_described() -> None:
    load, _ = load_to_ask_about(BUSY, BUSY)
    assert load is not None and "stress" in load.to_text()


def test_option_and_environment_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETUI_WAIT_QUIET", raising=False)
    with Store.open(tmp_path / "etui.db") as store:
        assert is_undecided(store, None)
        assert not is_undecided(store, 0.0)
        monkeypatch.setenv("ETUI_WAIT_QUIET", "5")
        assert not is_undecided(store, None)


def test_runs_of_etui_do_not_cause_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETUI_WAIT_QUIET", raising=False)
    with Store.open(tmp_path / "etui.db") as store:
        store.add_session(make_spec(), model=MODEL, box="bench-1", installation="here")
        assert not is_undecided(store, None)
