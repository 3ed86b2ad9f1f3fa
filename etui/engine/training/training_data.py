"""The data of a training: its splits, their batches, and the metric of a model on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from etui.analysis import task_metrics
from etui.engine.training.batches import Batch, Batches
from etui.errors import PreparationError
from etui.task_data.evaluation_split import FRACTIONS, TRAINING, VALIDATION
from etui.task_data.labelled_images import LabelledImages, split_images
from etui.task_data.preprocessing import Preprocessing
from etui.task_data.reading import open_labelled_images, splits_of
from etui.task_training import MetricName, TrainingLoss, TrainingSettings

_LEAST_AREA = {"multi-label": 0.8, "single-label": 0.4}
"""The smallest part of an image that a crop keeps. An image with several labels loses objects with a smaller crop, but
not their labels."""


class TrainingData:
    """The training and the validation split of a folder, with the same categories."""

    def __init__(self, folder: Path, settings: TrainingSettings, threads: int) -> None:
        """Read the splits.

        Raises:
            UsageError: the data set does not have the splits.
            PreparationError: the splits differ in their categories, or the validation split has no labels.
        """
        self._settings = settings
        if splits_of(folder):
            self.training = open_labelled_images(folder, settings.train_split)
            self.validation = open_labelled_images(folder, settings.validation_split)
        else:
            parts = split_images(open_labelled_images(folder, None), FRACTIONS, settings.seed)
            self.training, self.validation = parts[TRAINING], parts[VALIDATION]
        _check(self.training, self.validation)
        self.kind, self.categories = self.training.kind, self.training.categories
        self.preprocessing = Preprocessing((settings.size, settings.size))
        self._training = Batches(folder, self.training, self.preprocessing, threads)
        self._validation = Batches(folder, self.validation, self.preprocessing, threads)

    @property
    def metric_name(self) -> MetricName:
        """The metric of the kind of data."""
        return "mAP" if self.kind == "multi-label" else "top-1"

    @property
    def default_loss(self) -> TrainingLoss:
        """The loss of the kind of data."""
        return "bce" if self.kind == "multi-label" else "cross-entropy"

    @property
    def least_area(self) -> float:
        """The smallest part of an image that a crop keeps."""
        chosen = self._settings.least_area
        return _LEAST_AREA[self.kind] if chosen is None else chosen

    def training_batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number ``first`` on, with augmented images."""
        settings = self._settings
        return self._training.training(
            settings.batch, seed=settings.seed, epoch=epoch, first=first, flip=settings.flip, least_area=self.least_area
        )

    def example(self, size: int) -> torch.Tensor:
        """Return up to ``size`` images of the validation split, [N, 3, H, W]."""
        return next(self._validation.evaluation(size)).images

    def calibration(self, count: int) -> list[torch.Tensor]:
        """Return ``count`` images of the training split, at most all, drawn by the seed and prepared as for a program;
        each is [1, 3, H, W]."""
        return list(self._training.drawn(count, self._settings.seed))

    def metric(self, compute: Callable[[torch.Tensor], torch.Tensor], size: int) -> float:
        """Return mAP over the categories with positives, or top-1, of logits on the validation split, computed with
        batches of ``size`` images.

        Raises EtuiError if a logit is not a number.
        """
        batches = [(compute(batch.images), batch.targets) for batch in self._validation.evaluation(size)]
        logits = torch.cat([one for one, _ in batches]).numpy()
        targets = torch.cat([one for _, one in batches])
        if self.kind == "single-label":
            targets = torch.nn.functional.one_hot(targets, len(self.categories))
        scores = task_metrics.probabilities(logits, self.kind)
        found = task_metrics.evaluate(scores, targets.numpy() > 0, self.kind, resamples=0)
        value = found.mean_average_precision if self.kind == "multi-label" else found.top1
        assert value is not None  # the validation split has labels
        return value.value


def _check(training: LabelledImages, validation: LabelledImages) -> None:
    if training.kind != validation.kind or training.categories != validation.categories:
        raise PreparationError("the splits have different categories", "see etui data check")
    if not any(image.labels for image in validation.images):
        raise PreparationError("no image of the validation split has a label", "see etui data check")
