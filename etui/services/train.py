"""Train a classifier in a separate process under the machine lock."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from etui.catalog.find import UserModel, find_model
from etui.errors import EtuiError, UsageError
from etui.events import Event
from etui.host.cpus import usable_cores
from etui.jobs import TrainJob
from etui.paths import cache_dir
from etui.runner.machine_lock import hold
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, run_job
from etui.task_training import TrainedModel, TrainingSettings
from etui.text import plain


def train(
    settings: TrainingSettings,
    data: Path,
    folder: Path,
    *,
    resume: bool = False,
    checkpoint_batches: int = 0,
    threads: int | None = None,
    log: Callable[[Event], object] = lambda event: None,
    waiting: Callable[[str], None] = lambda text: None,
) -> TrainedModel:
    """Train the model of ``settings`` on the labelled images of ``data``, with checkpoints in ``folder``.

    The work is done in a separate process, which ends with this function; the last checkpoint remains if it is
    interrupted. ``log`` is called with its events, ``waiting`` with a line if the machine is not free.

    Raises:
        UsageError: there is no such model, or it cannot be trained by its kind.
        EtuiError: the training failed; the message says why.
    """
    model = find_model(settings.model)
    if isinstance(model, UserModel) and model.kind != "factory":
        raise UsageError(f"{plain(settings.model)} is not source code", "give FILE.py:FACTORY of the model")
    job = TrainJob(
        settings=settings, data=str(data.absolute()), folder=str(folder.absolute()), cache_dir=str(cache_dir()),
        resume=resume,
        checkpoint_batches=checkpoint_batches, threads=threads or usable_cores(),
    )  # fmt: skip
    try:
        return asyncio.run(_held(job, log, waiting))
    except JobFailed as error:
        kind = UsageError if error.kind == "UsageError" else EtuiError
        raise kind(error.message, hint_without_log(error, model)) from error
    except JobCrashed as error:
        raise EtuiError(
            error.message, "use a smaller --batch" if error.killed else "continue it with --resume"
        ) from error


async def _held(job: TrainJob, log: Callable[[Event], object], waiting: Callable[[str], None]) -> TrainedModel:
    stopped = threading.Event()
    async with hold("etui train", waiting):
        try:
            work = partial(run_job, job, limit_s=math.inf, log=log, stopped=stopped.is_set, nice=0)
            return await asyncio.to_thread(work)
        finally:
            stopped.set()
