"""Check a model before it is queued: everything that can be found out without measuring, so that a misspelt name is
reported at once and not when the session's turn comes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui import __version__
from etui.catalog.find import Model, UserModel
from etui.errors import EtuiError
from etui.events import Event
from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.files.hashing import file_stamp, is_settled
from etui.jobs import CheckJob, CheckResult
from etui.paths import cache_dir
from etui.runner.program_cache import installed_versions
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.services.request import FieldError, FieldName
from etui.spec import WEIGHTS, SessionSpec

LIMIT_S = 60.0
"""A model that takes longer to load is queued without having been checked."""

_FOLDER = "checked"
_FIELDS: dict[str, FieldName] = {"weights": "weights", "keep_fp32": "keep_fp32", "data": "data"}
"""The field of the request that an error in a stage of the check belongs to; other errors belong to the model."""


def needs_process(model: Model, spec: SessionSpec) -> bool:
    """Whether checking needs a process that loads the model: a catalog model is known to be valid, unless weights are
    given or modules are named."""
    return isinstance(model, UserModel) or spec.weights not in WEIGHTS or bool(spec.keep_fp32)


def check_early(
    spec: SessionSpec, model: Model, *, limit_s: float = LIMIT_S, begin: Callable[[str], object] = lambda text: None
) -> str:
    """Check the model, weights and named modules of a specification before it is queued. Return a notice if the check
    did not finish; empty if it did.

    ``begin`` is called with a line on what is checked, if that may take longer than a moment. A user's factory is
    called in a separate process. A check that succeeded is not repeated while its files and the installed packages are
    unchanged.

    Raises:
        FieldError: the session would fail; the message says why.
        KeyboardInterrupt: the check was interrupted; its process has ended.
    """
    if not needs_process(model, spec):
        return ""
    job = CheckJob(
        model=spec.model,
        weights=spec.weights,
        seed=spec.seed,
        cache_dir=str(cache_dir()),
        keep_fp32=spec.keep_fp32,
        allow_pickle=spec.allow_pickle,
        methods=tuple(dict.fromkeys(variant.method for variant in spec.variants)),
        data=spec.data,
    )
    record = cache_dir() / _FOLDER / _key(job)
    if _is_unchanged(record):
        return ""
    begin(f"checking {_named(model)} ..")
    stages = ["model"]

    def note(event: Event) -> None:
        if event.kind == "stage" and event.stage:
            stages.append(event.stage)

    try:
        result = run_job(job, limit_s=limit_s, log=note)
    except JobFailed as error:
        field = _FIELDS.get(stages[-1], "model")
        raise FieldError(field, error.message, hint_without_log(error, model)) from error
    except JobTimedOut:
        return f"loading {_named(model)} took longer than {limit_s:g} s; it is queued without having been checked"
    except JobCrashed as error:
        if error.killed:
            return f"the check of {_named(model)} was killed, probably for lack of memory; it is queued without it"
        raise FieldError(
            "model", f"{error.message.replace('checking', f'loading {_named(model)}', 1)}", "check the file"
        ) from error
    _remember(record, result)
    return ""


def _named(model: Model) -> str:
    if not isinstance(model, UserModel):
        return model.name
    name = Path(model.path).name
    return f"{name}:{model.factory}" if model.factory else name


def _key(job: CheckJob) -> str:
    """Return the name of a check: everything that decides its result except the content of files."""
    described = (__version__, sorted(installed_versions().items()), job)
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:32]


def _is_unchanged(record: Path) -> bool:
    """Whether this check succeeded before, and every file that it read is unchanged since."""
    try:
        stamps = msgspec.json.decode(record.read_bytes(), type=dict[str, str])
        return bool(stamps) and all(file_stamp(Path(path)) == stamp for path, stamp in stamps.items())
    except (OSError, ValueError, msgspec.MsgspecError):
        return False


def _remember(record: Path, result: CheckResult) -> None:
    """Record a success; does nothing if a file has just been written, or if the cache is not writable."""
    with contextlib.suppress(OSError, EtuiError):
        paths = [Path(file) for file in result.files]
        if paths and all(is_settled(path) for path in paths):
            private_files.make_folder(record.parent, own=True)
            stamps = {str(path): file_stamp(path) for path in paths}
            write_file(record, msgspec.json.encode(stamps), force=True, private=True)
