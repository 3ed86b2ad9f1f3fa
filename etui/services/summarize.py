"""Summarize a model in a separate process, or return the summary made before of the same files and versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from etui.catalog.find import UserModel, find_model
from etui.catalog.models import MODELS
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.jobs import SummaryJob
from etui.model_summary import ModelSummary
from etui.results import RunDocument
from etui.runner.rebuild_program import Trust, trusted_origin, variant_of
from etui.services.kept_result import Kind, kept_result
from etui.services.shapes import check_shape
from etui.spec import OWN_SHAPE, Shape
from etui.text import plain

LIMIT_S = 300.0

_FOLDER = "summaries"
_VERSION = 2
"""Increase it when the same model gives another summary than before."""


class SummaryTimedOut(EtuiError):
    """Summarizing took too long."""

    exit_status = EXIT_TIMED_OUT


class Request(NamedTuple):
    """What to summarize: a model by name or path, at a shape of its inputs."""

    model: str
    shape: Shape = OWN_SHAPE
    seed: int = 0
    allow_pickle: bool = False


def request_of_run(document: RunDocument, trust: Trust) -> Request:
    """Return the request for the model of a run, at the shape of the run.

    Raises:
        Untrusted: the run was imported and names a file that the user has not allowed.
        UsageError: the document does not contain what it was made from.
    """
    shape, entry = variant_of(document).shape, MODELS.get(document.model.name)
    # Other models may have the name of a catalog model: a user's resnet18.pt2, or hf:FOLDER/distilbert.
    if entry is not None and entry.source == document.model.source:  # no file of the run is read
        return Request(entry.name, shape)
    origin = trusted_origin(document, trust)
    return Request(origin.model, shape, origin.seed, origin.allow_pickle)


def summarize(
    request: Request,
    *,
    limit_s: float = LIMIT_S,
    begin: Callable[[str], object] = lambda text: None,
    stopped: Callable[[], bool] = lambda: False,
) -> ModelSummary:
    """Return the summary of a model.

    ``begin`` is called with a line on what is done, if that may take longer than a moment. The model is built and
    called in a separate process of low priority, which ends with this function, and soon after ``stopped`` returns
    True. A summary is kept in the cache, and not made again while the model's files and the installed packages are
    unchanged.

    Raises:
        UsageError: there is no such model, it is a finished program, or it does not take the shape.
        SummaryTimedOut: it took longer than ``limit_s`` seconds.
        EtuiError: the model cannot be loaded or called; the message says why.
    """
    model = find_model(request.model)
    if isinstance(model, UserModel) and model.kind == "pte":
        name = plain(request.model)
        raise UsageError(
            f"{name} is a finished program, which has no modules",
            f"see its contents with `etui inspect {name}`",
            screen_hint="its contents are in the tab Artifact of a run's details",
        )
    check_shape(model, request.shape)
    job = SummaryJob(model=model.reference, shape=request.shape, seed=request.seed, allow_pickle=request.allow_pickle)
    return kept_result(
        job,
        model,
        Kind(ModelSummary, folder=_FOLDER, version=_VERSION, doing="summarizing", files=lambda made: made.files),
        timed_out=SummaryTimedOut,
        limit_s=limit_s,
        begin=begin,
        stopped=stopped,
    )
