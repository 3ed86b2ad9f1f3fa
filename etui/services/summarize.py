"""Summarize a model in a separate process, or return the summary made before of the same files and versions."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from etui import __version__
from etui.catalog.find import UserModel, find_model
from etui.catalog.models import MODELS
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.files.hashing import file_stamp, is_settled
from etui.jobs import SummaryJob
from etui.model_summary import ModelSummary
from etui.paths import cache_dir
from etui.results import RunDocument
from etui.runner.program_cache import installed_versions
from etui.runner.rebuild_program import Trust, trusted_origin, variant_of
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
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


class _Kept(msgspec.Struct, frozen=True):
    """A summary, and the stamps of the files that it depends on."""

    stamps: dict[str, str]
    summary: ModelSummary


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
    record = cache_dir() / _FOLDER / f"{_key(job)}.json"
    if (kept := _kept(record)) is not None:
        return kept
    begin(f"summarizing {plain(model.name)} ..")
    try:
        summary = run_job(job, limit_s=limit_s, stopped=stopped)
    except JobFailed as error:
        raise EtuiError(error.message, hint_without_log(error, model)) from error
    except JobTimedOut as error:
        raise SummaryTimedOut(
            f"summarizing {plain(model.name)} took longer than {limit_s:g} s",
            "set a longer limit with --timeout",
            screen_hint="",
        ) from error
    except JobCrashed as error:
        raise EtuiError(
            error.message.replace("the model", plain(model.name), 1),
            "free memory on the machine" if error.killed else "check the model's file",
        ) from error
    _keep(record, summary)
    return summary


def _key(job: SummaryJob) -> str:
    """Return the name of a summary: everything that decides it except the content of files."""
    described = (__version__, _VERSION, sorted(installed_versions().items()), job)
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:32]


def _kept(record: Path) -> ModelSummary | None:
    """Return the summary that was kept, if every file that it depends on is unchanged."""
    try:
        kept = msgspec.json.decode(record.read_bytes(), type=_Kept)
        unchanged = all(file_stamp(Path(path)) == stamp for path, stamp in kept.stamps.items())
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return kept.summary if unchanged else None


def _keep(record: Path, summary: ModelSummary) -> None:
    """Keep a summary; does nothing if a file has just been written, or if the cache is not writable."""
    with contextlib.suppress(OSError, EtuiError):
        paths = [Path(file) for file in summary.files]
        if all(is_settled(path) for path in paths):
            private_files.make_folder(record.parent, own=True)
            kept = _Kept({str(path): file_stamp(path) for path in paths}, summary)
            write_file(record, msgspec.json.encode(kept), force=True, private=True)
