"""Do one job in a process of its own that may crash, hang or run out of memory; neither runner nor database is
needed."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from etui.errors import EtuiError
from etui.events import Event
from etui.jobs import Answer, Done, JobError, JobFor, LogMessage, R, result_of

NICE = 19
"""The nice level of the process, so that it disturbs a measurement on the same machine as little as possible."""


_STOP_S = 0.2
"""The interval in seconds at which it is checked whether the caller stopped the job."""


class JobFailed(EtuiError):
    """The job reported an error. ``kind`` is the name of its class, ``traceback`` the worker's own."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message, error.hint)
        self.kind = error.kind
        self.traceback = error.traceback


class JobTimedOut(EtuiError):
    """The job took longer than its time limit."""


class JobStopped(EtuiError):
    """The job was no longer wanted."""


class JobCrashed(EtuiError):
    """The process ended without an answer. ``killed`` is whether the system killed it, probably for lack of memory."""

    def __init__(self, message: str, *, killed: bool) -> None:
        super().__init__(message)
        self.killed = killed


def run_job(
    job: JobFor[R],
    *,
    limit_s: float,
    log: Callable[[Event], object] = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
    nice: int = NICE,
) -> R:
    """Return the result of a job done in a process of low priority (``nice``), which is killed after ``limit_s``
    seconds and if this function is interrupted, and soon after ``stopped`` returns True. ``log`` is called with the
    events that the job reports.

    Raises:
        JobFailed: the job reported an error.
        JobTimedOut: it took longer than the limit.
        JobStopped: ``stopped`` returned True.
        JobCrashed: the process ended without an answer.
        EtuiError: the process cannot be started.
    """
    answer: Done | JobError | None = None
    with _process(job, nice) as (process, answers):
        try:
            for line in lines(answers, time.monotonic() + limit_s, stopped):
                received = _decoded(line)
                if isinstance(received, LogMessage):
                    log(received.event)
                elif received is not None:
                    answer = received
        except TimeoutError as error:
            if answer is None and stopped():
                raise JobStopped(f"{job.doing} was stopped") from error
            if answer is None:
                raise JobTimedOut(f"{job.doing} took longer than {limit_s:g} s") from error
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5.0)  # its pipe is closed; user code may have left threads behind
        status = process.poll()
    if isinstance(answer, JobError):
        raise JobFailed(answer)
    result = result_of(job, answer) if answer is not None else None
    if result is None:
        raise JobCrashed(f"{job.doing} {ending(status or 0)}", killed=status == -signal.SIGKILL)
    return result


def lines(descriptor: int, until: float, stopped: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
    """Yield the lines of a pipe until its other end is closed. Raises TimeoutError at the time ``until`` of the
    monotonic clock, and soon after ``stopped`` returns True."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            while not selector.select(min(_STOP_S, max(0.0, until - time.monotonic()))):
                if stopped() or time.monotonic() >= until:
                    raise TimeoutError
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                return
            *ended, rest = (rest + chunk).split(b"\n")
            yield from ended


def ending(status: int) -> str:
    """Describe the end of a process that did not answer, to follow its name in a sentence."""
    if status >= 0:
        return f"failed (status {status})"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        cause = {"SIGSEGV": "a segmentation fault", "SIGABRT": "an abort", "SIGBUS": "a bus error"}.get(name, name)
        if name == "SIGKILL":
            return "was killed by the system, probably for lack of memory"
        return f"crashed with {cause}"
    return f"was ended by signal {-status}"


@contextlib.contextmanager
def _process(job: JobFor[R], nice: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that does the job, and the descriptor of its answers; killed at the end with everything it started."""
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "etui.engine.process.single_job", str(write), str(nice)],
            pass_fds=(write,),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        os.close(read)
        raise EtuiError(f"cannot start a process: {error.strerror}", "close other programs and try again") from error
    finally:
        os.close(write)
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(msgspec.json.encode(job))
        yield process, read
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _decoded(line: bytes) -> Answer | None:
    """Return an answer; None for an incomplete line of a killed process."""
    try:
        answer: Answer = msgspec.json.decode(line, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return answer
