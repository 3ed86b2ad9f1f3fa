"""Labels of a folder's files: what is known about their classes, and what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import nn

from etui.catalog.find import UserModel, find_model
from etui.catalog.models import MODELS, Outputs
from etui.engine.models.bundle import Bundle
from etui.engine.models.data_labels import FolderLabels, JudgedLabels, category_places, class_names, judge_labels
from etui.errors import PreparationError, UsageError
from etui.jobs import BundleResult
from etui.spec import Shape
from tests.engine.conftest import TINY, Workshop

COLOURS = f"{TINY}:colours"
SHADES = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


def pictures(folder: Path, names: dict[str, str], each: int = 4) -> Path:
    """Write pictures of the colours in folders with these names."""
    for colour, name in names.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            shade = tuple(min(255, part + number) for part in SHADES[colour])
            Image.new("RGB", (8, 8), shade).save(folder / name / f"{number}.png")
    return folder


def bundle_of(workshop: Workshop, folder: Path, model: str = COLOURS, **options: Any) -> tuple[BundleResult, Bundle]:
    result = workshop.bundle(model, data=str(folder), **options)
    return result, Bundle.open(Path(result.path), model)


def test_folders_numbered_like_the_classes_label_their_images(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", {"red": "0", "green": "1", "blue": "2"})
    result, bundle = bundle_of(workshop, folder, accuracy_inputs=8, calibration_count=2)
    assert "indexes of the model's classes" in result.inputs.labels and "8 evaluation inputs" in result.inputs.labels
    assert result.model.outputs == "logits"
    task = bundle.task_metric(bundle.reference())
    assert task is not None and (task.name, task.eager, task.program, task.count) == ("top1", 1.0, 1.0, 8)
    inverted = [[-output for output in outputs] for outputs in bundle.reference()]
    wrong = bundle.task_metric(inverted)
    assert wrong is not None and (wrong.eager, wrong.program) == (1.0, 0.0)
    some = bundle.task_metric(inverted[:3])
    assert some is not None and (some.count, some.eager) == (3, 1.0)
    assert not [event for event in workshop.events if event.level == "warning"]


def test_moved_image_is_another_label_and_another_bundle(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", {"red": "0", "green": "1", "blue": "2"})
    first, _ = bundle_of(workshop, folder, accuracy_inputs=11, calibration_count=1)
    for number in range(4):
        (folder / "0" / f"{number}.png").rename(folder / "1" / f"moved{number}.png")
    (folder / "0").rmdir()
    second, bundle = bundle_of(workshop, folder, accuracy_inputs=11, calibration_count=1)
    assert first.key != second.key
    task = bundle.task_metric(bundle.reference())
    assert task is not None and task.eager < 1.0


def test_batch_of_images_has_a_label_for_each(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", {"red": "0", "green": "1", "blue": "2"})
    result, bundle = bundle_of(workshop, folder, shape=Shape(batch=4))
    assert result.inputs.shapes == [[4, 3, 8, 8]]
    task = bundle.task_metric(bundle.reference())
    assert task is not None and task.eager == 1.0


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ({"red": "red", "green": "green"}, "'green', 'red' are not indexes of the model's classes"),
        ({"red": "1", "green": "3"}, "3 is not the index of a class: the model has 3, 0 to 2"),
    ],
)
def test_folders_that_name_no_classes_are_reported(
    workshop: Workshop, tmp_path: Path, names: dict[str, str], reason: str
) -> None:
    result, bundle = bundle_of(workshop, pictures(tmp_path / "data", names))
    assert result.inputs.labels.startswith("not used: ") and reason in result.inputs.labels
    assert bundle.task_metric(bundle.reference()) is None
    warnings = [event.message for event in workshop.events if event.level == "warning"]
    assert len(warnings) == 1 and reason in warnings[0]


def test_classes_file_numbers_folders(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", {"blue": "Blue_sky", "red": "red", "green": "a green"})
    (folder / "classes.txt").write_text("red\nA Green\nblue sky\n")
    result, bundle = bundle_of(workshop, folder)
    task = bundle.task_metric(bundle.reference())
    assert "classes.txt" in result.inputs.labels and task is not None and task.eager == 1.0
    (folder / "classes.txt").write_text("red\ngreen\n")
    with pytest.raises(PreparationError, match="names 2 classes, but tiny-colours has 3"):
        bundle_of(workshop, folder)
    (folder / "classes.txt").write_text("red\nRed\nblue\n")
    with pytest.raises(PreparationError, match="names a class twice"):
        bundle_of(workshop, folder)


def test_images_without_or_partly_without_folders(workshop: Workshop, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(flat / f"{number}.png")
    assert bundle_of(workshop, flat)[0].inputs.labels == ""
    (flat / "1").mkdir()
    (flat / "5.png").rename(flat / "1" / "5.png")
    assert "in none" in bundle_of(workshop, flat)[0].inputs.labels


def write_rows(folder: Path, rows: Sequence[dict[str, object]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_labels_in_files(workshop: Workshop, tmp_path: Path) -> None:
    place = tmp_path / "arrays"
    place.mkdir()
    for number in range(6):
        picture = numpy.zeros((1, 3, 8, 8), dtype=numpy.float32)
        picture[:, number % 3] = 1 + number
        numpy.savez(place / f"{number}.npz", picture=picture, labels=numpy.array([number % 3]))
    result, bundle = bundle_of(workshop, place)
    task = bundle.task_metric(bundle.reference())
    assert result.inputs.labels == "of 3 evaluation inputs, from their files"
    assert task is not None and task.eager == 1.0
    shades = [[[[float(at == number % 3) + number] * 8] * 8 for at in range(3)] for number in range(6)]
    rows: list[dict[str, object]] = [{"picture": [shade], "label": number % 3} for number, shade in enumerate(shades)]
    _, bundle = bundle_of(workshop, write_rows(tmp_path / "lines", rows))
    task = bundle.task_metric(bundle.reference())
    assert task is not None and task.eager == 1.0
    del rows[0]["label"]
    many, _ = bundle_of(workshop, write_rows(tmp_path / "lines", rows), accuracy_inputs=5, calibration_count=1)
    assert many.inputs.labels == "not used: 1 of 6 inputs have none"
    rows[0].update(label=1, labels=1)
    with pytest.raises(PreparationError, match="line 1 has label and labels"):
        bundle_of(workshop, write_rows(tmp_path / "lines", rows), accuracy_inputs=5, calibration_count=1)


def test_argument_named_labels_is_an_input(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x, labels):\n"
        "        return x + labels\n"
        "def make():\n"
        "    return Net(), (torch.ones(1, 2), torch.ones(1, 2))\n"
    )
    for number in range(4):
        numpy.savez(tmp_path / f"{number}.npz", x=numpy.full((1, 2), number / 2), labels=numpy.ones((1, 2)))
    result, _ = bundle_of(workshop, tmp_path, f"{tmp_path / 'mine.py'}:make")
    assert result.inputs.labels == "" and len(result.inputs.shapes) == 2


def test_metric_of_the_model_is_used_for_labels_of_files(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import etui, torch\n"
        "def make():\n"
        "    head = torch.nn.Linear(2, 1)\n"
        "    with torch.no_grad():\n"
        "        head.weight.fill_(1.0)\n"
        "        head.bias.zero_()\n"
        "    return etui.Model(head, torch.ones(1, 2), metric=['neg_mean_absolute_error', 'r2'])\n"
    )
    rows: list[dict[str, object]] = [{"input": [[number, 1.0]], "label": number + 1.5} for number in range(6)]
    _, bundle = bundle_of(workshop, write_rows(tmp_path / "lines", rows), f"{tmp_path / 'mine.py'}:make")
    task = bundle.task_metric(bundle.reference())
    assert task is not None and task.name == "neg_mean_absolute_error"
    assert task.eager == pytest.approx(-0.5)
    assert [other.name for other in task.others] == ["r2"]


# What is known about the classes of a model


def judged(
    labels: FolderLabels, classes: int, *, model: Any = None, module: nn.Module | None = None, **options: Any
) -> JudgedLabels:
    outputs = options.pop("outputs", [torch.zeros(1, classes)] * len(labels.values))
    weights, metric = options.pop("weights", "pretrained"), options.pop("metric", None)
    return judge_labels(labels, model or MODELS["resnet18"], module or nn.Identity(), outputs, metric, weights)


def named(*names: str) -> FolderLabels:
    return FolderLabels([[name] for name in names], "the names of their folders", (), tuple(sorted(names)))


def test_images_of_a_catalog_model_are_labelled_by_the_names_of_imagenet() -> None:
    found = judged(named("Egyptian_cat", "goldfish"), 1000)
    assert [int(label) for label in found.labels] == [285, 1]
    assert [name for name, _ in found.metrics] == ["top1", "top5"]
    assert "'dragon' is not among the classes" in judged(named("dragon", "goldfish"), 1000).detail
    wordnet = judged(named("n01440764", "n01443537"), 1000)
    assert [int(label) for label in wordnet.labels] == [0, 1]


def test_synthetic_weights_have_no_accuracy_on_a_task() -> None:
    found = judged(named("0", "1"), 1000, weights="synthetic")
    assert not found.metrics and "synthetic" in found.detail and "means nothing" in found.detail


def test_names_of_a_configuration_and_of_timm() -> None:
    module = nn.Identity()
    module.config = type("Config", (), {"id2label": {"0": "NEGATIVE", "1": "POSITIVE, good"}})()
    model = UserModel(kind="factory", path="/tmp/mine.py", factory="make")
    found = judged(named("positive", "negative"), 2, model=model, module=module)
    assert [int(label) for label in found.labels] == [1, 0]
    module.config = type("Config", (), {"id2label": {0: "crane, bird", 1: "crane, machine"}})()
    assert "'crane' may be several classes" in judged(named("crane"), 2, model=model, module=module).detail
    timm_model = find_model("timm:resnet18")
    classifier = nn.Identity()
    vars(classifier)["num_classes"] = 1000
    names = class_names(timm_model, classifier)
    assert len(names) == 1000 and "n01440764" in names[0] and "tench" in names[0]


def test_categories_of_data_are_found_by_exact_names_first() -> None:
    known = [("cat",), ("Cat",), ("caf\u00e9 table",), ("crane",), ("Crane",)]
    found = category_places(["Cat", "cafe\u0301_Table"], known, "net", imagenet=False)
    assert found == {"Cat": 1, "cafe\u0301_Table": 2}
    with pytest.raises(UsageError, match="CRANE"):
        category_places(["CRANE"], known, "net", imagenet=False)
    assert category_places(["004", "1"], known, "resnet18", imagenet=True) == {"004": 4, "1": 1}
    with pytest.raises(UsageError, match="'1'"):
        category_places(["1"], known, "net", imagenet=False)


@pytest.mark.parametrize("outputs", ["hidden state", "embedding"])
def test_outputs_that_are_not_scores_have_no_labels(outputs: Outputs) -> None:
    model = next(entry for entry in MODELS.values() if entry.outputs == outputs)
    found = judged(named("0", "1"), 8, model=model)
    assert not found.labels and "not scores of classes" in found.detail


def test_labels_that_are_no_classes_are_reported_or_refused() -> None:
    labels = FolderLabels([torch.tensor([1000]), torch.tensor([1])], "their files")
    assert judged(labels, 1000).detail.startswith("not used: label 1000 is not a class")
    with pytest.raises(PreparationError, match="label 1000 is not a class"):
        judged(labels, 1000, metric="top1")
