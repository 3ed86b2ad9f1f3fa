"""Peaks are measured by one process at a time and stored with what limits their meaning."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etui.errors import EtuiError
from etui.jobs import PeaksJob
from etui.machine_peaks import MeasuredRates
from etui.results import QuietCheck
from etui.runner.machine_lock import MachineLock
from etui.services import peaks as service
from etui.services.one_job import JobStopped, JobTimedOut
from etui.services.peaks import PeaksTimedOut, measure_peaks
from etui.store.kept_peaks import kept_peaks
from tests.rooflines import rate


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[PeaksJob]:
    """The jobs that were done while the machine was held; their results are made up."""
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ETUI_BOX_LOCK", str(tmp_path / "lock"))
    seen: list[PeaksJob] = []

    def run_job(job: PeaksJob, **options: Any) -> MeasuredRates:
        lock = MachineLock()
        assert not lock.acquire()
        lock.release()
        assert options["nice"] == 0
        seen.append(job)
        return MeasuredRates(rates=[rate("fp32", 100.0)], missing={"memory": "no memory"})

    async def wait_until_quiet(limit_s: float, **options: Any) -> QuietCheck:
        return QuietCheck(waited_s=limit_s, calm=False, by=["make (pid 1)"])

    monkeypatch.setattr(service, "run_job", run_job)
    monkeypatch.setattr(service, "wait_until_quiet", wait_until_quiet)
    return seen


def failing(error: Exception | MeasuredRates) -> Callable[..., MeasuredRates]:
    def run_job(job: PeaksJob, **options: Any) -> MeasuredRates:
        if isinstance(error, Exception):
            raise error
        return error

    return run_job


def test_peaks_are_measured_under_the_machine_lock_and_kept(jobs: list[PeaksJob]) -> None:
    made = measure_peaks(1)
    assert [job.threads for job in jobs] == [1]
    assert len(jobs[0].cpus) == 1
    assert kept_peaks(made.host) == [made]
    assert (made.calm, made.load) == (False, "make (pid 1)")
    assert (made.missing, made.best("memory")) == ({"memory": "no memory"}, None)
    assert MachineLock().acquire()


def test_what_cannot_be_measured_leaves_earlier_peaks(jobs: list[PeaksJob], monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure_peaks(1)
    for outcome in (MeasuredRates(rates=[], missing={"fp32": "no kernel"}), JobTimedOut("late")):
        monkeypatch.setattr(service, "run_job", failing(outcome))
        with pytest.raises(PeaksTimedOut if isinstance(outcome, Exception) else EtuiError):
            measure_peaks(1)
    assert kept_peaks(before.host) == [before]


def test_stopping_ends_the_work_frees_the_machine_and_keeps_earlier_peaks(
    jobs: list[PeaksJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measure_peaks(1)
    begun, ended = threading.Event(), threading.Event()

    def run_job(job: PeaksJob, *, stopped: Callable[[], bool], **options: Any) -> MeasuredRates:
        begun.set()
        while not stopped():
            ended.wait(0.01)
        ended.set()
        raise JobStopped("stopped")

    monkeypatch.setattr(service, "run_job", run_job)
    with pytest.raises(JobStopped):
        measure_peaks(1, stopped=begun.is_set)
    assert ended.is_set()
    assert kept_peaks(before.host) == [before]
    assert MachineLock().acquire()
