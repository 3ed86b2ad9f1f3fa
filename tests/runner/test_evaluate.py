"""Evaluation within a session: eager and programs on labelled images, with a checkpoint of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from etui.results import RunDocument
from etui.task_data.digits import make_digits
from etui.task_data.preprocessing import Preprocessing, image_array
from etui.task_data.program_metadata import TaskMetadata, metadata_path, read_metadata
from etui.task_data.reading import open_labelled_images
from etui.task_training import TrainingSettings
from tests.machines import Machine

SIZE = 24
NET = """
import torch
from torch import nn


def net():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(72, 10))
    return module, (torch.randn(1, 3, 24, 24),)
"""

pytestmark = pytest.mark.slow


class Session(NamedTuple):
    """A finished session and what it was made from."""

    runs: list[RunDocument]
    folder: Path
    log: str


def options(folder: Path) -> tuple[str | Path, ...]:
    weights = folder / "best.safetensors"
    return (f"{folder}/net.py:net", "--weights", weights, "--data", folder / "digits", "--repeat", "4", "--warmup", "0",
            "--threads", "1")  # fmt: skip


@pytest.fixture(scope="module")
def session(warm_machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """FP32 and INT8 of a small model, which are evaluated on the validation split of handwritten digits."""
    import torch
    from torch import nn

    from etui.engine.training.checkpoints import Position, write_checkpoint

    folder = tmp_path_factory.mktemp("evaluated")
    make_digits(folder / "digits", images=220, size=32, seed=3)
    (folder / "net.py").write_text(NET)
    torch.manual_seed(5)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(72, 10))
    position = Position(
        settings=TrainingSettings(model="net.py:net", size=SIZE), categories=tuple("0123456789"), training_sha256="",
        epoch=1, batch=0, loss_sum=0.0, epochs=[],
    )  # fmt: skip
    # As in last.safetensors: the state of the optimizer is not a weight of the model.
    tensors = {**module.state_dict(), "etui.optimizer.0.momentum_buffer": torch.zeros(2)}
    write_checkpoint(folder / "best.safetensors", position, tensors)
    done = warm_machine.etui(
        "run", *options(folder), "-p", "fp32,int8", "--tolerance", "map_drop=0", "--json", status=None
    )
    assert done.returncode in (0, 1), done.stderr
    runs = [warm_machine.document(summary["id"]) for summary in json.loads(done.stdout)]
    return Session(runs, folder, done.stderr)


def evaluation(run: RunDocument) -> Any:
    assert run.accuracy is not None and run.accuracy.task is not None, run.error
    assert run.accuracy.task.evaluation is not None
    return run.accuracy.task.evaluation


def eager_scores(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Logits and labels of the validation split, without etui's engine."""
    import torch
    from safetensors.torch import load_file
    from torch.nn.functional import avg_pool2d, conv2d

    data = open_labelled_images(folder / "digits", "val")
    weights = load_file(folder / "best.safetensors")
    arrays = [image_array(folder / "digits" / one.path, Preprocessing((SIZE, SIZE))) for one in data.images]
    made = conv2d(torch.from_numpy(np.stack(arrays)), weights["0.weight"], weights["0.bias"], stride=2).relu()
    logits = avg_pool2d(made, 3).flatten(1) @ weights["4.weight"].T + weights["4.bias"]
    labels = np.zeros(logits.shape, dtype=bool)
    for row, image in enumerate(data.images):
        labels[row, list(image.labels)] = True
    return logits.numpy(), labels


def test_map_of_eager_is_that_of_scikit_learn_and_the_program_has_it_too(session: Session) -> None:
    fp32, int8 = map(evaluation, session.runs)
    scores, labels = eager_scores(session.folder)
    used = labels.any(axis=0)
    mean = average_precision_score(labels[:, used], scores[:, used], average="macro")
    assert fp32.metric == "mAP" and fp32.eager.value == pytest.approx(mean, abs=1e-5)
    assert fp32.program.value == pytest.approx(mean, abs=0.01)
    assert int8.eager == fp32.eager and int8.program.value == pytest.approx(mean, abs=0.1)
    assert [one.name for one in fp32.categories] == list("0123456789")
    assert [one.positives for one in fp32.categories] == labels.sum(axis=0).tolist()


