"""Trainings for tests: requests, figures and results that no training made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etui.task_training import EpochFigures, TrainedModel, TrainingRequest, TrainingSettings


def make_request(
    folder: str = "/out", *, data: str = "/data", resume: bool = False, **settings: Any
) -> TrainingRequest:
    """Return a request to train resnet18 for two epochs."""
    chosen = TrainingSettings(**{"model": "resnet18", "epochs": 2, "batch": 8, **settings})
    return TrainingRequest(settings=chosen, data=data, folder=folder, resume=resume)


def make_epoch(epoch: int, metric: float = 0.25) -> EpochFigures:
    """Return the figures of an epoch."""
    return EpochFigures(
        epoch=epoch, loss=1.0 / epoch, metric=metric, learning_rate=0.1 / epoch, images_per_second=10.0,
        waiting_share=0.0, metric_name="mAP",
    )  # fmt: skip


def make_trained(request: TrainingRequest, epochs: int = 2) -> TrainedModel:
    """Return the result of a request."""
    figures = [make_epoch(number, 0.25 * number) for number in range(1, epochs + 1)]
    return TrainedModel(
        settings=request.settings, folder=request.folder, kind="multi-label", metric="mAP", categories=("a", "b"),
        training_images=8, validation_images=4, training_sha256="1", validation_sha256="2", epochs=figures,
        best=figures[-1].metric, best_epoch=epochs, program_metric=0.125, program_bytes=1_000_000,
    )  # fmt: skip


def make_image_folder(folder: Path) -> Path:
    """Make the folders of a data set with the splits train and val, without valid images."""
    for split in ("train", "val"):
        for category in ("a", "b"):
            place = folder / split / category
            place.mkdir(parents=True)
            (place / "1.png").write_bytes(b"")
    return folder
