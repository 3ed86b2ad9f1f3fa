"""``etui train``: what its options and its configuration file request, and one line for every mistake."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from etui.cli.main import cli
from etui.errors import EtuiError
from etui.events import Event
from etui.host.user import user_name
from etui.jobs import TrainJob
from etui.paths import installation
from etui.runner import start
from etui.runner.fork_servers import WorkerPool
from etui.runner.training import run_training
from etui.runner.worker import WorkerFailed
from etui.services import train as service
from etui.store import RunnerIdentity, Store
from etui.task_training import LAST, QueuedTraining, TrainedModel, TrainingRequest
from tests.trainings import make_epoch, make_image_folder, make_trained


class Runner:
    """Executes the queue in this process when a runner would be started; results are made up."""

    def __init__(self, database: Path) -> None:
        self.jobs: list[TrainJob] = []
        self.error: EtuiError | None = None
        self.executes = True
        self._database = database

    async def do(self, job: TrainJob, say: Callable[[Event], None]) -> TrainedModel:
        self.jobs.append(job)
        folder = Path(job.folder)
        folder.mkdir(exist_ok=True)
        (folder / LAST).write_bytes(bytes(1000))
        say(Event(kind="log", message="the first epoch", epoch=make_epoch(1)))
        if self.error is not None:
            raise self.error
        return make_trained(TrainingRequest(settings=job.settings, data=job.data, folder=job.folder), epochs=1)

    def start(self, database: Path) -> None:
        with Store.open(database) as store:
            while self.executes and (claimed := store.claim_next(identity())) is not None:
                assert isinstance(claimed, QueuedTraining)
                asyncio.run(run_training(store, cast("WorkerPool", self), claimed))


def identity() -> RunnerIdentity:
    return RunnerIdentity(
        pid=2**22 + 1, host=socket.gethostname(), user=user_name(), started_at="2026-11-20T10:00:00.000Z",
        installation=installation(),
    )  # fmt: skip


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    for name in ("STATE", "CACHE", "CONFIG", "BOX_LOCK", "DB"):
        monkeypatch.setenv(f"ETUI_{name}", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    make_image_folder(tmp_path / "data")
    made = Runner(tmp_path / "db")
    monkeypatch.setattr(service, "start_and_check", made.start)
    monkeypatch.setattr(start, "ensure_runner", lambda database: None)
    return made


@pytest.fixture
def jobs(runner: Runner) -> list[TrainJob]:
    return runner.jobs


def etui(*arguments: str, command: str = "train", typed: str | None = None) -> Result:
    return CliRunner().invoke(cli, [command, *arguments], input=typed)


def train(output: str, *options: str) -> Result:
    return etui("resnet18", "--data", "data", "-o", output, *options)


def test_quantization_changes_the_defaults_of_learning_rate_and_weight_decay(
    jobs: list[TrainJob], tmp_path: Path
) -> None:
    done = train("out")
    assert done.exit_code == 0
    assert "0.2500" in done.stdout and "0.1250 (FP32" in done.stdout
    assert "the first epoch" in done.stderr
    train("two", "--qat", "lsq")
    train("three", "--qat", "pt2e", "--keep-fp32", "conv1,fc", "--lr", "0.5")
    train("four", "--qat", "lsq", "--keep-fp32", "none")
    train("five", "--ptq", "--init", "best.safetensors")
    train("six", "--ptq", "--init", "best.safetensors", "--calibration", "7")
    assert [(job.settings.calibration, job.settings.epochs) for job in jobs[3:]] == [(None, 50), (100, 0), (7, 0)]
    del jobs[4:]
    rates = [(job.settings.learning_rate, job.settings.weight_decay) for job in jobs]
    expected = [(0.1, 1e-4), (0.01, 5e-5), (0.5, 5e-5), (0.01, 5e-5)]
    assert [pytest.approx(pair) for pair in expected] == rates
    assert [job.settings.keep_fp32 for job in jobs] == [None, None, ("conv1", "fc"), ()]
    assert (jobs[0].data, jobs[0].folder) == (str(tmp_path / "data"), str(tmp_path / "out"))


def test_a_file_has_options_that_the_command_line_overrides(jobs: list[TrainJob], tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text('data = "data"\noutput = "trained"\nepochs = 7\nbatch = 16\namp = true\nloss = "focal"\n')
    done = etui("resnet18", "--config", str(file), "--batch", "8", "--json")
    assert done.exit_code == 0
    settings = json.loads(done.stdout)["settings"]
    assert (settings["epochs"], settings["batch"], settings["amp"], settings["loss"]) == (7, 8, True, "focal")
    assert (Path(jobs[0].data).name, Path(jobs[0].folder).name) == ("data", "trained")
    file.write_text("epoch = 7\n")
    assert etui("resnet18", "--config", str(file)).exit_code == 2
    file.write_text("epochs = [\n")
    assert etui("resnet18", "--config", str(file)).exit_code == 2
    assert len(jobs) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("program.pte",),
        ("resnet18", "--keep-fp32", "fc"),
        ("resnet18", "--batch", "1"),
        ("resnet18", "--amp", "--qat", "lsq"),
        ("resnet18", "--val-split", "none"),
        ("resnet18", "--resume"),
        ("resnet18", "--ptq"),
        ("resnet18", "--ptq", "--init", "a.safetensors", "--qat", "lsq"),
        ("resnet18", "--calibration", "8"),
        ("resnet18", "--yes"),
        ("resnet18", "--list"),
        ("resnet18", "--detach", "--json"),
        ("--last", "--show", "a"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_done(
    jobs: list[TrainJob], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert etui(*arguments, "--data", "data", "-o", str(tmp_path / "out")).exit_code == 2
    assert jobs == [] and not (tmp_path / "db").exists()


def test_a_training_that_failed_is_resumed_by_its_id_or_its_folder(runner: Runner) -> None:
    runner.error = WorkerFailed("the loss is not finite", "use a lower rate")
    failed = train("out")
    assert failed.exit_code == 3
    assert (
        "the loss is not finite" in failed.stderr and failed.stderr.splitlines()[-1].count("etui train --resume") == 1
    )
    (training,) = json.loads(etui("--list", "--json").stdout)
    assert (training["status"], len(training["epochs"])) == ("failed", 1)
    assert train("out").exit_code == 2  # it has checkpoints
    assert etui("--resume", training["id"][:5]).exit_code == 3
    runner.error = None
    assert train("out", "--resume").exit_code == 0
    assert [job.resume for job in runner.jobs] == [False, True, True]
    (again,) = json.loads(etui("--list", "--json").stdout)
    assert (again["id"], again["status"], again["error"]) == (training["id"], "done", None)
    assert etui("--resume", training["id"]).exit_code == 2


def test_a_training_is_queued_logged_cancelled_and_deleted_with_its_files(runner: Runner, tmp_path: Path) -> None:
    runner.executes = False
    queued = train("out", "--detach")
    identifier = queued.stdout.strip()
    assert queued.exit_code == 0 and etui("--delete", identifier).exit_code == 2
    assert identifier[:6] in etui(command="who").stdout
    assert "cancelled" in etui(identifier[:6], command="cancel").stderr
    assert json.loads(etui("--show", identifier[:6], "--json").stdout)["status"] == "cancelled"
    runner.executes = True
    assert etui("--resume", identifier).exit_code == 0  # without a checkpoint: from the beginning
    assert [job.resume for job in runner.jobs] == [False]
    assert "the first epoch" in etui(identifier, command="log").stdout
    shown = etui("--last").stdout
    assert LAST in shown and "1.00 kB" in shown and "mAP 0.2500" in shown
    (tmp_path / "out" / "own.txt").write_text("not of the training")
    assert etui("--delete", identifier, "--files").exit_code == 2  # nobody can be asked
    assert etui("--delete", identifier, "--files", "--yes").exit_code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["own.txt"]
    assert etui("--list").stdout == "" and etui("--show", identifier).exit_code == 2


def test_a_deleted_training_leaves_its_files(runner: Runner, tmp_path: Path) -> None:
    train("out")
    identifier = json.loads(etui("--last", "--json").stdout)["id"]
    assert etui("--delete", identifier[:4]).exit_code == 0
    assert (tmp_path / "out" / LAST).exists() and etui("--last").exit_code == 2
