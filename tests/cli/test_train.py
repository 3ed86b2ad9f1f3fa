"""``etui train``: what its options and its configuration file request, and one line for every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from etui.cli.main import cli
from etui.jobs import JobError, TrainJob
from etui.runner.machine_lock import MachineLock
from etui.services import train as service
from etui.services.one_job import JobFailed
from etui.task_training import EpochFigures, TrainedModel


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainJob]:
    """The jobs that were done while the machine was held; their results are made up."""
    for name in ("STATE", "CACHE", "CONFIG", "BOX_LOCK"):
        monkeypatch.setenv(f"ETUI_{name}", str(tmp_path / name.lower()))
    seen: list[TrainJob] = []

    def run_job(job: TrainJob, **options: Any) -> TrainedModel:
        lock = MachineLock()
        assert not lock.acquire()
        lock.release()
        seen.append(job)
        figures = EpochFigures(
            epoch=1, loss=0.5, metric=0.25, learning_rate=0.1, images_per_second=10.0, waiting_share=0.0
        )
        return TrainedModel(
            settings=job.settings, folder=job.folder, kind="multi-label", metric="mAP", categories=("a", "b"),
            training_images=8, validation_images=4, training_sha256="1", validation_sha256="2", epochs=[figures],
            best=0.25, best_epoch=1, program_metric=0.125, program_bytes=1_000_000,
        )  # fmt: skip

    monkeypatch.setattr(service, "run_job", run_job)
    return seen


def etui(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["train", *arguments])


def test_quantization_changes_the_defaults_of_learning_rate_and_weight_decay(
    jobs: list[TrainJob], tmp_path: Path
) -> None:
    done = etui("resnet18", "--data", str(tmp_path), "-o", str(tmp_path / "out"))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "0.2500" in done.stdout
    assert "0.1250 (FP32" in done.stdout
    etui("resnet18", "--data", ".", "-o", "out", "--qat", "lsq")
    etui("resnet18", "--data", ".", "-o", "out", "--qat", "pt2e", "--keep-fp32", "conv1,fc", "--lr", "0.5")
    etui("resnet18", "--data", ".", "-o", "out", "--qat", "lsq", "--keep-fp32", "none")
    rates = [(job.settings.learning_rate, job.settings.weight_decay) for job in jobs]
    expected = [(0.1, 1e-4), (0.01, 5e-5), (0.5, 5e-5), (0.01, 5e-5)]
    assert [pytest.approx(pair) for pair in expected] == rates
    assert [job.settings.keep_fp32 for job in jobs] == [None, None, ("conv1", "fc"), ()]
    assert jobs[0].data == str(tmp_path)


def test_a_file_has_options_that_the_command_line_overrides(jobs: list[TrainJob], tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text('data = "photos"\noutput = "trained"\nepochs = 7\nbatch = 16\namp = true\nloss = "focal"\n')
    done = etui("resnet18", "--config", str(file), "--batch", "8", "--json")
    assert done.exit_code == 0
    settings = json.loads(done.stdout)["settings"]
    assert (settings["epochs"], settings["batch"], settings["amp"], settings["loss"]) == (7, 8, True, "focal")
    assert (Path(jobs[0].data).name, Path(jobs[0].folder).name) == ("photos", "trained")
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
    ],
)
def test_a_mistake_is_refused_before_anything_is_done(
    jobs: list[TrainJob], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert etui(*arguments, "--data", ".", "-o", str(tmp_path)).exit_code == 2
    assert jobs == []


@pytest.mark.parametrize(("kind", "status"), [("UsageError", 2), ("PreparationError", 3)])
def test_an_error_of_the_training_keeps_its_status(
    jobs: list[TrainJob], monkeypatch: pytest.MonkeyPatch, kind: str, status: int
) -> None:
    def failing(job: TrainJob, **options: Callable[..., object]) -> TrainedModel:
        raise JobFailed(JobError(message="no split", hint="see the folder", kind=kind))

    monkeypatch.setattr(service, "run_job", failing)
    done = etui("resnet18", "--data", ".", "-o", "out")
    assert done.exit_code == status
    assert "no split" in done.stderr
    assert done.stderr.count("\n") == 1
