"""``etui evaluate``: programs on labelled images, against the same computation without etui."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score, f1_score

from etui.analysis.program_evaluation import Evaluation
from etui.cli.evaluate_output import as_csv, as_text
from etui.cli.main import cli
from etui.errors import EXIT_FAILED, EXIT_USAGE
from etui.paths import program_path
from etui.results import WeightsInfo
from etui.task_data.digits import make_digits
from etui.task_data.preprocessing import Preprocessing, image_array
from etui.task_data.program_metadata import TaskMetadata, write_metadata
from etui.task_data.reading import open_labelled_images
from tests.documents import encode_documents, make_document, make_spec

PREPROCESSING = Preprocessing((24, 32), resize="stretch")
DIGITS = tuple(str(digit) for digit in range(10))
BATCH = 4


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def evaluated(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate") / "digits"
    make_digits(folder, images=90, size=32, seed=3)
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``net.pte`` and the slightly different ``other.pte``, which score images of 24x32 in batches, and
    the weights of the first."""
    from etui.engine.process.preload import preload_prepare

    preload_prepare()
    folder = tmp_path_factory.mktemp("programs")
    torch.manual_seed(0)
    linear = torch.nn.Linear(3 * 12, len(DIGITS))
    model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), linear).eval()
    for name in ("net", "other"):
        save_program(model, (torch.zeros(BATCH, 3, 24, 32),), folder / f"{name}.pte")
        if name == "net":
            np.savez(folder / "net.npz", weight=linear.weight.detach().numpy(), bias=linear.bias.detach().numpy())
            with torch.no_grad():
                linear.weight.add_(0.05 * torch.randn_like(linear.weight))
        describe(folder / f"{name}.pte", threshold=None if name == "net" else 0.25)
    return folder


def save_program(model: torch.nn.Module, example: tuple[torch.Tensor, ...], path: Path) -> None:
    from executorch.exir import to_edge_transform_and_lower

    to_edge_transform_and_lower(torch.export.export(model, example)).to_executorch().save(str(path))


def describe(program: Path, categories: Sequence[str] = DIGITS, **facts: Any) -> Path:
    given: dict[str, Any] = {"kind": "multi-label", "preprocessing": PREPROCESSING, **facts}
    return write_metadata(program, TaskMetadata(categories=tuple(categories), **given), force=True)


