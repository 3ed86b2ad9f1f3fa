"""A worker process from fork to exit: do one job, and write events and the answer to the report pipe."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable

import msgspec

from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.jobs import (
    AccuracyJob,
    Answer,
    BundleJob,
    Done,
    GapJob,
    Job,
    JobError,
    LogMessage,
    LowerJob,
    MeasureJob,
    MemoryJob,
    ProfileJob,
)

Log = Callable[[Event], None]


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


def run(job: Job, report: Report) -> int:
    """Do a job and report its answer; return the process's exit status."""
    try:
        report.write(_do(job, report.log))
    except EtuiError as error:
        report.write(
            JobError(
                message=error.message, hint=error.hint, traceback=traceback.format_exc(), kind=type(error).__name__
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
                kind=type(error).__name__,
            )
        )
        return 1
    return 0


def _to_text(error: BaseException) -> tuple[str, str]:
    """Return message and hint of an unexpected error."""
    first_line = (str(error).strip().splitlines() or [""])[0]
    if os.strerror(errno.ENOSPC) in first_line:  # safetensors does not raise OSError for a full disk
        return "no space is left on the disk", "free some space, or set ETUI_CACHE to a folder on another disk"
    message = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return message, "the log has the traceback"


def _do(job: Job, log: Log) -> Done:
    """Do a job. Imports are per kind of job, so that measuring does not import ahead-of-time code."""
    match job:
        case BundleJob():
            from etui.engine.models.bundle import run_bundle

            return Done(bundle=run_bundle(job, log))
        case LowerJob():
            import torch

            from etui.engine.lowering.lower import run_lower

            # Lowering is mostly single-threaded Python, and other cores run other lowering jobs.
            torch.set_num_threads(job.threads)
            return Done(lowered=run_lower(job, log))
        case MeasureJob():
            from etui.engine.measure.latency import run_measure

            return Done(block=run_measure(job, log))
        case AccuracyJob():
            from etui.engine.measure.accuracy import run_accuracy

            return Done(accuracy=run_accuracy(job))
        case MemoryJob():
            from etui.engine.measure.memory import run_memory

            return Done(memory=run_memory(job))
        case ProfileJob(program=None):
            from etui.engine.profile.eager import run_eager_profile

            return Done(profile=run_eager_profile(job, log))
        case ProfileJob():
            from etui.engine.profile.program import run_profile

            return Done(profile=run_profile(job, log))
        case GapJob():
            from etui.engine.gap.run import run_gap

            return Done(gap=run_gap(job, log))
