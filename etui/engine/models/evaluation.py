"""Decide which labelled images a model is evaluated on, how they are prepared, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from torch import nn

from etui.catalog.find import Model
from etui.catalog.models import ImageRecipe, ModelEntry
from etui.engine.models.data_folder import file_preprocessing
from etui.engine.models.data_labels import category_places, class_names
from etui.engine.models.weights import Resolved
from etui.errors import UsageError
from etui.results import TaskData
from etui.spec import Shape
from etui.task_data.evaluation_split import evaluation_split
from etui.task_data.labelled_images import LabelledImages
from etui.task_data.preprocessing import Preprocessing
from etui.task_data.program_metadata import TaskMetadata
from etui.task_data.reading import splits_of
from etui.text import plain

TRAINED_IMAGES = ImageRecipe(size=0)
"""How images are prepared for a model trained by `etui train`, whose size is in its checkpoint."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluation of a model, as it is stored in a bundle. ``paths`` are those of the images below the folder of the
    data, ``labels`` the indexes of their ``categories``, whose columns in the first output are ``places``. ``outputs``
    are the names of all columns. Without ``threshold`` a probability of 0.5 counts as predicted."""

    data: TaskData
    categories: tuple[str, ...]
    outputs: tuple[str, ...]
    places: tuple[int, ...]
    preprocessing: Preprocessing
    paths: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    threshold: float | None = None

    def of_size(self, size: Sequence[int]) -> Evaluation:
        """Return the evaluation with images of this height and width, those of the model's inputs."""
        preprocessing = msgspec.structs.replace(self.preprocessing, size=(size[0], size[1]))
        return msgspec.structs.replace(self, preprocessing=preprocessing)

    def identity(self) -> object:
        """Return what decides the result, besides the model."""
        data = self.data
        return (data.name, data.split, data.sha256, data.of, self.outputs, self.preprocessing, self.threshold)


class Chosen(NamedTuple):
    """The evaluation, the paths of the images to calibrate with and the name of their split."""

    evaluation: Evaluation
    calibration: tuple[str, ...]
    calibration_split: str


def choose_evaluation(
    model: Model, resolved: Resolved, folder: Path, split: str | None, seed: int, shape: Shape, *, required: bool
) -> Chosen | None:
    """Return the evaluation of a model on the labelled images of a folder; None if they are only inputs.

    Data is evaluated if it has splits or the weights are a checkpoint of a training, and the model's outputs are
    known: from the checkpoint, or those of torchvision's published weights for the categories of the data.

    Raises:
        UsageError: it is ``required``, or the checkpoint is that of a training, and the data does not fit; the message
            says why.
        PreparationError: an image is missing or cannot be read.
    """
    trained = resolved.trained
    try:
        return _chosen(model, resolved, folder, split, seed, shape)
    except UsageError:
        if required or (trained is not None and _has_labels(folder)):
            raise
        return None


def _has_labels(folder: Path) -> bool:
    try:
        splits_of(folder)
    except UsageError:
        return False
    return True


def _chosen(model: Model, resolved: Resolved, folder: Path, split: str | None, seed: int, shape: Shape) -> Chosen:
    trained = resolved.trained
    if trained is None and split is None and not splits_of(folder):
        raise UsageError(
            f"{plain(str(folder))} has no splits, so its images are only inputs", "name a split: val, of images that"
            " are divided into train and val"
        )  # fmt: skip
    if resolved.kind == "synthetic":
        raise UsageError(
            f"the weights of {plain(model.name)} are synthetic, so that accuracy on the task means nothing",
            "give trained --weights",
        )
    if trained is not None:
        names: list[tuple[str, ...]] = [(name,) for name in trained.categories]
        preprocessing = msgspec.structs.replace(
            trained.preprocessing, size=shape.input_size or trained.preprocessing.size
        )
        kind = trained.kind
        found = evaluation_split(folder, split, trained.settings.seed)
    else:
        names, preprocessing = _of_catalog(model, shape)
        kind = "single-label"
        found = evaluation_split(folder, split, seed)
    data = found.evaluated
    if kind is not None and kind != data.kind:
        raise UsageError(
            f"the outputs of {plain(model.name)} are {kind}, but the data {plain(data.name)} is {data.kind}",
            "choose data of its kind",
        )
    if not any(image.labels for image in data.images):
        raise UsageError(f"no image of the split {plain(str(data.split))} has a label", "choose another split")
    places = category_places(data.categories, names, model.name, imagenet=trained is None)
    evaluation = Evaluation(
        data=_described(data),
        categories=data.categories,
        outputs=tuple(one[0] for one in names),
        places=tuple(places[category] for category in data.categories),
        preprocessing=preprocessing,
        paths=tuple(image.path for image in data.images),
        labels=tuple(image.labels for image in data.images),
    )
    return Chosen(evaluation, found.calibration, found.calibration_split)


def task_metadata(model: Model, resolved: Resolved, shape: Shape, chosen: Chosen | None) -> TaskMetadata | None:
    """Return what is needed to use a program of a model: its categories and the preparation of images. None if they
    are not known, or the weights are synthetic."""
    trained = resolved.trained
    if trained is not None:
        kind = trained.kind or (chosen.evaluation.data.kind if chosen is not None else None)
        if kind is None:
            return None
        size = shape.input_size or trained.preprocessing.size
        return TaskMetadata(
            categories=trained.categories, kind=kind, model=model.name, outputs="logits",
            preprocessing=msgspec.structs.replace(trained.preprocessing, size=size),
        )  # fmt: skip
    if resolved.kind != "pretrained":
        return None
    try:
        names, preprocessing = _of_catalog(model, shape)
    except UsageError:
        return None
    return TaskMetadata(
        categories=tuple(one[0] for one in names), kind="single-label", model=model.name, outputs="logits",
        preprocessing=preprocessing,
    )  # fmt: skip


def _of_catalog(model: Model, shape: Shape) -> tuple[list[tuple[str, ...]], Preprocessing]:
    known: list[tuple[str, ...]] = []
    if isinstance(model, ModelEntry) and model.image is not None and model.source_kind == "torchvision":
        known = class_names(model, nn.Module()) if model.outputs == "logits" else []
    if not known or not isinstance(model, ModelEntry) or model.image is None:
        raise UsageError(
            f"the categories of the outputs of {plain(model.name)} are not known",
            "give a checkpoint of etui train as --weights, or a classifier of torchvision",
        )
    size = shape.input_size or (model.image.size, model.image.size)
    return known, file_preprocessing(model.image, model.resize, size)


def _described(data: LabelledImages) -> TaskData:
    return TaskData(
        name=data.name,
        split=data.split,
        kind=data.kind,
        images=len(data.images),
        of=len(data.images),
        sha256=data.sha256,
    )