def test_the_result_names_the_evaluated_images(session: Session) -> None:
    data = open_labelled_images(session.folder / "digits", "val")
    for run in session.runs:
        found = evaluation(run).data
        assert (found.name, found.split, found.kind) == ("digits", "val", "multi-label")
        assert (found.images, found.of, found.sha256) == (len(data.images), len(data.images), data.sha256)
        assert evaluation(run).preprocessing["size"] == [SIZE, SIZE]
        assert "evaluate" in [stage.name for stage in run.stages]


def test_calibration_uses_the_training_split_only(session: Session) -> None:
    for run in session.runs:
        assert run.inputs is not None
        assert "8 images of the split val" in run.inputs.split and "100 of the split train" in run.inputs.split


def test_an_exported_program_and_the_run_carry_what_is_needed_to_use_it(
    session: Session, warm_machine: Machine, tmp_path: Path
) -> None:
    warm_machine.etui("run", *options(session.folder), "-p", "int8", "--export-only", "-o", tmp_path)
    (program,) = tmp_path.glob("*.pte")
    metadata = read_metadata(metadata_path(program))
    assert metadata.categories == tuple("0123456789") and metadata.kind == "multi-label"
    assert (metadata.preprocessing, metadata.outputs) == (Preprocessing((SIZE, SIZE)), "logits")
    for run in session.runs:
        assert msgspec.convert(run.task, TaskMetadata) == metadata
    done = warm_machine.etui("evaluate", program, "--data", session.folder / "digits", "--split", "val", "--json")
    found = json.loads(done.stdout)["programs"][0]["metrics"]["mean_average_precision"]["value"]
    assert found == pytest.approx(evaluation(session.runs[1]).program.value, abs=1e-6)


def test_a_loss_above_the_tolerance_is_no_pass(session: Session) -> None:
    for run in session.runs:
        assert run.accuracy is not None and run.accuracy.tolerance is not None
        assert run.accuracy.tolerance.map_drop == 0
        assert "mAP loss to eager" in run.accuracy.reason
    int8 = session.runs[1].accuracy
    assert int8 is not None and int8.verdict != "PASS"


def test_the_same_images_give_the_same_result_again_from_the_cache(warm_machine: Machine, session: Session) -> None:
    again = json.loads(warm_machine.etui("run", *options(session.folder), "--split", "val", "--json").stdout)
    repeated = warm_machine.document(again[0]["id"])
    assert evaluation(repeated) == evaluation(session.runs[0])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("--split", "night"), "no split night"),
        (("--tolerance", "map_drop"), "not a tolerance"),
        (("--tolerance", "f1=2"), "not a tolerance"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_it_is_queued(
    warm_machine: Machine, session: Session, given: tuple[str, ...], problem: str
) -> None:
    refused = warm_machine.etui("run", *options(session.folder), *given, status=2)
    assert problem in refused.stderr and refused.stderr.strip().count("\n") == 0, refused.stderr


def test_a_split_without_data_is_refused(warm_machine: Machine, session: Session) -> None:
    refused = warm_machine.etui("run", f"{session.folder}/net.py:net", "--split", "val", status=2)
    assert "--data" in refused.stderr


def test_an_image_that_cannot_be_read_costs_only_the_metric(
    warm_machine: Machine, session: Session, tmp_path: Path
) -> None:
    data = tmp_path / "broken"
    for split in ("train", "val"):
        for number in range(40):
            path = data / split / str(number % 10) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (SIZE, SIZE), (number * 5, 40, 90 if split == "val" else 10)).save(path)
    # Not among the few evaluation inputs, which are read before anything is measured.
    (data / "val" / "9" / "two.png").write_bytes(b"no image")
    arguments = [str(data) if one == session.folder / "digits" else one for one in options(session.folder)]
    done = warm_machine.etui("run", *arguments, "--inputs", "2", "--seed", "1", "--no-check", "--json")
    (summary,) = json.loads(done.stdout)
    run = warm_machine.document(summary["id"])
    assert any("two.png" in line.message for line in run.log)
    assert run.latency_ms is not None and run.accuracy is not None and run.accuracy.task is None
