"""Start fork servers and have jobs done in the workers that they fork."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.catalog.delegates import OWN_PACKAGES, PACKAGES
from etui.errors import EtuiError
from etui.files import private as private_files
from etui.files.cache_entries import WORKERS, Scratch, remove
from etui.host.installed import Stamp, changed_since
from etui.host.interrupts import interrupts_blocked
from etui.host.process_settings import FIXED_VARIABLES
from etui.jobs import (
    BundleResult,
    Exited,
    Fork,
    ForkServerKind,
    JobFor,
    LowerResult,
    Preload,
    R,
    Ready,
    Reply,
    Started,
    result_of,
)
from etui.paths import cache_dir
from etui.runner.worker import Log, Worker, WorkerFailed, kill

MESSAGE_BYTES = 1 << 17
ENDING_S = 1.0
"""How long a process may take to end after its socket closed."""

COMPILED_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Names the folder of torch's compilation cache, which torch creates when it is imported."""


class ForkServerClient:
    """One fork server process and its jobs in progress."""

    def __init__(self, role: ForkServerKind, log: Path, compiled: Callable[[], Path | None] = lambda: None) -> None:
        """``compiled`` returns the folder of torch's compilation cache; called when the process starts."""
        self.role = role
        self._log = log
        self._compiled = compiled
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ready: dict[str, asyncio.Future[Ready]] = {}
        self._workers: dict[int, Worker] = {}
        self._number = 0

    @property
    def alive(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process unless a working one is alive; it imports its packages in the background."""
        if self._has_failed:
            self.stop()
        self._start()

    @property
    def _has_failed(self) -> bool:
        """Whether the process is alive and reported that its imports failed."""
        ready = self._ready.get("")
        return ready is not None and ready.done() and ready.exception() is None and bool(ready.result().error)

    def _start(self) -> None:
        if self.alive and self._socket is not None:
            return
        self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        environment = {**os.environ, **FIXED_VARIABLES}
        if COMPILED_VARIABLE not in environment and (folder := self._compiled()) is not None:
            environment[COMPILED_VARIABLE] = str(folder)
        with private_files.open_to_append(self._log) as log, interrupts_blocked():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "etui.engine.process.fork_server", self.role, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        theirs.close()
        self._socket = ours
        self._ready = {"": asyncio.get_running_loop().create_future()}
        asyncio.get_running_loop().add_reader(ours, self._receive)

    async def ready(self, source: str = "") -> Ready:
        """Wait until the fork server has finished its imports (those for models of ``source``, if given).

        Raises:
            WorkerFailed: the fork server died, or an import failed.
        """
        self._start()
        if source:
            self.preload(source)
        ready = await asyncio.shield(self._ready[source])
        if ready.error:
            if not source:
                # The cause may be fixed before the next session.
                self.stop()
            raise WorkerFailed(
                f"the {self.role} process failed to import its packages: {ready.error}",
                "reinstall etui",
            )
        return ready

    def preload(self, source: str) -> None:
        """Have the fork server import the packages of models of ``source``, without waiting for it."""
        if source not in self._ready:
            self._ready[source] = asyncio.get_running_loop().create_future()
            self._send(msgspec.json.encode(Preload(source=source)))

    async def do(self, job: JobFor[R], say: Log) -> R:
        """Return the result of a job done in a fresh worker. Cancelling the awaiting task kills the worker at once.

        Raises:
            WorkerFailed: the job failed, the worker crashed or was killed, or the fork server died.
            EtuiError: ``say`` could not store an event.
        """
        await self.ready()
        self._number += 1
        worker = Worker(self._number, job, say)
        self._workers[worker.number] = worker
        try:
            self._send(
                msgspec.json.encode(Fork(number=worker.number, job=msgspec.Raw(msgspec.json.encode(job)))),
                [worker.report.write_fd, worker.log.write_fd],
            )
            worker.release_write_ends()
            result = result_of(job, await worker.answered())
        finally:
            worker.close()
            self._workers.pop(worker.number, None)
        if result is None:
            raise WorkerFailed("the worker answered without a result", "see the runner log")
        return result

    def stop(self) -> None:
        """Kill the process; its workers are killed with it."""
        self._fail_all("the fork server was stopped")
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, message: bytes, fds: list[int] | None = None) -> None:
        if self._socket is None:
            raise WorkerFailed(f"the {self.role} process has ended", "try again")
        try:
            socket.send_fds(self._socket, [message], fds or [])
        except OSError as error:
            raise WorkerFailed(f"the {self.role} process does not respond ({error.strerror})", "try again") from error

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._fail_all(self._how_it_ended())
            return
        match msgspec.json.decode(message, type=Reply):
            case Ready() as ready:
                future = self._ready.get(ready.source)
                if future is not None and not future.done():
                    future.set_result(ready)
            case Started(number=number, pid=pid):
                if worker := self._workers.get(number):
                    worker.started(pid)
                else:
                    # The job was cancelled between the request and the fork.
                    kill(pid)
            case Exited(number=number, status=status):
                if worker := self._workers.get(number):
                    worker.exited(status)

    def _how_it_ended(self) -> str:
        """Describe how the process ended, after its socket closed."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(ENDING_S)
            if status < 0 and status != -signal.SIGKILL:
                importing = " while importing" if not self._ready[""].done() else ""
                return f"the fork server crashed{importing} ({signal.Signals(-status).name})"
        return "the fork server was killed"

    def _fail_all(self, why: str) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        failure = WorkerFailed(why, "try again; a new fork server is started automatically")
        for worker in list(self._workers.values()):
            worker.failed(failure)
        for future in self._ready.values():
            if not future.done():
                future.set_exception(failure)
                future.exception()  # no task may be waiting for it


class WorkerPool:
    """Both fork servers: one for measuring and one with the ahead-of-time export code, each started when first needed.

    ``packages`` is the state of the installed packages (``etui.host.installed``) when this process started. The result
    of a job is rejected if that state has changed: a fork server keeps its imports and a worker imports more, so
    package versions could be mixed.
    """

    def __init__(self, log: Path, packages: Stamp) -> None:
        self._packages = packages
        self._scratch: Scratch | None = None
        self._fork_servers: dict[ForkServerKind, ForkServerClient] = {
            "measure": ForkServerClient("measure", log, self._compiled),
            "prepare": ForkServerClient("prepare", log, self._compiled),
        }

    def start(self, role: ForkServerKind) -> None:
        """Start importing, without waiting for it."""
        self._fork_servers[role].start()

    async def preload(self, source: str) -> None:
        """Have the fork servers import the packages of models of this source; wait for the measuring one.

        Raises:
            WorkerFailed: an import failed.
        """
        if self._fork_servers["prepare"].alive:
            self._fork_servers["prepare"].preload(source)
        await self._fork_servers["measure"].ready(source)

    async def idle(self) -> None:
        """Wait until no fork server is importing, so that this runner uses no CPU time."""
        for fork_server in self._fork_servers.values():
            if fork_server.alive:
                # The next job on this fork server reports the failure.
                with contextlib.suppress(WorkerFailed):
                    await fork_server.ready()

    async def do(self, job: JobFor[R], say: Log) -> R:
        """Return the result of a job done in a fresh worker of the matching fork server.

        Raises:
            WorkerFailed: see ``ForkServerClient.do``; or packages were installed or removed since this process started.
        """
        result = await self._fork_servers[job.fork_server].do(job, say)
        if changed := self.changed_packages():
            # The key of the result names other versions than those that made it.
            if isinstance(result, LowerResult):
                remove(Path(result.path).parent)
            if isinstance(result, BundleResult) and not result.cached:
                remove(Path(result.path))
            names = ", ".join(changed)
            raise WorkerFailed(f"packages were installed or removed during the run: {names}", "try again")
        return result

    def changed_packages(self) -> list[str]:
        """The names of the packages that were installed or removed since this process started."""
        return changed_since(self._packages, (*PACKAGES, *OWN_PACKAGES))

    def stop(self) -> None:
        """Stop both fork servers."""
        for fork_server in self._fork_servers.values():
            fork_server.stop()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def _compiled(self) -> Path | None:
        """The folder of torch's compilation cache for both; None if it cannot be created, and torch chooses one."""
        if self._scratch is None:
            with contextlib.suppress(EtuiError):
                self._scratch = Scratch(cache_dir() / WORKERS / secrets.token_hex(4))
        return self._scratch.folder if self._scratch is not None else None
