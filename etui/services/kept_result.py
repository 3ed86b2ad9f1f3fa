"""Do a job on a model in a separate process, or return the result made before of the same files and versions."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from etui import __version__
from etui.catalog.find import Model
from etui.errors import EtuiError
from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.files.hashing import file_stamp, is_settled
from etui.jobs import JobFor
from etui.paths import cache_dir
from etui.runner.program_cache import installed_versions
from etui.services.job_hints import hint_without_log
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.text import plain

R = TypeVar("R")


class Kind(NamedTuple, Generic[R]):
    """A kind of result: its type, the folder of the cache that it is kept in, the verb of its messages, and the files
    that a result depends on. Increase ``version`` when the same model gives another result than before."""

    type: type[R]
    folder: str
    version: int
    doing: str
    files: Callable[[R], list[str]]


class _Kept(msgspec.Struct, frozen=True):
    """A result, and the stamps of the files that it depends on."""

    stamps: dict[str, str]
    result: msgspec.Raw


def kept_result(
    job: JobFor[R],
    model: Model,
    kind: Kind[R],
    *,
    timed_out: type[EtuiError],
    limit_s: float,
    begin: Callable[[str], object],
    stopped: Callable[[], bool],
) -> R:
    """Return the result of a job on a model.

    ``begin`` is called with a line on what is done, if that may take longer than a moment. The job is done in a process
    of low priority, which ends with this function, and soon after ``stopped`` returns True. A result is kept in the
    cache, and not made again while the model's files and the installed packages are unchanged.

    Raises:
        EtuiError: the job failed; the message says why. It is a ``timed_out`` if the job took longer than ``limit_s``.
        JobStopped: ``stopped`` returned True.
    """
    record = cache_dir() / kind.folder / f"{_key(job, kind)}.json"
    if (kept := _kept(record, kind)) is not None:
        return kept
    name = plain(model.name)
    begin(f"{kind.doing} {name} ..")
    try:
        result = run_job(job, limit_s=limit_s, stopped=stopped)
    except JobFailed as error:
        raise EtuiError(error.message, hint_without_log(error, model)) from error
    except JobTimedOut as error:
        raise timed_out(
            f"{kind.doing} {name} took longer than {limit_s:g} s",
            "set a longer limit with --timeout",
            screen_hint="",
        ) from error
    except JobCrashed as error:
        raise EtuiError(
            error.message.replace("the model", name, 1),
            "free memory on the machine" if error.killed else "check the model's file",
        ) from error
    _keep(record, result, kind)
    return result


def _key(job: JobFor[R], kind: Kind[R]) -> str:
    """Return the name of a result: everything that decides it except the content of files."""
    described = (__version__, kind.version, sorted(installed_versions().items()), job)
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:32]


def _kept(record: Path, kind: Kind[R]) -> R | None:
    """Return the result that was kept, if every file that it depends on is unchanged."""
    try:
        kept = msgspec.json.decode(record.read_bytes(), type=_Kept)
        if any(file_stamp(Path(path)) != stamp for path, stamp in kept.stamps.items()):
            return None
        return msgspec.json.decode(kept.result, type=kind.type)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


def _keep(record: Path, result: R, kind: Kind[R]) -> None:
    """Keep a result; does nothing if a file has just been written, or if the cache is not writable."""
    with contextlib.suppress(OSError, EtuiError):
        paths = [Path(file) for file in kind.files(result)]
        if all(is_settled(path) for path in paths):
            private_files.make_folder(record.parent, own=True)
            kept = _Kept({str(path): file_stamp(path) for path in paths}, msgspec.Raw(msgspec.json.encode(result)))
            write_file(record, msgspec.json.encode(kept), force=True, private=True)
