"""The runner's side of one worker: its job, the messages on its pipes, its end, and killing it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.catalog.delegates import RECORDS
from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.jobs import Answer, Done, Job, JobError, LogMessage
from etui.text import plain

Log = Callable[[Event], None]

READ_BYTES = 1 << 16
LOG_LINES_PER_JOB, LOG_BYTES_PER_JOB = 2_000, 4_000_000
"""Limits for the standard streams of one job; output beyond them is discarded."""

READ_LINES_PER_JOB = 20_000
"""The same limit including empty lines and ``NOISE``, which are not kept."""

LOG_LINE_BYTES = 16_000
"""Longest line kept of a worker's standard streams."""

ANSWER_BYTES = 1 << 28
"""Longest answer accepted from a worker: hundreds of times that of a block of 400,000 samples."""

DISCARDED_PIPE_BYTES, DISCARD_EVERY_S = 1 << 20, 0.02
"""How much discarded output is read at once and how often: 50 MB/s, for about 1 % of a core."""

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)

NOISE = (
    "[cpuinfo_utils.cpp:",
    "[threadpool.cpp:66] Resetting threadpool",
    "USDT:",
    *(line for record in RECORDS.values() for line in record.log_noise),
)
"""Lines that the runtime prints at every start and that are not worth keeping."""


class WorkerFailed(EtuiError):
    """A job ended without a result. ``traceback`` is the worker's own, if it could report one, and ``short_traceback``
    the lines of it that belong to the model."""

    def __init__(self, message: str, hint: str = "", traceback: str = "", short_traceback: str = "") -> None:
        super().__init__(message, hint)
        self.traceback = traceback
        self.short_traceback = short_traceback


