"""Which labelled images a model is evaluated on, and what its outputs mean."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from PIL import Image

from etui.catalog.find import find_model
from etui.engine.models.evaluation import Chosen, choose_evaluation, task_metadata
from etui.engine.models.trained_checkpoint import TrainedCheckpoint
from etui.engine.models.weights import Resolved
from etui.errors import UsageError
from etui.spec import OWN_SHAPE, Shape
from etui.task_data.evaluation_split import FRACTIONS, evaluation_split
from etui.task_data.labelled_images import split_images
from etui.task_data.preprocessing import Preprocessing
from etui.task_data.reading import open_labelled_images
from etui.task_training import TrainingSettings

PUBLISHED = Resolved("pretrained", "published", "sha256:1")
TRAINED = Resolved(
    "checkpoint", "file best.safetensors", "sha256:2",
    trained=TrainedCheckpoint(settings=TrainingSettings(model="resnet18", size=40, seed=7), categories=("dog", "cat")),
)  # fmt: skip


def images(folder: Path, *places: str, each: int = 2) -> Path:
    """Write different images into folders."""
    for number, place in enumerate(places):
        for copy in range(each):
            path = folder / place / f"{copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 20, copy * 10, 90)).save(path)
    return folder


def chosen(
    folder: Path, resolved: Resolved, split: str | None = None, *, required: bool = False, shape: Shape = OWN_SHAPE
) -> Chosen | None:
    return choose_evaluation(find_model("resnet18"), resolved, folder, split, 0, shape, required=required)


def test_published_weights_are_evaluated_on_data_with_names_of_their_classes(tmp_path: Path) -> None:
    folder = images(tmp_path / "fish", "train/tench", "train/goldfish", "val/tench", "val/goldfish")
    found = chosen(folder, PUBLISHED)
    assert found is not None
    evaluation = found.evaluation
    # The categories of the data are sorted; in ImageNet the tench is 0 and the goldfish 1.
    assert (evaluation.categories, evaluation.places, len(evaluation.outputs)) == (("goldfish", "tench"), (1, 0), 1000)
    assert evaluation.labels == ((0,), (0,), (1,), (1,))
    assert (evaluation.data.split, evaluation.data.images, evaluation.data.kind) == ("val", 4, "single-label")
    assert evaluation.data.sha256 == open_labelled_images(folder, "val").sha256
    assert (evaluation.preprocessing.size, evaluation.preprocessing.shorter_side) == ((224, 224), 256)
    assert found.calibration_split == "train" and len(found.calibration) == 4
    assert all(path.startswith("train/") for path in found.calibration)
    smaller = chosen(folder, PUBLISHED, shape=Shape(input_size=(112, 112)))
    assert smaller is not None and smaller.evaluation.preprocessing.size == (112, 112)


def test_the_training_split_can_be_evaluated_but_then_nothing_calibrates(tmp_path: Path) -> None:
    folder = images(tmp_path / "fish", "train/tench", "train/goldfish", "val/tench", "val/goldfish")
    found = chosen(folder, PUBLISHED, "train")
    assert found is not None and found.evaluation.data.split == "train" and found.calibration == ()


def test_a_checkpoint_brings_categories_and_size_and_divides_data_as_its_training(tmp_path: Path) -> None:
    folder = images(tmp_path / "pets", "cat", "dog", each=10)
    found = chosen(folder, TRAINED)
    assert found is not None
    assert (found.evaluation.outputs, found.evaluation.places) == (("dog", "cat"), (1, 0))
    assert found.evaluation.preprocessing == Preprocessing((40, 40))
    larger = chosen(folder, TRAINED, shape=Shape(input_size=(64, 48)))
    assert larger is not None and larger.evaluation.preprocessing == Preprocessing((64, 48))
    parts = split_images(open_labelled_images(folder, None), FRACTIONS, 7)
    assert found.evaluation.data.sha256 == parts["val"].sha256
    assert set(found.calibration) == {image.path for image in parts["train"].images}
    assert not set(found.calibration) & set(found.evaluation.paths)
    other = evaluation_split(folder, None, 8).evaluated
    assert other.sha256 != parts["val"].sha256


@pytest.mark.parametrize(
    ("resolved", "places", "split", "problem"),
    [
        (Resolved("synthetic", "random", "s"), ("train/tench", "val/tench"), None, "synthetic"),
        (PUBLISHED, ("tench", "goldfish"), None, "no splits"),
        (PUBLISHED, ("train/tench", "val/nothing"), None, "nothing"),
        (PUBLISHED, ("train/tench", "val/tench"), "night", "no split"),
        (PUBLISHED, ("train/tench", "test/tench"), None, "no split"),
    ],
)
def test_without_a_request_other_images_are_only_inputs(
    tmp_path: Path, resolved: Resolved, places: tuple[str, ...], split: str | None, problem: str
) -> None:
    folder = images(tmp_path / "data", *places)
    assert chosen(folder, resolved, split) is None
    with pytest.raises(UsageError, match=problem):
        chosen(folder, resolved, split, required=True)


def test_data_that_a_checkpoint_was_not_trained_for_is_an_error(tmp_path: Path) -> None:
    folder = images(tmp_path / "pets", "train/cat", "val/cat", "val/horse")
    with pytest.raises(UsageError, match="horse"):
        chosen(folder, TRAINED)
    assert TRAINED.trained is not None
    multi = TRAINED._replace(trained=msgspec.structs.replace(TRAINED.trained, kind="multi-label"))
    with pytest.raises(UsageError, match="multi-label"):
        chosen(images(tmp_path / "only", "train/cat", "val/dog"), multi)
    (tmp_path / "tensors").mkdir()
    assert chosen(tmp_path / "tensors", TRAINED) is None, "without labelled images a checkpoint is only weights"


def test_what_a_program_needs_is_known_for_trained_weights_only() -> None:
    model = find_model("resnet18")
    published = task_metadata(model, PUBLISHED, OWN_SHAPE, None)
    assert published is not None and published.categories[:2] == ("tench", "goldfish")
    assert (len(published.categories), published.kind, published.model) == (1000, "single-label", "resnet18")
    assert (published.preprocessing.size, published.preprocessing.shorter_side) == ((224, 224), 256)
    assert TRAINED.trained is not None
    known = TRAINED._replace(trained=msgspec.structs.replace(TRAINED.trained, kind="single-label"))
    trained = task_metadata(model, known, Shape(input_size=(64, 64)), None)
    assert trained is not None and trained.categories == ("dog", "cat")
    assert (trained.kind, trained.preprocessing.size) == ("single-label", (64, 64))
    assert task_metadata(model, TRAINED, OWN_SHAPE, None) is None  # it does not say how many labels an image has
    assert task_metadata(model, Resolved("synthetic", "random", "s"), OWN_SHAPE, None) is None
    assert task_metadata(find_model("gpt2"), PUBLISHED, OWN_SHAPE, None) is None
