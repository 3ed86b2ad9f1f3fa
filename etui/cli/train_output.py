"""Trainings as text and as JSON: a list, and one training with its epochs and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from etui import text
from etui.cli.section_text import section_lines
from etui.cli.table import Column, table
from etui.services.train import TrainingFile, can_resume
from etui.task_training import QueuedTraining, TrainedModel
from etui.wording import trainings as wording
from etui.wording.run_sections import RunSection

_LIST = tuple(
    Column(heading, spare=spare) for heading, spare in zip(wording.LIST_HEADINGS, (0, 3, 0, 0, 1, 0, 2, 4), strict=True)
)
_EPOCHS = tuple(Column(heading, right=heading != "metric") for heading in wording.EPOCH_HEADINGS)
_FILES = tuple(Column(heading, right=heading == "size") for heading in wording.FILE_HEADINGS)


def list_text(found: Sequence[QueuedTraining]) -> str:
    """Return trainings as a table."""
    return text.plain(table(_LIST, [wording.list_cells(one) for one in found]), keep_lines=True)


def training_text(training: QueuedTraining, files: Sequence[TrainingFile]) -> str:
    """Return a training with its settings, epochs and files, and how to resume it."""
    lines = [f"training {training.id} of {wording.model_name(training.request.settings)}"]
    lines += section_lines(RunSection(title="", entries=list(wording.entries(training))))
    if training.epochs:
        lines += ["", table(_EPOCHS, [wording.epoch_cells(one) for one in training.epochs])]
    if files:
        rows = [wording.file_cells(training, file.path, file.bytes, file.written_at) for file in files]
        lines += ["", table(_FILES, rows)]
    if can_resume(training):
        lines += ["", resume_line(training)]
    return text.plain("\n".join(lines), keep_lines=True)


def resume_line(training: QueuedTraining) -> str:
    """Return how to continue a training."""
    return f"continue it with: etui train --resume {training.id[:6]}"


def result_text(done: TrainedModel) -> str:
    """Return the result of a training."""
    epoch = [f"best epoch        {done.best_epoch} of {len(done.epochs)}"] if done.epochs else []
    return "\n".join(
        (
            *epoch,
            f"{done.metric:<17} {done.best:.4f} of {done.validation_images} images",
            f"{done.metric + ' of program':<17} {done.program_metric:.4f} ({done.settings.precision}, XNNPACK,"
            f" {text.size(done.program_bytes)})",
            f"output            {done.folder}",
        )
    )


def training_fields(training: QueuedTraining, files: Sequence[TrainingFile] | None = None) -> dict[str, Any]:
    """Return a training as JSON, with the files that it wrote."""
    fields: dict[str, Any] = msgspec.to_builtins(training)
    del fields["claimed_by"], fields["installation"]
    if files is not None:
        fields["files"] = [{"path": str(file.path), "bytes": file.bytes} for file in files]
    return fields