class _Pipe:
    """One pipe from a worker, read line by line without blocking the runner.

    The bytes read per iteration of the event loop are bounded, so that a worker that writes endlessly delays nothing. A
    line longer than ``longest_bytes`` is cut. After ``discard`` the remaining output is read slowly and discarded: at
    full speed that alone would occupy a core during the measurement. ``flooded``, if given, is called when the limits
    for one job are exceeded, and calls ``discard``.
    """

    def __init__(
        self, line: Callable[[bytes], None], longest_bytes: int, flooded: Callable[[], None] | None = None
    ) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self.cut_lines = 0
        self._line = line
        self._longest_bytes = longest_bytes
        self._flooded = flooded
        self._read_bytes = 0
        self._ended_lines = 0
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._discarding = False
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(self.read_fd, self._read)

    def discard(self) -> None:
        """Discard all further output."""
        if self._discarding:
            return
        self._discarding = True
        self._parts.clear()
        # The larger the pipe, the less often its writer has to wait for the next read.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.read_fd, F_SETPIPE_SZ, DISCARDED_PIPE_BYTES)

    def drain(self) -> None:
        """Read the available output, at most the capacity of a pipe: complete for a worker that has ended, and bounded
        if a process that it started keeps writing."""
        most_bytes = self._read_bytes + DISCARDED_PIPE_BYTES + READ_BYTES
        while self._open and self._read_bytes < most_bytes and self._read_once():
            pass

    def release_write_end(self) -> None:
        """Close the runner's copy of the write end."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def close(self) -> None:
        """Read the remaining output and close; a grandchild may keep the write end open forever."""
        self.release_write_end()
        self.drain()
        if self._parts:
            self._end_line()
        self._stop()
        os.close(self.read_fd)

    def _read(self) -> None:
        """The event loop's callback: one read per iteration."""
        self._read_once()
        if self._discarding and self._open:
            self._loop.remove_reader(self.read_fd)
            self._pause = self._loop.call_later(DISCARD_EVERY_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        if self._open:
            self._loop.add_reader(self.read_fd, self._read)

    def _read_once(self) -> bool:
        """Read a chunk and pass on the lines it completes. Return whether there may be more."""
        try:
            chunk = os.read(self.read_fd, DISCARDED_PIPE_BYTES if self._discarding else READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._stop()
            return False
        self._read_bytes += len(chunk)
        if self._discarding:
            return True
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._add(piece)
            self._end_line()
            if self._discarding:  # the line just passed on can have called discard
                return True
        self._add(rest)
        if self._flooded is not None and self._read_bytes > LOG_BYTES_PER_JOB:
            self._end_line()
            self._flooded()
        return True

    def _add(self, piece: bytes) -> None:
        room = self._longest_bytes - self._held_bytes
        if room > 0 and piece:
            self._parts.append(piece[:room])
        self._held_bytes += len(piece)

    def _end_line(self) -> None:
        if self._held_bytes > self._longest_bytes:
            self.cut_lines += 1
            self._parts.append(b" ..")
        line = b"".join(self._parts)
        self._parts, self._held_bytes = [], 0
        self._ended_lines += 1
        self._line(line)
        if self._flooded is not None and self._ended_lines > READ_LINES_PER_JOB:
            self._flooded()

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._open:
            self._open = False
            self._loop.remove_reader(self.read_fd)


class Worker:
    """One job in progress. ``report`` and ``log`` are its pipes; their events are passed to ``say``. Needs a running
    event loop.
    """

    def __init__(self, number: int, job: Job, say: Log) -> None:
        self.number = number
        self.job = job
        self._say = say
        self._pid: int | None = None
        self._ended = False
        self._closed = False
        self._answer: Done | JobError | None = None
        self._log_lines = 0
        self._is_flooded = False
        self._outcome: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._oom_kills = _oom_kills()
        self.report = _Pipe(self._report_line, ANSWER_BYTES)
        self.log = _Pipe(self._log_line, LOG_LINE_BYTES, self._flooded)

    def release_write_ends(self) -> None:
        """Close the runner's write ends after the fork, so that the end of the worker is detected."""
        self.report.release_write_end()
        self.log.release_write_end()

    async def answered(self) -> Done:
        """Wait for the job's result. Raises WorkerFailed, or the EtuiError passed to ``failed``."""
        return await self._outcome

    def started(self, pid: int) -> None:
        """Record that the worker was forked; kill it if its job was cancelled meanwhile."""
        self._pid = pid
        if self._closed:
            kill(pid)

    def exited(self, status: int) -> None:
        """Record the worker's end with an exit status or negative signal; its last message is the outcome."""
        self._ended = True
        self.report.drain()
        self.log.drain()
        if self._outcome.done():
            return
        if isinstance(self._answer, Done):
            self._outcome.set_result(self._answer)
        elif isinstance(self._answer, JobError):
            error = self._answer
            self._outcome.set_exception(
                WorkerFailed(
                    error.message.strip() or "the process failed without an error message",
                    error.hint,
                    error.traceback,
                    error.short_traceback,
                )
            )
        else:
            self._outcome.set_exception(self._died(status))

    def failed(self, failure: EtuiError) -> None:
        """Fail the job, unless its outcome is known."""
        if not self._outcome.done():
            self._outcome.set_exception(failure)

    def close(self) -> None:
        """Kill the worker and its descendants, and read its pipes to the end."""
        self._closed = True
        if self._pid is not None:
            if self._ended:
                # Processes started by the user's code must not run on while others are timed.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            else:
                kill(self._pid)
        self.report.close()
        self.log.close()
        if self._outcome.done() and not self._outcome.cancelled():
            self._outcome.exception()

    def _died(self, status: int) -> WorkerFailed:
        doing = self.job.doing
        if self.report.cut_lines:
            return WorkerFailed(
                f"the process answered with more than {ANSWER_BYTES // 1_000_000} MB while {doing}",
                "request fewer samples or inferences",
            )
        if status == -signal.SIGKILL:
            if _oom_kills() > self._oom_kills:
                return WorkerFailed(
                    f"the kernel killed the process while {doing}: out of memory",
                    "free memory on the machine, or choose a smaller model",
                )
            return WorkerFailed(f"the process was killed (SIGKILL) while {doing}", self.job.again)
        if status < 0:
            name = signal.Signals(-status).name
            return WorkerFailed(f"the process crashed ({name}) while {doing}", "the log has its output")
        return WorkerFailed(
            f"the process ended with status {status} while {doing}, without a result", "the log has its output"
        )

    def _report_line(self, line: bytes) -> None:
        try:
            answer: Answer = msgspec.json.decode(line, type=Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # A killed worker leaves an incomplete line.
            return
        if isinstance(answer, LogMessage):
            self._forward(answer.event)
        else:
            self._answer = answer

    def _log_line(self, line: bytes) -> None:
        text = plain(line.decode("utf-8", "replace")).rstrip()
        if text and not text.startswith(NOISE):
            self._log_lines += 1
            self._log(text)
            if self._log_lines == LOG_LINES_PER_JOB - 1:
                self._flooded()

    def _flooded(self) -> None:
        """Discard output beyond the limits, and log that once."""
        if not self._is_flooded:
            self._is_flooded = True
            self._log("the output of the process exceeds the limit; the remaining output is dropped")
            self.log.discard()

    def _log(self, text: str) -> None:
        self._forward(
            Event(
                kind="log",
                level="debug",
                message=text,
                at=utc_now(),
                run_id=getattr(self.job, "run_id", None),
                stage=_tag(self.job),
            )
        )

    def _forward(self, event: Event) -> None:
        """Pass an event on. If it cannot be stored the job fails: this runs in callbacks of the event loop, where an
        error would be lost, and with it the expected answer."""
        try:
            self._say(event)
        except EtuiError as error:
            self.failed(error)


def _tag(job: Job) -> str:
    return str(type(job).__struct_config__.tag)


def kill(pid: int) -> None:
    """Kill a worker and its process group, which exists only once the worker has started running."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)


def _oom_kills() -> int:
    """Number of processes that the kernel has killed for lack of memory since boot."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
