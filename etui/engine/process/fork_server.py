"""A process that has imported everything once and forks a fresh worker for each job.

``python -m etui.engine.process.fork_server ROLE FD`` serves requests on the socket FD until its other end closes.
Requests and replies are JSON, one per message; a fork request carries two file descriptors, the report pipe and the log
pipe. The fork server itself never runs a model, because thread pools do not survive a fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from types import FrameType

import msgspec

from etui.engine.explain.error_text import headline
from etui.engine.process.worker import Report, run
from etui.host.interrupts import accept_interrupts
from etui.jobs import Exited, Fork, ForkServerKind, Preload, Ready, Reply, Request, Started

MESSAGE_BYTES = 1 << 17
ERROR_CHARACTERS = 1_000
"""The maximum length of an import error, so that it fits into a message."""


def main() -> None:
    """Serve the socket given on the command line."""
    role, fd = sys.argv[1], int(sys.argv[2])
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    accept_interrupts()
    server = ForkServer("prepare" if role == "prepare" else "measure", socket.socket(fileno=fd))
    # The socket is closed like this if the runner ends before it has read everything.
    with contextlib.suppress(ConnectionError):
        server.serve()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, so that a killed runner leaves no processes."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


class ForkServer:
    """Answers fork and preload requests, and reports workers that ended."""

    def __init__(self, role: ForkServerKind, control: socket.socket) -> None:
        self._role = role
        self._control = control
        self._workers: dict[int, int] = {}

    def serve(self) -> None:
        """Import, then answer requests until the runner closes its end."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self._preload("")
        while True:
            readable, _, _ = select.select([self._control.fileno(), wake_read], [], [])
            if wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                self._reap()
            if self._control.fileno() in readable:
                message, fds, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
                if not message:
                    return
                match msgspec.json.decode(message, type=Request):
                    case Fork() as request:
                        self._fork(request, fds)
                    case Preload(source=source):
                        self._preload(source)

    def _preload(self, source: str) -> None:
        """Import with the garbage collector off, then freeze: imported objects are never garbage, and their pages stay
        shared with the workers."""
        from etui.engine.process import preload

        start = time.perf_counter()
        error = ""
        gc.disable()
        try:
            if source:
                preload.preload_measure([source])
            elif self._role == "prepare":
                preload.preload_prepare()
            else:
                preload.preload_measure([])
        except (Exception, SystemExit) as failure:  # noqa: BLE001 - a broken library may raise anything; the run reports it
            error = headline(failure)[:ERROR_CHARACTERS]
            # The full traceback goes to the runner's log.
            traceback.print_exc()
        gc.freeze()
        gc.enable()
        self._reply(Ready(seconds=time.perf_counter() - start, source=source, error=error))

    def _fork(self, request: Fork, fds: list[int]) -> None:
        report_fd, log_fd = fds
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = _become_worker(self._control, parent, request.job, report_fd, log_fd)
            finally:
                # Skip the fork server's loop and the exit handlers of libraries that the parent imported.
                os._exit(status)
        os.close(report_fd)
        os.close(log_fd)
        self._workers[pid] = request.number
        self._reply(Started(number=request.number, pid=pid))

    def _reap(self) -> None:
        while self._workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._workers.pop(pid, None)
            if number is not None:
                self._reply(Exited(number=number, status=os.waitstatus_to_exitcode(status)))

    def _reply(self, reply: Reply) -> None:
        self._control.send(msgspec.json.encode(reply))


def _become_worker(control: socket.socket, parent: int, job: msgspec.Raw, report_fd: int, log_fd: int) -> int:
    """Detach from the fork server (process group, standard streams, signal handlers) and do the job; returns the exit
    status."""
    die_with_parent()
    if os.getppid() != parent:
        return 1
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.close()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    status = run(job, Report(report_fd))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing: a Python handler makes the signal write to the wake-up descriptor."""


if __name__ == "__main__":
    main()
