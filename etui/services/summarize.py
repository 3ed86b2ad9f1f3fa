"""Summarize a model in a separate process, or return the summary made before of the same files and versions."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui import __version__
from etui.catalog.find import Model, UserModel, find_model
from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.files.hashing import file_stamp, is_settled
from etui.jobs import SummaryJob
from etui.model_summary import ModelSummary
from etui.paths import cache_dir
from etui.runner.program_cache import installed_versions
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.text import plain

LIMIT_S = 300.0

_FOLDER = "summaries"
_VERSION = 1
"""Increase it when the same model gives another summary than before."""


class SummaryTimedOut(EtuiError):
    """Summarizing took too long."""

    exit_status = EXIT_TIMED_OUT


class _Kept(msgspec.Struct, frozen=True):
    """A summary, and the stamps of the files that it depends on."""

    stamps: dict[str, str]
    summary: ModelSummary


def summarize(
    text: str,
    *,
    seed: int = 0,
    allow_pickle: bool = False,
    limit_s: float = LIMIT_S,
    begin: Callable[[str], object] = lambda text: None,
) -> ModelSummary:
    """Return the summary of a model, given by name or path.

    ``begin`` is called with a line on what is done, if that may take longer than a moment. The model is built and
    called in a separate process of low priority, which ends with this function. A summary is kept in the cache, and not
    made again while the model's files and the installed packages are unchanged.

    Raises:
        UsageError: there is no such model, or it is a finished program.
        SummaryTimedOut: it took longer than ``limit_s`` seconds.
        EtuiError: the model cannot be loaded or called; the message says why.
    """
    model = find_model(text)
    reference = model.reference if isinstance(model, UserModel) else model.name
    if isinstance(model, UserModel) and model.kind == "pte":
        name = plain(text)
        raise UsageError(
            f"{name} is a finished program, which has no modules",
            f"see its contents with `etui inspect {name}`",
            screen_hint="choose the model that it was made from",
        )
    job = SummaryJob(model=reference, seed=seed, allow_pickle=allow_pickle)
    record = cache_dir() / _FOLDER / f"{_key(job)}.json"
    if (kept := _kept(record)) is not None:
        return kept
    begin(f"summarizing {plain(model.name)} ..")
    try:
        summary = run_job(job, limit_s=limit_s)
    except JobFailed as error:
        raise EtuiError(error.message, _hint(error, model)) from error
    except JobTimedOut as error:
        raise SummaryTimedOut(
            f"summarizing {plain(model.name)} took longer than {limit_s:g} s",
            "set a longer limit with --timeout",
            screen_hint="",
        ) from error
    except JobCrashed as error:
        raise EtuiError(
            f"{error.message.replace('the model', plain(model.name), 1)}",
            "free memory on the machine" if error.killed else "check the model's file",
        ) from error
    _keep(record, summary)
    return summary


def _hint(error: JobFailed, model: Model) -> str:
    if "log has" in error.hint:  # there is no run, and so no log
        return f"fix {Path(model.path).name}" if isinstance(model, UserModel) else ""
    return error.hint


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
