"""The runner's side of its child processes: start fork servers, hand them jobs, hear which children they forked."""

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

from etui.catalog.delegates import PACKAGES
from etui.errors import EtuiError
from etui.files import private as private_files
from etui.files.cache_entries import Scratch, remove
from etui.host.installed import Stamp, changed_since
from etui.host.interrupts import interrupts_blocked
from etui.host.process_settings import FIXED_VARIABLES
from etui.jobs import Done, Exited, Fork, ForkServerKind, Job, Preload, Ready, Reply, Started, fork_server_for
from etui.paths import cache_dir
from etui.runner.program_cache import WORKERS
from etui.runner.worker import Log, Worker, WorkerFailed, kill

MESSAGE_BYTES = 1 << 17
ENDING_S = 1.0
"""How long a process may take to end after its socket closed."""

COMPILED_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch keeps what it compiles. It makes the folder when parts of it are imported, used or not."""


class ForkServerClient:
    """One fork server process and the jobs it has under way."""

    def __init__(self, role: ForkServerKind, log: Path, compiled: Callable[[], Path | None] = lambda: None) -> None:
        """``compiled`` names the folder for what torch compiles, when the process starts."""
        self.role = role
        self._log = log
        self._compiled = compiled
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ready: dict[str, asyncio.Future[Ready]] = {}
        self._children: dict[int, Worker] = {}
        self._number = 0

    @property
    def alive(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process if none is alive that could import what it needs; it imports while the runner goes on."""
        if self._has_failed:
            self.stop()
        self._start()

    @property
    def _has_failed(self) -> bool:
        """Whether it lives and said that it could not import what it needs."""
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
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def ready(self, source: str = "") -> Ready:
        """Wait until the fork server has imported what it needs (for models of ``source``, where given).

        Raises:
            ChildFailed: it died, or an import failed.
        """
        self._start()
        if source:
            self.preload(source)
        ready = await asyncio.shield(self._ready[source])
        if ready.error:
            if not source:
                # What was in the way may be put right before the next session.
                self.stop()
            raise WorkerFailed(
                f"the {self.role} process could not import what it needs: {ready.error}", "see `etui doctor`"
            )
        return ready

    def preload(self, source: str) -> None:
        """Have the fork server import what models of ``source`` need, without waiting for it."""
        if source not in self._ready:
            self._ready[source] = asyncio.get_running_loop().create_future()
            self._send(msgspec.json.encode(Preload(source=source)))

    async def do(self, job: Job, say: Log) -> Done:
        """Have a job done in a fresh child. Cancelling the awaiting task kills the child at once.

        Raises:
            ChildFailed: the job failed, the child crashed or was killed, or the fork server died.
            EtuiError: what it said could not be passed on.
        """
        await self.ready()
        self._number += 1
        child = Worker(self._number, job, say)
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
            raise WorkerFailed(f"the {self.role} process is gone", "run it again")
        try:
            socket.send_fds(self._socket, [message], fds or [])
        except OSError as error:
            raise WorkerFailed(f"the {self.role} process does not answer ({error.strerror})", "run it again") from error

    def _hear(self) -> None:
        assert self._socket is not None
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lost(self._how_it_ended())
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
                    kill(pid)
            case Exited(number=number, status=status):
                if child := self._children.get(number):
                    child.exited(status)

    def _how_it_ended(self) -> str:
        """What became of the process, whose socket has closed."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(ENDING_S)
            if status < 0 and status != -signal.SIGKILL:
                importing = " while importing" if not self._ready[""].done() else ""
                return f"the process that forks the children crashed{importing} ({signal.Signals(-status).name})"
        return "the process that forks the children was killed"

    def _lost(self, why: str) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        failure = WorkerFailed(why, "run it again; a new one is started by itself")
        for child in list(self._children.values()):
            child.failed(failure)
        for future in self._ready.values():
            if not future.done():
                future.set_exception(failure)
                future.exception()  # nobody may be waiting


class WorkerPool:
    """Both fork servers: one that only measures, one with the ahead-of-time code, started when first needed.

    ``packages`` is the state of the installed packages (``etui.host.installed``) when this process started. What a
    child does is only accepted as long as that is still their state: a fork server keeps what it imported, and a child
    imports more, so that the versions could be mixed.
    """

    def __init__(self, log: Path, packages: Stamp) -> None:
        self._packages = packages
        self._scratch: Scratch | None = None
        self._fork_servers: dict[ForkServerKind, ForkServerClient] = {
            "measure": ForkServerClient("measure", log, self._compiled),
            "prepare": ForkServerClient("prepare", log, self._compiled),
        }

    def start(self, role: ForkServerKind) -> None:
        """Begin importing, without waiting for it."""
        self._fork_servers[role].start()

    async def preload(self, source: str) -> None:
        """Have the fork servers import what models of this source need; waits for the measuring one.

        Raises:
            ChildFailed: an import failed.
        """
        if self._fork_servers["prepare"].alive:
            self._fork_servers["prepare"].preload(source)
        await self._fork_servers["measure"].ready(source)

    async def idle(self) -> None:
        """Wait until no fork server imports any more, so that nothing of this runner works."""
        for fork_server in self._fork_servers.values():
            if fork_server.alive:
                # Who has a job done by it hears why it failed.
                with contextlib.suppress(WorkerFailed):
                    await fork_server.ready()

    async def do(self, job: Job, say: Log) -> Done:
        """Have a job done in a fresh child of the fork server it belongs to.

        Raises:
            ChildFailed: see ``ForkServerClient.do``; or packages were installed or removed since this process started.
        """
        done = await self._fork_servers[fork_server_for(job)].do(job, say)
        if changed := self.changed_packages():
            # Its key names other versions than those that made it.
            if done.lowered is not None:
                remove(Path(done.lowered.path).parent)
            if done.bundle is not None and not done.bundle.cached:
                remove(Path(done.bundle.path))
            names = ", ".join(changed)
            raise WorkerFailed(f"packages were installed or removed during the run: {names}", "run it again")
        return done

    def changed_packages(self) -> list[str]:
        """The names of the packages that were installed or removed since this process started."""
        return changed_since(self._packages, PACKAGES)

    def stop(self) -> None:
        """End both."""
        for fork_server in self._fork_servers.values():
            fork_server.stop()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def _compiled(self) -> Path | None:
        """The folder for what torch compiles, the same for both; None if none can be made, and torch chooses one."""
        if self._scratch is None:
            with contextlib.suppress(EtuiError):
                self._scratch = Scratch(cache_dir() / WORKERS / secrets.token_hex(4))
        return self._scratch.folder if self._scratch is not None else None
