"""A worker process from fork to exit: do one job, and write events and the answer to the report pipe."""

from __future__ import annotations

import errno
import importlib
import os
import traceback
from collections.abc import Callable
from typing import Any, Union

import msgspec

from etui.analysis_kinds.registry import KINDS
from etui.engine.explain.error_text import first_line, headline
from etui.engine.explain.source_lines import model_line, short_traceback
from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.jobs import SESSION_JOBS, SINGLE_JOBS, Answer, Done, Job, JobError, LogMessage

Log = Callable[[Event], None]

TRACEBACK_HINT = "the log has the traceback"

_TYPES: Any = (*SESSION_JOBS, *SINGLE_JOBS, *(kind.job for kind in KINDS.values()))
_JOBS: msgspec.json.Decoder[Job] = msgspec.json.Decoder(Union[_TYPES])  # noqa: UP007 - the types are not constants
"""Decodes a job of any type by its tag."""


class Report:
    """Writes answers to the report pipe, one JSON line each."""

    def __init__(self, fd: int) -> None:
        self._file = os.fdopen(fd, "wb", buffering=0)

    def write(self, answer: Answer) -> None:
        """Write one complete answer; a pipe accepts long lines in parts."""
        line = memoryview(msgspec.json.encode(answer) + b"\n")
        while line:
            line = line[self._file.write(line) or 0 :]

    def log(self, event: Event) -> None:
        """Report an event, stamped with the current time if it has none."""
        if not event.at:
            event.at = utc_now()
        self.write(LogMessage(event=event))


def run(job: msgspec.Raw, report: Report) -> int:
    """Do the job of a request and report its answer; return the process's exit status."""
    try:
        report.write(_do(job, report.log))
    except EtuiError as error:
        report.write(
            JobError(
                message=error.message,
                hint=error.hint,
                traceback=traceback.format_exc(),
                short_traceback="" if error.__cause__ is None else short_traceback(error),
                kind=type(error).__name__,
            )
        )
        return 1
    except MemoryError:
        report.write(
            JobError(
                message="out of memory",
                hint="choose a smaller model, or free memory on the machine",
                traceback=traceback.format_exc(),
                kind="MemoryError",
            )
        )
        return 1
    except BaseException as error:  # noqa: BLE001 - outermost handler of the process: report in full, then end
        message, hint = _to_text(error)
        report.write(
            JobError(
                message=message,
                hint=hint,
                traceback=traceback.format_exc(),
                short_traceback=short_traceback(error),
                kind=type(error).__name__,
            )
        )
        return 1
    return 0


def _to_text(error: BaseException) -> tuple[str, str]:
    """Return message and hint of an unexpected error."""
    if os.strerror(errno.ENOSPC) in first_line(error):  # safetensors does not raise OSError for a full disk
        return "no space is left on the disk", "free some space, or set ETUI_CACHE to a folder on another disk"
    line, message = model_line(error), headline(error)
    return f"{line.to_text()}: {message}" if line else message, TRACEBACK_HINT


def _do(message: msgspec.Raw, log: Log) -> Done:
    """Do the job of a request. Its function is imported only now, so that measuring does not import ahead-of-time
    code."""
    job = _JOBS.decode(message)
    module, _, function = job.worker.partition(":")
    result = getattr(importlib.import_module(module), function)(job, log)
    return Done(result=msgspec.Raw(msgspec.json.encode(result)))
