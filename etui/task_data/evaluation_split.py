"""Choose the images that a session evaluates on, and others of the same data to calibrate with."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from etui.errors import UsageError
from etui.task_data.labelled_images import LabelledImages, split_images
from etui.task_data.reading import list_images, open_labelled_images, splits_of
from etui.text import plain

VALIDATION = "val"
TRAINING = "train"
FRACTIONS = {TRAINING: 0.8, VALIDATION: 0.2}
"""The parts of data without splits, as a training makes them."""


class EvaluationSplit(NamedTuple):
    """The images to evaluate on, and the paths of those to calibrate with, which are in the split ``calibration_split``
    and never evaluated; empty if the data has no training split, or that is the evaluated one."""

    evaluated: LabelledImages
    calibration: tuple[str, ...]
    calibration_split: str


def evaluation_split(folder: Path, split: str | None, seed: int) -> EvaluationSplit:
    """Return the images of a split, None for the validation split. Data without splits is divided as by ``etui train``
    with this seed.

    Raises:
        UsageError: the folder has no labelled images, or not this split.
        PreparationError: annotations are not valid, or an image is missing or cannot be read.
    """
    splits = splits_of(folder)
    if not splits:
        parts = split_images(open_labelled_images(folder, None), FRACTIONS, seed)
        wanted = split or VALIDATION
        if wanted not in parts:
            raise UsageError(f"{plain(str(folder))} has no split {plain(wanted)}", "it is divided into train and val")
        calibration = () if wanted == TRAINING else tuple(image.path for image in parts[TRAINING].images)
        return EvaluationSplit(parts[wanted], calibration, TRAINING)
    evaluated = open_labelled_images(folder, split or VALIDATION)
    training = next((name for name in splits if name.startswith(TRAINING) and name != evaluated.split), None)
    paths: tuple[str, ...] = ()
    if training is not None:
        same = {image.path for image in evaluated.images}
        paths = tuple(image.path for image in list_images(folder, training).images if image.path not in same)
    return EvaluationSplit(evaluated, paths, training or "")