def expected(programs: Path, digits: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities and the labels of a split, computed without the program."""
    data = open_labelled_images(digits, split)
    arrays = np.stack([image_array(digits / image.path, PREPROCESSING) for image in data.images])
    pooled = arrays.reshape(len(arrays), 3, 3, 8, 4, 8).mean(axis=(3, 5)).reshape(len(arrays), -1)
    with np.load(programs / "net.npz") as weights:
        logits = pooled @ weights["weight"].T + weights["bias"]
    labels = np.zeros(logits.shape, dtype=bool)
    for row, image in enumerate(data.images):
        labels[row, list(image.labels)] = True
    return 1 / (1 + np.exp(-logits)), labels


@pytest.fixture(scope="module")
def found(programs: Path, digits: Path) -> Any:
    """The evaluation of both programs, as JSON."""
    return evaluated(programs / "net.pte", programs / "other.pte", "--data", digits, "--split", "train")


def test_the_metrics_are_those_of_the_program_on_the_images(found: Any, programs: Path, digits: Path) -> None:
    scores, labels = expected(programs, digits, "train")
    assert len(labels) % BATCH, "the last batch is to be filled"
    first, second = found["programs"]
    having = labels.any(axis=0)
    mean = average_precision_score(labels[:, having], scores[:, having], average="macro")
    assert first["metrics"]["mean_average_precision"]["value"] == pytest.approx(mean, abs=1e-4)
    micro = f1_score(labels, scores >= 0.5, average="micro")
    assert first["metrics"]["micro_f1"]["value"] == pytest.approx(micro, abs=1e-4)
    thresholds = [(one["metrics"]["threshold"], one["threshold_source"]) for one in found["programs"]]
    assert thresholds == [(0.5, "default"), (0.25, "metadata")]
    data = open_labelled_images(digits, "train")
    assert (found["data"]["name"], found["data"]["split"]) == ("digits", "train")
    assert (found["data"]["images"], found["data"]["sha256"]) == (len(data.images), data.sha256)
    assert first["difference"] is None
    lost = second["difference"]["mean_average_precision"]
    values = [one["metrics"]["mean_average_precision"]["value"] for one in (second, first)]
    assert lost["value"] == pytest.approx(values[0] - values[1]) and lost["value"] != 0
    assert lost["interval"]["low"] <= lost["value"] <= lost["interval"]["high"]
    assert first["images_per_s"] > 0 and 0 <= first["waiting_share"] <= 1


def test_the_threshold_is_chosen_on_another_split(programs: Path, digits: Path) -> None:
    arguments = ("--data", digits, "--split", "test", "--threshold", "auto", "--limit", "12")
    found = evaluated(programs / "net.pte", *arguments)
    data = open_labelled_images(digits, "val")
    chosen = sorted(data.images, key=lambda image: image.sha256)[:12]
    rows = [image in chosen for image in data.images]
    scores, labels = (values[rows] for values in expected(programs, digits, "val"))
    threshold = found["programs"][0]["metrics"]["threshold"]
    best = max(f1_score(labels, scores >= value, average="micro") for value in scores.ravel())
    assert f1_score(labels, scores >= threshold - 1e-6, average="micro") == pytest.approx(best, abs=1e-9)
    assert found["programs"][0]["threshold_source"] == "split"
    assert (found["threshold_data"]["split"], found["threshold_data"]["images"]) == ("val", 12)
    assert (found["data"]["images"], found["data"]["of"]) == (12, len(open_labelled_images(digits, "test").images))


@pytest.fixture(scope="module")
def folders(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three categories in folders, and the program's metadata as a single-label program in the folder."""
    root = tmp_path_factory.mktemp("folders")
    random = np.random.default_rng(0)
    for category in ("3", "7", "8"):
        for number in range(3):
            file = root / "photos" / category / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(file)
    shutil.copy(programs / "net.pte", root)
    describe(root / "net.pte", DIGITS[::-1], kind="single-label")
    return root


def test_single_labels_are_ranked_among_all_classes_of_the_program(programs: Path, folders: Path) -> None:
    """The metadata names the columns, in whatever order the data has its categories."""
    found = evaluated(folders / "net.pte", "--data", folders / "photos")["programs"][0]
    scores, labels = expected(programs, folders / "photos", None)  # type: ignore[arg-type] # it has no splits
    own = np.array([9 - int(("3", "7", "8")[row.argmax()]) for row in labels])
    ranks = (scores > scores[np.arange(len(own)), own][:, None]).sum(axis=1)
    top = found["metrics"]
    assert (top["top1"]["value"], top["top5"]["value"]) == pytest.approx(((ranks < 1).mean(), (ranks < 5).mean()))
    assert top["mean_average_precision"] is None and found["threshold_source"] is None


def test_text_and_csv_have_the_values_of_json(found: Any) -> None:
    evaluation = msgspec.convert(found, Evaluation)
    value = evaluation.programs[0].metrics.mean_average_precision
    assert value is not None
    shown = as_text(evaluation, classes=True)
    assert f"{100 * value.value:.1f} (" in shown and f"{evaluation.data.images} images" in shown
    assert evaluation.data.sha256[:12] in shown
    rows = list(csv.DictReader(as_csv(evaluation).decode().splitlines()))
    assert float(next(row["value"] for row in rows if row["metric"] == "mean_average_precision")) == value.value
    assert len([row for row in rows if row["metric"] == "average_precision"]) == 2 * len(DIGITS)


def test_programs_of_one_file_name_are_named_with_their_folders(programs: Path, digits: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "net.pte"
    copy.parent.mkdir()
    shutil.copy(programs / "net.pte", copy)
    describe(copy)
    found = evaluated(programs / "net.pte", copy, "--data", digits, "--split", "val", "--limit", "2")
    assert [one["program"] for one in found["programs"]] == [f"{programs.name}/net.pte", "copy/net.pte"]


@pytest.fixture(scope="module")
def thousand(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``thousand.pte``, which scores the last of 1,000 classes the highest for bright images, and ``photos``."""
    folder = tmp_path_factory.mktemp("thousand")
    linear = torch.nn.Linear(3, 1000)
    with torch.no_grad():
        linear.weight.zero_()[-1] = 1.0
        linear.bias.zero_()[1] = 0.5
    model = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten(), linear).eval()
    save_program(model, (torch.zeros(1, 3, 16, 16),), folder / "thousand.pte")
    for category, value in (("goldfish", 0), ("toilet_tissue", 255), ("tench", 0)):
        file = folder / "photos" / category / "1.png"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (20, 16), (value,) * 3).save(file)
    return folder


def test_a_program_without_metadata_has_the_classes_of_its_model(thousand: Path) -> None:
    """Its last class is torchvision's ``toilet tissue``."""
    arguments = (thousand / "thousand.pte", "--model", "resnet18", "--data", thousand / "photos")
    (found,) = evaluated(*arguments)["programs"]
    # The class of the tench has one of many equal scores, which count as worse than all of these.
    assert found["metrics"]["top1"]["value"] == found["metrics"]["top5"]["value"] == pytest.approx(2 / 3)


FACTORY = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(27, 10)), (torch.zeros(1, 3, 24, 24),)
"""


def test_a_checkpoint_is_evaluated_in_eager_next_to_a_program(programs: Path, digits: Path, tmp_path: Path) -> None:
    """The code of a file runs only if the user names it, whatever the checkpoint says."""
    from etui.engine.training.checkpoints import Position, write_checkpoint
    from etui.task_training import TrainingSettings

    (tmp_path / "net.py").write_text(FACTORY)
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(27, 10)).eval()
    position = Position(
        settings=TrainingSettings(model="net.py:net", size=24), categories=DIGITS, training_sha256="", epoch=1, batch=0,
        loss_sum=0.0, epochs=[],
    )  # fmt: skip
    best = tmp_path / "best.safetensors"
    write_checkpoint(best, position, dict(module.state_dict()))
    save_program(module, (torch.zeros(2, 3, 24, 24),), tmp_path / "best.pte")
    describe(tmp_path / "best.pte", preprocessing=Preprocessing((24, 24)))
    data = ("--data", digits, "--split", "train")
    failed(run(best, *data), "net.py:net", EXIT_USAGE)
    eager, program = evaluated(best, tmp_path / "best.pte", *data, "--model", f"{tmp_path}/net.py:net")["programs"]
    assert (eager["program"], program["program"]) == ("best.safetensors", "best.pte")
    for metric in ("mean_average_precision", "micro_f1"):
        assert eager["metrics"][metric]["value"] == pytest.approx(program["metrics"][metric]["value"], abs=1e-6)
    assert program["difference"]["mean_average_precision"]["interval"] is not None
    (tmp_path / "other.safetensors").write_bytes(b"damaged")
    failed(run(tmp_path / "other.safetensors", *data), "other.safetensors", EXIT_USAGE)


@pytest.mark.slow
def test_the_eager_model_of_a_run_is_before_its_program(
    thousand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are those of the run, and a file that an imported run names is not read unless the user says so."""
    from etui.catalog.find import find_model
    from etui.engine.models import weights
    from etui.engine.models.bundle import weights_hash

    name = "torchvision:shufflenet_v2_x0_5"
    model, file = find_model(name), tmp_path / "weights.safetensors"
    module = weights.load(model, weights.Resolved("synthetic", "", ""), 0).module
    save_file({key: tensor.clone() for key, tensor in module.state_dict().items()}, file)
    document = make_document("3f2a")
    assert document.artifact is not None and document.inputs is not None
    document.model = msgspec.structs.replace(document.model, name=name)
    document.weights = WeightsInfo(kind="checkpoint", detail="file", sha256=weights_hash(module))
    document.inputs = msgspec.structs.replace(document.inputs, shapes=[[1, 3, 16, 16]])
    spec = msgspec.to_builtins(msgspec.structs.replace(make_spec(model=name), weights=str(file)))
    document.session = msgspec.structs.replace(document.session, spec=spec)
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ETUI_DB", str(tmp_path / "etui.db"))
    (tmp_path / "run.json").write_bytes(encode_documents([document]))
    assert CliRunner().invoke(cli, ["import", str(tmp_path / "run.json")]).exit_code == 0
    program = program_path(tmp_path / "cache", document.artifact.key)
    assert program is not None
    program.parent.mkdir(parents=True)
    shutil.copy(thousand / "thousand.pte", program)
    arguments = ("3f2a", "--eager", "--data", thousand / "photos")
    failed(run(*arguments), "--trust-file", EXIT_USAGE)
    eager, own = evaluated(*arguments, "--trust-file", file)["programs"]
    assert eager["program"] == f"eager {name}" and own["program"].startswith("3f2a")
    assert own["metrics"]["top1"]["value"] == pytest.approx(2 / 3) and own["difference"]["top1"]["value"] is not None
    with torch.inference_mode():
        next(module.parameters()).add_(1)
    save_file({key: tensor.clone() for key, tensor in module.state_dict().items()}, file)
    failed(run(*arguments, "--trust-file", file), "not those of the run", EXIT_USAGE)


def test_what_does_not_fit_is_one_line(programs: Path, digits: Path, folders: Path, tmp_path: Path) -> None:
    net, data = tmp_path / "net.pte", ("--data", digits, "--split", "val")
    shutil.copy(programs / "net.pte", net)
    cases: list[tuple[Sequence[str | Path], str]] = [
        ((net, *data), "net.task.json"),
        ((tmp_path / "absent.pte", *data), "absent.pte"),
        ((programs / "net.pte", *data, "--threshold", "2"), "2"),
        ((folders / "net.pte", *data), "single-label"),
        ((folders / "net.pte", "--data", folders / "photos", "--threshold", "auto"), "threshold"),
    ]
    for arguments, named in cases:
        failed(run(*arguments), named, EXIT_USAGE)
    for categories, facts, named in (
        ([*DIGITS, "extra"], {}, "[4, 10]"),
        ([*DIGITS[:-1], "ten"], {}, "9"),
        (DIGITS, {"preprocessing": Preprocessing((32, 32))}, "32x32"),
    ):
        describe(net, categories, **facts)
        failed(run(net, *data), named, EXIT_USAGE)
    net.with_name("net.task.json").write_text("{")
    failed(run(net, *data), "net.task.json", EXIT_USAGE)


class Logistic(torch.nn.Module):
    """A sigmoid that is not the operator of this name."""

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return 1 / (1 + torch.exp(-logits))


def test_a_program_may_end_with_the_sigmoid(programs: Path, digits: Path, tmp_path: Path) -> None:
    """Applied twice, it would make every threshold, F1 and calibration error wrong."""
    with np.load(programs / "net.npz") as weights:
        linear = torch.nn.Linear(3 * 12, len(DIGITS))
        linear.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    for name, last in (("sure", torch.nn.Sigmoid()), ("hidden", Logistic())):
        model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), linear, last).eval()
        save_program(model, (torch.zeros(BATCH, 3, 24, 32),), tmp_path / f"{name}.pte")
        describe(tmp_path / f"{name}.pte")
    data = ("--data", digits, "--split", "val")
    scores, labels = expected(programs, digits, "val")
    expected_f1: object = pytest.approx(f1_score(labels, scores >= 0.5, average="micro"), abs=1e-6)

    def outputs_and_f1(*arguments: str | Path) -> tuple[str, str, object]:
        (found,) = evaluated(*arguments, *data)["programs"]
        return found["outputs"], found["outputs_source"], found["metrics"]["micro_f1"]["value"]

    assert outputs_and_f1(tmp_path / "sure.pte") == ("probabilities", "program", expected_f1)
    failed(run(tmp_path / "hidden.pte", *data), "--outputs", EXIT_USAGE)
    describe(tmp_path / "hidden.pte", outputs="probabilities")
    assert outputs_and_f1(tmp_path / "hidden.pte")[1:] == ("metadata", expected_f1)
    failed(run(programs / "net.pte", *data, "--outputs", "probabilities"), "net.pte", EXIT_USAGE)


