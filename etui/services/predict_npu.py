"""Predict a model on an Arm Ethos-U, in separate processes; nothing is measured or stored."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from etui import paths
from etui.catalog.find import Model, UserModel, find_model
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.events import Event
from etui.host import npu_environment
from etui.jobs import BundleJob, JobFor, NpuJob, R
from etui.npu_prediction import NpuPrediction
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.services.request import check_weights
from etui.services.shapes import check_shape
from etui.spec import DEFAULT_ACCURACY_INPUTS, DEFAULT_CALIBRATION_COUNT, OWN_SHAPE, Shape
from etui.text import plain

LIMIT_S = 1800.0

Say = Callable[[str], object]


class PredictionTimedOut(EtuiError):
    """The prediction took too long."""

    exit_status = EXIT_TIMED_OUT


class NpuRequest(NamedTuple):
    """What to predict: a model by name or path with its weights, at a shape of its inputs, on an NPU."""

    model: str
    npu: str
    shape: Shape = OWN_SHAPE
    weights: str = "auto"
    seed: int = 0
    calibration_count: int = DEFAULT_CALIBRATION_COUNT
    allow_pickle: bool = False


def check_environment(environment: Path) -> str:
    """Return the Python of an environment with the tools. Raises UsageError, with how to make one, if it is not one."""
    if problem := npu_environment.problem(environment):
        raise UsageError(
            f"predicting needs Arm's tools in an environment of their own: {problem}",
            "make it with `etui predict --make-env`, or name one with --env",
        )
    return str(npu_environment.python_of(environment))


def predict(
    request: NpuRequest,
    environment: Path,
    *,
    limit_s: float = LIMIT_S,
    begin: Say = lambda text: None,
    stopped: Callable[[], bool] = lambda: False,
) -> NpuPrediction:
    """Return what Vela predicts for a model in static INT8, with the tools of ``environment``.

    The model, its weights and its inputs are those of a run with the same options. All work is done in separate
    processes of low priority, which end with this function, and soon after ``stopped`` returns True. ``begin`` is
    called with a line on what is done.

    Raises:
        UsageError: there is no such model or environment, it is a finished program, or it does not take the shape.
        PredictionTimedOut: it took longer than ``limit_s`` seconds.
        JobStopped: ``stopped`` returned True.
        EtuiError: the model cannot be loaded, exported or lowered; the message says why.
    """
    model = find_model(request.model)
    if isinstance(model, UserModel) and model.kind == "pte":
        raise UsageError(
            f"{plain(request.model)} is a finished program, which cannot be lowered again",
            "give the model that it was made from",
        )
    check_shape(model, request.shape)
    weights, python = check_weights(request.weights), check_environment(environment)
    until = time.monotonic() + limit_s
    one = _Prediction(model, limit_s, until, begin, stopped)
    bundle = one.do(
        BundleJob(
            model=model.reference,
            weights=weights,
            seed=request.seed,
            accuracy_inputs=DEFAULT_ACCURACY_INPUTS,
            calibration_count=request.calibration_count,
            cache_dir=str(paths.cache_dir()),
            allow_pickle=request.allow_pickle,
            shape=request.shape,
        )
    )
    with tempfile.TemporaryDirectory(prefix="etui-npu-") as work:
        return one.do(
            NpuJob(
                bundle=bundle.path,
                model=model.reference,
                npu=request.npu,
                calibration_count=request.calibration_count,
                python=python,
                work=work,
            )
        )


class _Prediction:
    """The jobs of one prediction, which share a time limit."""

    def __init__(self, model: Model, limit_s: float, until: float, begin: Say, stopped: Callable[[], bool]) -> None:
        self._model = model
        self._limit_s = limit_s
        self._until = until
        self._begin = begin
        self._stopped = stopped

    def do(self, job: JobFor[R]) -> R:
        """Return the result of a job; its failure is raised in the words of this command."""
        name = plain(self._model.name)
        try:
            left_s = max(0.1, self._until - time.monotonic())
            return run_job(job, limit_s=left_s, log=self._log, stopped=self._stopped)
        except JobFailed as error:
            raise EtuiError(error.message, hint_without_log(error, self._model)) from error
        except JobTimedOut as error:
            raise PredictionTimedOut(
                f"predicting {name} took longer than {self._limit_s:g} s", "set a longer limit with --timeout"
            ) from error
        except JobCrashed as error:
            raise EtuiError(
                error.message.replace("the model", name, 1),
                "free memory on the machine" if error.killed else "check the model's file",
            ) from error

    def _log(self, event: Event) -> None:
        if event.kind == "stage":
            message = event.message.removesuffix(plain(self._model.name)).rstrip()
            self._begin(f"{plain(self._model.name)}: {message} ..")
