"""A runner executes trainings under the machine lock; one that is killed resumes to the same weights."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from etui.events import Event
from etui.host.user import user_name
from etui.jobs import TrainJob
from etui.runner.abandoned_work import end_abandoned
from etui.runner.fork_servers import WorkerPool
from etui.runner.machine_lock import MachineLock
from etui.runner.training import run_training
from etui.runner.worker import WorkerFailed
from etui.store import RunnerIdentity, Store
from etui.task_data.digits import make_digits
from etui.task_training import LAST, QueuedTraining, TrainedModel
from tests.machines import Machine, until
from tests.trainings import make_epoch, make_request, make_trained

RUNNER = RunnerIdentity(
    pid=2**22 + 1, host=socket.gethostname(), user=user_name(), started_at="2026-11-20T10:00:00.000Z"
)
REQUEST = make_request()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("STATE", "CACHE", "BOX_LOCK"):
        monkeypatch.setenv(f"ETUI_{name}", str(tmp_path / name.lower()))
    with Store.open(tmp_path / "etui.db") as opened:
        yield opened


def _claimed(store: Store) -> QueuedTraining:
    store.add_training(REQUEST, box="")
    claimed = store.claim_next(RUNNER)
    assert isinstance(claimed, QueuedTraining)
    return claimed


class _Workers:
    """Do the job of a training with a function."""

    def __init__(self, work: Callable[[Callable[[Event], None]], TrainedModel]) -> None:
        self.jobs: list[TrainJob] = []
        self._work = work

    async def do(self, job: TrainJob, say: Callable[[Event], None]) -> TrainedModel:
        lock = MachineLock()
        assert not lock.acquire()
        lock.release()
        self.jobs.append(job)
        return self._work(say)


@pytest.mark.asyncio
async def test_a_training_is_done_under_the_machine_lock_and_stored(store: Store) -> None:
    def work(say: Callable[[Event], None]) -> TrainedModel:
        say(Event(kind="log", message="the first epoch", epoch=make_epoch(1)))
        return make_trained(REQUEST)

    queued, workers = _claimed(store), _Workers(work)
    await run_training(store, cast("WorkerPool", workers), queued)
    ended = store.training(queued.id)
    assert (ended.status, ended.result) == ("done", make_trained(REQUEST))
    assert [(job.settings, job.folder, job.data) for job in workers.jobs] == [(REQUEST.settings, "/out", "/data")]
    assert store.training_events_after(queued.id)[0].message == "the first epoch"


@pytest.mark.asyncio
async def test_the_error_of_a_training_is_its_own_and_the_traceback_is_in_its_log(store: Store) -> None:
    def work(say: Callable[[Event], None]) -> TrainedModel:
        raise WorkerFailed("no space is left on the disk", "free some space", traceback="Traceback")

    queued = _claimed(store)
    await run_training(store, cast("WorkerPool", _Workers(work)), queued)
    ended = store.training(queued.id)
    assert (ended.status, ended.error) == ("failed", "no space is left on the disk; free some space")
    assert ("debug", "Traceback") in [(event.level, event.message) for event in store.training_events_after(queued.id)]


@pytest.mark.asyncio
async def test_a_running_training_is_cancelled_on_request(store: Store) -> None:
    class Endless(_Workers):
        async def do(self, job: TrainJob, say: Callable[[Event], None]) -> TrainedModel:
            store.request_training_cancel([queued.id])
            await asyncio.Event().wait()
            raise AssertionError

    queued = _claimed(store)
    await run_training(store, cast("WorkerPool", Endless(lambda say: make_trained(REQUEST))), queued)
    assert store.training(queued.id).status == "cancelled"
    assert MachineLock().acquire()


def test_a_training_of_a_dead_runner_is_interrupted(store: Store) -> None:
    queued = _claimed(store)
    assert end_abandoned(store) == []
    assert store.training(queued.id).status == "interrupted"


_NET = """
import torch
from torch import nn

def make():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10)
    ), (torch.zeros(1, 3, 16, 16),)
"""


@pytest.mark.slow
def test_a_training_whose_runner_is_killed_resumes_to_the_same_weights(machine: Machine) -> None:
    digits, net = machine.folder / "digits", machine.folder / "net.py"
    make_digits(digits, images=70, size=32, seed=5)
    net.write_text(_NET)
    options = (
        f"{net}:make", "--data", digits, "--size", "16", "--batch", "4", "--threads", "1", "--epochs", "20",
        "--checkpoint-every", "1",
    )  # fmt: skip
    machine.etui("train", *options, "-o", machine.folder / "whole", "--detach")
    training_id = machine.etui("train", *options, "-o", machine.folder / "killed", "--detach").stdout.strip()
    with Store.open(machine.database) as store:
        until(lambda: len(store.training(training_id).epochs) >= 1)
        claim = next(claim for claim in store.training_claims() if claim.id == training_id)
        os.kill(claim.pid, signal.SIGKILL)
    assert training_id[:6] in machine.etui("train", "--last").stdout
    with Store.open(machine.database) as store:
        interrupted = store.training(training_id)
        assert interrupted.status == "interrupted" and 1 <= len(interrupted.epochs) < 20
        machine.etui("train", "--resume", training_id)
        ended = store.training(training_id)
        assert ended.status == "done" and [one.epoch for one in ended.epochs] == list(range(1, 21))
    whole, killed = ((machine.folder / name / LAST).read_bytes() for name in ("whole", "killed"))
    # The headers have the figures of the epochs, whose speeds differ.
    assert _tensors(whole) == _tensors(killed)


def _tensors(checkpoint: bytes) -> bytes:
    return checkpoint[8 + int.from_bytes(checkpoint[:8], "little") :]
