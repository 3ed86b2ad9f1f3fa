"""Queue trainings of classifiers, resume them, and find and delete the files that they wrote."""

from __future__ import annotations

import contextlib
import shutil
import socket
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from etui.catalog.find import UserModel, find_model
from etui.errors import EtuiError, StoreError, UsageError
from etui.paths import installation
from etui.runner.start import RunnerFailed, check_owner, recover, start_and_check
from etui.store import Store
from etui.task_data.program_metadata import metadata_path
from etui.task_data.reading import check_split
from etui.task_training import (
    BEST,
    LAST,
    LOGS,
    PROGRAM,
    RESULT,
    Qat,
    QueuedTraining,
    TrainingOptimizer,
    TrainingRequest,
)
from etui.text import plain

_CHECKPOINTS = (BEST, LAST)

_RATES: dict[TrainingOptimizer, float] = {"sgd": 0.1, "adamw": 0.001}
_QAT_RATE, _QAT_DECAY = 0.1, 0.5

_CLOCK_SLACK_S = 2.0
"""The times of files can be coarser than those of the database."""


class TrainingFile(NamedTuple):
    """A file or folder that a training wrote, with its bytes and when it was last written (seconds since 1970)."""

    path: Path
    bytes: int
    written_at: float


def default_rates(optimizer: TrainingOptimizer, qat: Qat | None) -> tuple[float, float]:
    """Return the usual learning rate and weight decay of an optimizer: with QAT a tenth of the rate and half of the
    decay."""
    rate, decay = _RATES[optimizer], 1e-4
    return (rate * _QAT_RATE, decay * _QAT_DECAY) if qat else (rate, decay)


def check_request(request: TrainingRequest) -> None:
    """Check what can be checked before a training is queued.

    Raises:
        UsageError: there is no such model, it cannot be trained by its kind, the data set does not have the splits, or
            the folder has the checkpoints of another training.
    """
    model = find_model(request.settings.model)
    if isinstance(model, UserModel) and model.kind != "factory":
        raise UsageError(f"{plain(request.settings.model)} is not source code", "give FILE.py:FACTORY of the model")
    for split in (request.settings.train_split, request.settings.validation_split):
        check_split(Path(request.data), split)
    folder = Path(request.folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{plain(request.folder)} is not a folder", "select another folder")
    has_checkpoints = any((folder / name).exists() for name in _CHECKPOINTS)
    if has_checkpoints and not request.resume:
        raise UsageError(
            f"{plain(request.folder)} has the checkpoints of a training", "continue it with --resume, or use another -o"
        )
    if request.settings.calibration is not None and (folder / RESULT).exists():
        raise UsageError(f"{plain(request.folder)} has the result of a training", "use another -o")
    if request.resume and not (folder / LAST).exists():
        raise UsageError(f"{plain(str(folder / LAST))} does not exist", "train without --resume")


def submit_training(store: Store, request: TrainingRequest) -> QueuedTraining:
    """Queue a training, or the one of the same folder again if the request is to resume it, and ensure that a runner is
    alive; if none can be started, the training is cancelled.

    Raises:
        UsageError: see ``check_request``, or a live training writes into the same folder.
        RunnerFailed: no runner can be started.
        StoreError: the database cannot be written.
    """
    check_owner(store.path)
    recover(store)
    before = next((one for one in store.trainings() if one.request.folder == request.folder), None)
    return _submit(store, request, before if request.resume else None)


def resume_training(store: Store, prefix: str) -> QueuedTraining:
    """Queue a training that has ended without a result again: from its last checkpoint, or from the beginning if it has
    none.

    Raises:
        UsageError: there is no such training, it is live or done, or see ``check_request``.
        RunnerFailed: no runner can be started.
        StoreError: the database cannot be written.
    """
    check_owner(store.path)
    recover(store)
    training = store.training(prefix)
    if training.status == "done":
        raise UsageError(f"training {training.id[:6]} is done", "train into another folder for more epochs")
    resume = (Path(training.request.folder) / LAST).exists()
    return _submit(store, msgspec.structs.replace(training.request, resume=resume), training)


def _submit(store: Store, request: TrainingRequest, again: QueuedTraining | None) -> QueuedTraining:
    host, own = socket.gethostname(), installation()
    if again is not None and again.live:
        raise UsageError(f"training {again.id[:6]} is {again.status}", "wait for its end, or cancel it")
    check_request(request)
    if again is None:
        queued = store.add_training(request, box=host, installation=own)
    else:
        queued = store.queue_training_again(again.id, request, box=host, installation=own)
    try:
        start_and_check(store.path)
    except RunnerFailed as error:
        with contextlib.suppress(StoreError):
            store.request_training_cancel([queued.id], str(error))
        raise
    return queued


def can_resume(training: QueuedTraining) -> bool:
    """Whether the training ended without a result, and its folder has the checkpoint to continue from."""
    return not training.live and training.status != "done" and (Path(training.request.folder) / LAST).exists()


def files_of(store: Store, training: QueuedTraining) -> list[TrainingFile]:
    """Return the files in the folder of a training that it wrote: none if a later training has the same folder, and
    none of before it was queued."""
    folder = Path(training.request.folder)
    if any(one.request.folder == str(folder) and one.created_at > training.created_at for one in store.trainings()):
        return []
    begun = 0.0 if training.request.resume else datetime.fromisoformat(training.created_at).timestamp() - _CLOCK_SLACK_S
    found = []
    for name in (BEST, LAST, PROGRAM, metadata_path(Path(PROGRAM)).name, RESULT, LOGS):
        path = folder / name
        with contextlib.suppress(OSError):
            state = path.lstat()
            if path.is_symlink() or state.st_mtime < begun:
                continue
            count = sum(one.lstat().st_size for one in path.rglob("*")) if path.is_dir() else state.st_size
            found.append(TrainingFile(path, count, state.st_mtime))
    return found


def delete_training(store: Store, training: QueuedTraining, *, files: bool) -> list[TrainingFile]:
    """Delete a training that has ended, and with ``files`` what it wrote; return the deleted files. The folder is
    removed if nothing else is in it.

    Raises:
        UsageError: it is live.
        EtuiError: a file cannot be deleted; the training is kept.
        StoreError: the database cannot be written.
    """
    if training.live:
        raise UsageError(f"training {training.id[:6]} is {training.status}", "cancel it first")
    removed = files_of(store, training) if files else []
    for file in removed:
        try:
            if file.path.is_dir():
                shutil.rmtree(file.path)
            else:
                file.path.unlink()
        except OSError as error:
            raise EtuiError(
                f"cannot delete {plain(str(file.path))} ({error.strerror or error})", "check its folder"
            ) from error
    if files:
        with contextlib.suppress(OSError):
            Path(training.request.folder).rmdir()
    store.delete_training(training.id)
    return removed