def test_a_broken_image_is_named(programs: Path, digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits, tmp_path / "digits")
    broken = next((tmp_path / "digits" / "val").iterdir())
    broken.write_bytes(b"no image")
    failed(run(programs / "net.pte", "--data", tmp_path / "digits", "--split", "val"), broken.name, EXIT_FAILED)


def test_a_run_is_evaluated_by_its_program(
    programs: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document("3f2a")
    assert document.artifact is not None
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ETUI_DB", str(tmp_path / "etui.db"))
    (tmp_path / "run.json").write_bytes(encode_documents([document]))
    assert CliRunner().invoke(cli, ["import", str(tmp_path / "run.json")]).exit_code == 0
    arguments = ("3f2a", "--data", digits, "--split", "val", "--metadata", programs / "net.task.json")
    failed(run(*arguments), "3f2a", EXIT_USAGE)
    program = program_path(tmp_path / "cache", document.artifact.key)
    assert program is not None
    program.parent.mkdir(parents=True)
    shutil.copy(programs / "net.pte", program)
    (found,) = evaluated(*arguments)["programs"]
    scores, labels = expected(programs, digits, "val")
    assert found["program"].startswith("3f2a resnet18")
    micro = f1_score(labels, scores >= 0.5, average="micro")
    assert found["metrics"]["micro_f1"]["value"] == pytest.approx(micro, abs=1e-4)


def failed(result: Result, named: str, status: int) -> None:
    error = result.exception
    text = f"{error}" if error is not None and not isinstance(error, SystemExit) else result.stderr
    assert getattr(error, "exit_status", result.exit_code) == status, text
    assert named in text and "\n" not in text.strip()
