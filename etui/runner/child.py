"""One child process and its job: what it says on its pipes, how it ended, and how it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.jobs import Answer, Done, Job, JobError, Said
from etui.text import plain

Say = Callable[[Event], None]

READ_BYTES = 1 << 16
LOG_LINES_A_JOB = 2_000
"""A child that floods its standard streams is heard this long; the rest is counted, not kept."""

NOISE = (
    "[cpuinfo_utils.cpp:",
    "[threadpool.cpp:66] Resetting threadpool",
    "[OpenvinoBackend.cpp:98] OpenVINO: runtime loaded",
    "USDT:",
)
"""What the runtime prints at every start whatever happens; it would bury what a child has to say."""

_DOING = {
    "bundle": "loading the model",
    "lower": "lowering",
    "profile": "profiling",
    "gap": "comparing layers",
}
"""What a child does, by its job's tag, where that is not measuring."""


class ChildFailed(EtuiError):
    """A job ended without its result. ``traceback`` is the child's own, where it could still tell."""

    def __init__(self, message: str, hint: str = "", traceback: str = "") -> None:
        super().__init__(message, hint)
        self.traceback = traceback


class _Pipe:
    """One pipe from a child, read line by line without ever blocking the runner."""

    def __init__(self, line: Callable[[bytes], None]) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self._line = line
        self._rest = b""
        self._open = True
        asyncio.get_running_loop().add_reader(self.read_fd, self.drain)

    def drain(self) -> None:
        """Read all there is."""
        while self._open:
            try:
                chunk = os.read(self.read_fd, READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._stop()
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._line(line)

    def release_write_end(self) -> None:
        """Close the runner's copy of the end that the child writes to."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def close(self) -> None:
        """Read what is left, then let go; a grandchild may hold the other end open for ever."""
        self.release_write_end()
        self.drain()
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        self._stop()
        os.close(self.read_fd)

    def _stop(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self.read_fd)


class Child:
    """One job under way. ``report`` and ``log`` are its pipes; events on either are passed on through ``say``.

    Without a running event loop there is none.
    """

    def __init__(self, number: int, job: Job, say: Say) -> None:
        self.number = number
        self._job = job
        self._say = say
        self._pid: int | None = None
        self._ended = False
        self._closed = False
        self._answer: Done | JobError | None = None
        self._log_lines = 0
        self._outcome: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._oom_kills = _oom_kills()
        self.report = _Pipe(self._report_line)
        self.log = _Pipe(self._log_line)

    def release_write_ends(self) -> None:
        """The child has its own ends now: let go of the runner's, so that its end is seen."""
        self.report.release_write_end()
        self.log.release_write_end()

    async def answered(self) -> Done:
        """Wait for the job's result. Raises ChildFailed, or the EtuiError it ``failed`` with."""
        return await self._outcome

    def started(self, pid: int) -> None:
        """It was forked; where nobody waits any more it is killed."""
        self._pid = pid
        if self._closed:
            kill(pid)

    def exited(self, status: int) -> None:
        """It ended, with a negative signal or an exit status: what it said last decides."""
        self._ended = True
        self.report.drain()
        self.log.drain()
        if self._outcome.done():
            return
        if isinstance(self._answer, Done):
            self._outcome.set_result(self._answer)
        elif isinstance(self._answer, JobError):
            error = self._answer
            self._outcome.set_exception(ChildFailed(error.message.strip() or "the process failed without saying why", error.hint, error.traceback))
        else:
            self._outcome.set_exception(self._died(status))

    def failed(self, failure: EtuiError) -> None:
        """Give up on it, unless its outcome is known."""
        if not self._outcome.done():
            self._outcome.set_exception(failure)

    def close(self) -> None:
        """Kill what is left of it, and read its pipes to the end."""
        self._closed = True
        if self._pid is not None:
            if self._ended:
                # What a user's code started beside the child must not go on while others are timed.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            else:
                kill(self._pid)
        self.report.close()
        self.log.close()
        if self._outcome.done() and not self._outcome.cancelled():
            self._outcome.exception()

    def _died(self, status: int) -> ChildFailed:
        doing = _DOING.get(_tag(self._job), "measuring")
        if status == -signal.SIGKILL:
            if _oom_kills() > self._oom_kills:
                return ChildFailed(
                    f"the kernel killed the process while {doing}: out of memory",
                    "free memory on the box, or choose a smaller model",
                )
            return ChildFailed(f"the process was killed (SIGKILL) while {doing}", "run it again")
        if status < 0:
            name = signal.Signals(-status).name
            return ChildFailed(f"the process crashed ({name}) while {doing}", "`etui log RUN` has what it said before")
        return ChildFailed(f"the process ended with status {status} while {doing}, without a result", "see `etui log`")

    def _report_line(self, line: bytes) -> None:
        try:
            answer: Answer = msgspec.json.decode(line, type=Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # A child that is killed leaves half a line.
            return
        if isinstance(answer, Said):
            self._tell(answer.event)
        else:
            self._answer = answer

    def _log_line(self, line: bytes) -> None:
        text = plain(line.decode("utf-8", "replace")).rstrip()
        if not text or text.startswith(NOISE):
            return
        self._log_lines += 1
        if self._log_lines > LOG_LINES_A_JOB:
            return
        if self._log_lines == LOG_LINES_A_JOB:
            text = "the process says more than is kept; the rest is dropped"
        self._tell(
            Event(
                kind="log",
                level="debug",
                message=text,
                at=utc_now(),
                run_id=getattr(self._job, "run_id", None),
                stage=_tag(self._job),
            )
        )

    def _tell(self, event: Event) -> None:
        """Pass an event on. Where it cannot be stored the job has failed: in the event loop's callbacks, where this
        runs, an error would be lost, and with it the answer that is waited for."""
        try:
            self._say(event)
        except EtuiError as error:
            self.failed(error)


def _tag(job: Job) -> str:
    return str(type(job).__struct_config__.tag)


def kill(pid: int) -> None:
    """Kill a child and what it may have started. Its group exists only once it has run its first lines."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)


def _oom_kills() -> int:
    """How often the kernel has killed something for memory since it started."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
