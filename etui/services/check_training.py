"""Check in a separate process whether a model trains, and keep the last check of each model."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.catalog.find import Model, UserModel, find_model
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.events import Event
from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.files.data_files import data_files
from etui.jobs import TrainingJob
from etui.paths import state_dir
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.text import plain
from etui.training_check import LossName, OptimizerName, TrainingCheck

LIMIT_S = 600.0
STEPS = 20

_FOLDER = "training-checks"


class TrainingTimedOut(EtuiError):
    """The check took too long."""

    exit_status = EXIT_TIMED_OUT


def check_training(
    text: str,
    *,
    optimizers: tuple[OptimizerName, ...] = ("adamw",),
    loss: LossName | None = None,
    steps: int = STEPS,
    learning_rate: float | None = None,
    batch: int | None = None,
    data: Path | None = None,
    seed: int = 0,
    limit_s: float = LIMIT_S,
    begin: Callable[[str], object] = lambda text: None,
) -> TrainingCheck:
    """Train a model, given by name or path, for a few steps with each optimizer, and return what was observed.

    The model is trained in a separate process of low priority, which ends with this function. ``begin`` is called with
    a line on what is done. The result is kept for ``last_check``.

    Raises:
        UsageError: there is no such model, it cannot be trained by its kind, or the loss or data do not fit.
        TrainingTimedOut: it took longer than ``limit_s`` seconds.
        EtuiError: the model cannot be loaded, called or trained; the message says why.
    """
    model = _trainable(text)
    if data is not None:
        data_files(data)
    job = TrainingJob(
        model=model.reference,
        optimizers=optimizers,
        steps=steps,
        seed=seed,
        loss=loss,
        learning_rate=learning_rate,
        batch=batch,
        data=None if data is None else str(data.absolute()),
    )
    name = plain(model.name)

    def log(event: Event) -> None:
        if event.kind == "stage":
            begin(f"{name}: {event.message} ..")

    try:
        checked = run_job(job, limit_s=limit_s, log=log)
    except JobFailed as error:
        kind = UsageError if error.kind == "UsageError" else EtuiError
        raise kind(error.message, hint_without_log(error, model)) from error
    except JobTimedOut as error:
        raise TrainingTimedOut(
            f"training {name} took longer than {limit_s:g} s",
            "set a longer limit with --timeout, or fewer --steps or a smaller --batch",
            screen_hint="",
        ) from error
    except JobCrashed as error:
        raise EtuiError(
            error.message.replace("the model", name, 1),
            "choose a smaller --batch, or free memory on the machine" if error.killed else "check the model's file",
        ) from error
    with contextlib.suppress(OSError, EtuiError):
        file = _file(model)
        private_files.make_folder(file.parent, own=True)
        write_file(file, msgspec.json.encode(checked), force=True, private=True)
    return checked


def last_check(text: str) -> TrainingCheck:
    """Return the last check of a model.

    Raises:
        UsageError: there is no such model, or it was not checked yet.
    """
    model = _trainable(text)
    try:
        return msgspec.json.decode(_file(model).read_bytes(), type=TrainingCheck)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"{plain(model.name)} has no training check that can be read", "check it without --last"
        ) from error


def _trainable(text: str) -> Model:
    model = find_model(text)
    if isinstance(model, UserModel) and model.kind != "factory":
        what = "a finished program" if model.kind == "pte" else "an exported program"
        raise UsageError(
            f"{plain(text)} is {what}, which cannot be trained",
            "give the FILE.py:FACTORY of the model that it was made from",
            screen_hint="choose the model that it was made from",
        )
    return model


def _file(model: Model) -> Path:
    digest = hashlib.sha256(model.reference.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return state_dir() / _FOLDER / f"{digest}.json"
