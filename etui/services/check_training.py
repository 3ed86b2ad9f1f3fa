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
from etui.training_check import LossName, OptimizerName, TrainingCheck, TrainingStep

LIMIT_S = 600.0
STEPS = 20

_FOLDER = "training-checks"


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is trained: optimizers, the loss of the first output (None: chosen by the outputs), steps, learning
    rate (None: several are tried), batch (None: that of the example inputs), a folder of inputs, and the seed."""

    optimizers: tuple[OptimizerName, ...] = ("adamw",)
    loss: LossName | None = None
    steps: int = STEPS
    learning_rate: float | None = None
    batch: int | None = None
    data: Path | None = None
    seed: int = 0


class TrainingTimedOut(EtuiError):
    """The check took too long."""

    exit_status = EXIT_TIMED_OUT


def check_training(
    text: str,
    options: TrainingOptions,
    *,
    limit_s: float = LIMIT_S,
    begin: Callable[[str], object] = lambda text: None,
    step: Callable[[TrainingStep], object] = lambda step: None,
    stopped: Callable[[], bool] = lambda: False,
) -> TrainingCheck:
    """Train a model, given by name or path, for a few steps with each optimizer, and return what was observed.

    The model is trained in a separate process of low priority, which ends with this function, and soon after
    ``stopped`` returns True. ``begin`` is called with a line on what is done, ``step`` after each step. The result is
    kept for ``last_check``.

    Raises:
        UsageError: there is no such model, it cannot be trained by its kind, or the loss or data do not fit.
        TrainingTimedOut: it took longer than ``limit_s`` seconds.
        JobStopped: ``stopped`` returned True.
        EtuiError: the model cannot be loaded, called or trained; the message says why.
    """
    model = _trainable(text)
    if options.data is not None:
        data_files(options.data)
    job = TrainingJob(
        model=model.reference,
        optimizers=options.optimizers,
        steps=options.steps,
        seed=options.seed,
        loss=options.loss,
        learning_rate=options.learning_rate,
        batch=options.batch,
        data=None if options.data is None else str(options.data.absolute()),
    )
    name = plain(model.name)

    def log(event: Event) -> None:
        if event.kind == "stage":
            begin(f"{name}: {event.message} ..")
        elif event.kind == "progress":
            done, total, left_s = event.done or 0, event.total or 0, event.left_s or 0.0
            step(
                TrainingStep(
                    optimizer=event.stage or "",
                    text=event.message,
                    step=int(done),
                    steps=int(total),
                    loss=event.loss,
                    left_s=left_s,
                )
            )

    try:
        checked = run_job(job, limit_s=limit_s, log=log, stopped=stopped)
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
    found = kept_check(text)
    if found is None:
        raise UsageError(f"{plain(text)} has no training check that can be read", "check it without --last")
    return found


def kept_check(text: str) -> TrainingCheck | None:
    """Return the last check of a model; None if there is none that can be read.

    Raises:
        UsageError: there is no such model, or it cannot be trained by its kind.
    """
    model = _trainable(text)
    try:
        return msgspec.json.decode(_file(model).read_bytes(), type=TrainingCheck)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


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
