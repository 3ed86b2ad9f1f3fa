"""Training of a classifier on labelled images: its settings, and what came out of each epoch."""

from __future__ import annotations

from typing import Literal

import msgspec

TrainingLoss = Literal["cross-entropy", "bce", "focal", "asymmetric"]
TrainingOptimizer = Literal["sgd", "adamw"]
Qat = Literal["lsq", "pt2e"]
MetricName = Literal["mAP", "top-1"]

BEST = "best.safetensors"
LAST = "last.safetensors"
PROGRAM = "model.pte"
RESULT = "training.json"
LOGS = "tensorboard"

CALIBRATION_IMAGES = 100
"""The default number of training images that a model is quantized with after training."""

TrainingStatus = Literal["queued", "running", "done", "failed", "cancelled", "timed out", "interrupted"]
LIVE_TRAININGS: frozenset[str] = frozenset({"queued", "running"})


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the result of a training. ``model`` is a reference as of ``etui.catalog.find``; ``size`` the height
    and width of the inputs in pixels; ``loss`` None is binary cross entropy for multi-label data, cross entropy for
    single-label data. ``initial`` is the file of the first weights, or ``pretrained``; None for random weights.
    ``least_area`` is the smallest part of the area of an image that a random crop keeps, 1 for no crop; None is 0.8 for
    multi-label data, which loses labelled objects otherwise, and 0.4 for single-label data. ``calibration`` is the
    number of training images that the initial weights are quantized with instead of being trained (PTQ); None:
    train."""

    model: str
    train_split: str = "train"
    validation_split: str = "val"
    epochs: int = 50
    batch: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 1e-4
    momentum: float = 0.9
    optimizer: TrainingOptimizer = "sgd"
    loss: TrainingLoss | None = None
    amp: bool = False
    size: int = 224
    flip: bool = True
    least_area: float | None = None
    calibration: int | None = None

    @property
    def precision(self) -> str:
        """The precision of the program."""
        return "FP32" if self.qat is None and self.calibration is None else "INT8"

    seed: int = 0
    qat: Qat | None = None
    keep_fp32: tuple[str, ...] | None = None
    initial: str | None = None


class EpochFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch: the mean training loss, the metric on the validation split and its name (None in earlier versions),
    the learning rate at its end, training images per second, and the share of the training time that was spent waiting
    for data."""

    epoch: int
    loss: float
    metric: float
    learning_rate: float
    images_per_second: float
    waiting_share: float
    metric_name: MetricName | None = None


class StepFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of an epoch, counted from 1: its loss and learning rate, and the images per second of the epoch so
    far."""

    epoch: int
    loss: float
    learning_rate: float
    images_per_second: float


class TrainingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is queued: the settings, the absolute paths of the ``data`` and of the output ``folder``, and how it is
    executed. ``checkpoint_batches`` is the number of batches between two checkpoints of an epoch, 0 for none;
    ``threads`` None is all cores."""

    settings: TrainingSettings
    data: str
    folder: str
    resume: bool = False
    checkpoint_batches: int = 0
    threads: int | None = None


class TrainedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A training that ended. ``program_metric`` is the metric of the program, ``best`` that of the checkpoint it was
    made from, on the same images. Hashes are those of the splits. With PTQ there are no epochs, and ``best_epoch`` is
    0."""

    settings: TrainingSettings
    folder: str
    kind: Literal["multi-label", "single-label"]
    metric: MetricName
    categories: tuple[str, ...]
    training_images: int
    validation_images: int
    training_sha256: str
    validation_sha256: str
    epochs: list[EpochFigures]
    best: float
    best_epoch: int
    program_metric: float
    program_bytes: int
    torch_version: str = ""
    at: str = ""


class QueuedTraining(msgspec.Struct, frozen=True, kw_only=True):
    """A training in the database: its request, its status, the figures of its epochs so far, and its result if it is
    done. ``box`` is the host and ``installation`` the Python environment that it was queued on, ``claimed_by`` the
    runner that executes it."""

    id: str
    request: TrainingRequest
    status: TrainingStatus
    created_at: str
    epochs: list[EpochFigures] = []
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    result: TrainedModel | None = None
    box: str = ""
    installation: str = ""
    claimed_by: str | None = None

    @property
    def live(self) -> bool:
        """Whether it is queued or running."""
        return self.status in LIVE_TRAININGS
