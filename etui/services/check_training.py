"""Check in a separate process whether a model trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.catalog.find import Model, UserModel, find_model
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.events import Event, utc_now
from etui.files.data_files import data_files
from etui.host.environment import read_environment
from etui.jobs import TrainingJob
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.store.queue import new_id, storable
from etui.text import plain
from etui.training_check import StoredCheck, TrainingCheck, TrainingOptions, TrainingStep

LIMIT_S = 600.0


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
    keep: Callable[[StoredCheck], object] = lambda stored: None,
) -> TrainingCheck:
    """Train a model, given by name or path, for a few steps with each optimizer, and return what was observed.

    The model is trained in a separate process of low priority, which ends with this function, and soon after
    ``stopped`` returns True. ``begin`` is called with a line on what is done, ``step`` after each step, and
    ``keep`` with what is to be stored: the result, or the error of a check that began and failed.

    Raises:
        UsageError: there is no such model, it cannot be trained by its kind, or the loss or data do not fit.
        TrainingTimedOut: it took longer than ``limit_s`` seconds.
        JobStopped: ``stopped`` returned True.
        EtuiError: the model cannot be loaded, called or trained; the message says why.
    """
    model = _trainable(text)
    data = None if options.data is None else Path(options.data).absolute()
    if data is not None:
        data_files(data)
        options = msgspec.structs.replace(options, data=str(data))
    job = TrainingJob(
        model=model.reference,
        optimizers=options.optimizers,
        steps=options.steps,
        seed=options.seed,
        loss=options.loss,
        learning_rate=options.learning_rate,
        batch=options.batch,
        data=options.data,
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
    except (JobFailed, JobTimedOut, JobCrashed) as failure:
        error = _explained(failure, model, limit_s)
        if not isinstance(error, UsageError):
            keep(_stored(model, options, error=storable(error.message)))
        raise error from failure
    keep(_stored(model, options, check=checked))
    return checked


def _explained(error: JobFailed | JobTimedOut | JobCrashed, model: Model, limit_s: float) -> EtuiError:
    name = plain(model.name)
    if isinstance(error, JobFailed):
        kind = UsageError if error.kind == "UsageError" else EtuiError
        return kind(error.message, hint_without_log(error, model))
    if isinstance(error, JobTimedOut):
        return TrainingTimedOut(
            f"training {name} took longer than {limit_s:g} s",
            "set a longer limit with --timeout, or fewer --steps or a smaller --batch",
            screen_hint="",
        )
    return EtuiError(
        error.message.replace("the model", name, 1),
        "choose a smaller --batch, or free memory on the machine" if error.killed else "check the model's file",
    )


def _stored(
    model: Model, options: TrainingOptions, *, check: TrainingCheck | None = None, error: str | None = None
) -> StoredCheck:
    environment = read_environment()
    return StoredCheck(
        id=new_id(),
        created_at=utc_now(),
        model=storable(model.name),
        reference=storable(model.reference),
        options=msgspec.structs.replace(options, data=None if options.data is None else storable(options.data)),
        box=environment.box,
        cpu=environment.cpu,
        versions=environment.versions,
        check=check,
        error=error,
    )


def reference_of(text: str) -> str:
    """Return what the stored checks of a model are found by.

    Raises:
        UsageError: there is no such model, or it cannot be trained by its kind.
    """
    return storable(_trainable(text).reference)


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
