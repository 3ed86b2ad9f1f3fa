"""The runner's side of its child processes: start zygotes, hand them jobs, hear the answers, kill what must end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.jobs import (
    Answer,
    Done,
    Exited,
    Fork,
    Job,
    JobError,
    Preload,
    Ready,
    Reply,
    Said,
    Started,
    Zygote,
    zygote_for,
)
from etui.text import plain

Say = Callable[[Event], None]

MESSAGE_BYTES = 1 << 17
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


class ChildFailed(EtuiError):
    """A job ended without its result. ``traceback`` is the child's own, where it could still tell."""

    def __init__(self, message: str, hint: str = "", traceback: str = "") -> None:
        super().__init__(message, hint)
        self.traceback = traceback


class ZygoteClient:
    """One zygote process and the jobs it has under way."""

    def __init__(self, role: Zygote, log: Path) -> None:
        self.role = role
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ready: dict[str, asyncio.Future[Ready]] = {}
        self._children: dict[int, _Child] = {}
        self._number = 0

    @property
    def alive(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process if none is alive; it imports while the runner goes on."""
        if self.alive and self._socket is not None:
            return
        self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        environment = os.environ | {
            # NumPy's BLAS would start a thread pool at import, which no fork survives.
            "OPENBLAS_NUM_THREADS": "1",
            "TORCHAO_FORCE_SKIP_LOADING_SO_FILES": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "etui.engine.zygote", self.role, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        theirs.close()
        self._socket = ours
        self._ready = {"": asyncio.get_running_loop().create_future()}
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def ready(self, source: str = "") -> Ready:
        """Wait until the zygote has imported what it needs (for models of ``source``, where given).

        Raises:
            ChildFailed: it died, or an import failed.
        """
        self.start()
        if source:
            self.preload(source)
        ready = await asyncio.shield(self._ready[source])
        if ready.error:
            raise ChildFailed(
                f"the {self.role} process could not import what it needs: {ready.error}", "see `etui doctor`"
            )
        return ready

    def preload(self, source: str) -> None:
        """Have the zygote import what models of ``source`` need, without waiting for it."""
        if source not in self._ready:
            self._ready[source] = asyncio.get_running_loop().create_future()
            self._send(msgspec.json.encode(Preload(source=source)))

    async def do(self, job: Job, say: Say) -> Done:
        """Have a job done in a fresh child. Cancelling the awaiting task kills the child at once.

        Raises:
            ChildFailed: the job failed, the child crashed or was killed, or the zygote died.
            EtuiError: what it said could not be passed on.
        """
        await self.ready()
        self._number += 1
        child = _Child(self._number, job, say)
        self._children[child.number] = child
        try:
            self._send(
                msgspec.json.encode(Fork(number=child.number, job=job)), [child.report.write_fd, child.log.write_fd]
            )
            child.release_write_ends()
            return await child.answered()
        finally:
            child.close()
            self._children.pop(child.number, None)

    def stop(self) -> None:
        """Kill the process; its children die with it."""
        self._lost("the process was stopped")
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, message: bytes, fds: list[int] | None = None) -> None:
        if self._socket is None:
            raise ChildFailed(f"the {self.role} process is gone", "run it again")
        try:
            socket.send_fds(self._socket, [message], fds or [])
        except OSError as error:
            raise ChildFailed(f"the {self.role} process does not answer ({error.strerror})", "run it again") from error

    def _hear(self) -> None:
        assert self._socket is not None
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lost("the process that forks the children was killed")
            return
        match msgspec.json.decode(message, type=Reply):
            case Ready() as ready:
                future = self._ready.get(ready.source)
                if future is not None and not future.done():
                    future.set_result(ready)
            case Started(number=number, pid=pid):
                if child := self._children.get(number):
                    child.started(pid)
                else:
                    # Its job was cancelled between the request and the fork.
                    _kill(pid)
            case Exited(number=number, status=status):
                if child := self._children.get(number):
                    child.exited(status)

    def _lost(self, why: str) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        failure = ChildFailed(why, "run it again; a new one is started by itself")
        for child in list(self._children.values()):
            child.failed(failure)
        for future in self._ready.values():
            if not future.done():
                future.set_exception(failure)
                future.exception()  # nobody may be waiting


_DOING = {
    "bundle": "loading the model",
    "lower": "lowering",
    "profile": "profiling",
    "gap": "comparing layers",
}
"""What a child does, by its job's tag, where that is not measuring."""


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


class _Child:
    """One job under way."""

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
        self.report.release_write_end()
        self.log.release_write_end()

    async def answered(self) -> Done:
        return await self._outcome

    def started(self, pid: int) -> None:
        self._pid = pid
        if self._closed:
            _kill(pid)

    def exited(self, status: int) -> None:
        self._ended = True
        self.report.drain()
        self.log.drain()
        if self._outcome.done():
            return
        if isinstance(self._answer, Done):
            self._outcome.set_result(self._answer)
        elif isinstance(self._answer, JobError):
            error = self._answer
            self._outcome.set_exception(ChildFailed(error.message, error.hint, error.traceback))
        else:
            self._outcome.set_exception(self._died(status))

    def failed(self, failure: EtuiError) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(failure)

    def close(self) -> None:
        self._closed = True
        if self._pid is not None:
            if self._ended:
                # What a user's code started beside the child must not go on while others are timed.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            else:
                _kill(self._pid)
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
        except msgspec.MsgspecError:
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


class Children:
    """Both zygotes: one that only measures, one with the ahead-of-time code, started when first needed."""

    def __init__(self, log: Path) -> None:
        self._zygotes: dict[Zygote, ZygoteClient] = {
            "measure": ZygoteClient("measure", log),
            "prepare": ZygoteClient("prepare", log),
        }

    def start(self, role: Zygote) -> None:
        """Begin importing, without waiting for it."""
        self._zygotes[role].start()

    async def preload(self, source: str) -> None:
        """Have the zygotes import what models of this source need; waits for the measuring one.

        Raises:
            ChildFailed: an import failed.
        """
        if self._zygotes["prepare"].alive:
            self._zygotes["prepare"].preload(source)
        await self._zygotes["measure"].ready(source)

    async def do(self, job: Job, say: Say) -> Done:
        """Have a job done in a fresh child of the zygote it belongs to.

        Raises:
            ChildFailed: see ``ZygoteClient.do``.
        """
        return await self._zygotes[zygote_for(job)].do(job, say)

    def stop(self) -> None:
        """End both."""
        for zygote in self._zygotes.values():
            zygote.stop()


def _tag(job: Job) -> str:
    return str(type(job).__struct_config__.tag)


def _kill(pid: int) -> None:
    """Kill a child and what it may have started. Its group exists only once it has run its first lines."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


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
