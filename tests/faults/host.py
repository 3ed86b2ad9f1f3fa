"""A machine for the faults: separate folders on small file systems that can be filled, the command, and its database as
sqlite3 sees it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from tests.machines import ETUI, Machine, restore_signals

LINGER_S = 4.0
"""How long a runner stays after its last session: long enough for the next command of a round to find it warm."""

LIMIT_S = 120.0
"""A command that takes longer than this counts as hanging: the work of a round takes a few seconds."""

POLL_S = 0.03
DISK_MB = {"database": 24, "cache": 64, "state": 8, "tmp": 64}
_CLONE_NEWNS = 0x00020000


def own_mounts() -> bool:
    """Give this process a private mount namespace, which ends with it. Return False if that is not permitted; the
    faults of disks are then skipped."""
    if os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return False
    return _quietly("mount", "--make-rprivate", "/")


@dataclass
class Front:
    """A started command: its process, its arguments, and the files of its output."""

    process: subprocess.Popen[bytes]
    arguments: tuple[str, ...]
    out: Path
    err: Path

    @property
    def stdout(self) -> str:
        """Return what it has printed so far."""
        return self.out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """Return what it has written to stderr so far."""
        return self.err.read_text(errors="replace")

    def ended(self, limit_s: float = LIMIT_S) -> int | None:
        """Return its exit status, or None if it has not ended within the limit; it is then killed."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


class Host(Machine):
    """A ``Box`` whose database, cache, state and temporary files are in separate folders (with ``mounts``: on separate
    disks). ``user`` is another user's id that commands run as, ``lock`` a lock file shared with another host."""

    def __init__(
        self, folder: Path, *, mounts: bool = False, lock: Path | None = None, user: int | None = None
    ) -> None:
        super().__init__(folder)
        self.places = {place: folder / place for place in DISK_MB}
        self.models = folder / "models"
        self.outputs = folder / "outputs"
        self.home = folder / "home"
        self.lock = lock or folder / "lock" / "machine.lock"
        self.mounted = mounts
        self._user = user
        self._count = 0
        for path in (*self.places.values(), self.models, self.outputs, self.home, self.lock.parent):
            path.mkdir(parents=True, exist_ok=True)
        if lock is None:
            self.lock.parent.chmod(0o1777)
        if mounts:
            for place, size_mb in DISK_MB.items():
                _mount(self.places[place], size_mb)
        if user is not None:
            for path in (folder, *self.places.values(), self.home):
                os.chown(path, user, user)
        self.database = self.places["database"] / "etui.db"
        self.cache = self.places["cache"]
        self.state = self.places["state"]
        self.environment |= {
            "ETUI_DB": str(self.database),
            "ETUI_CACHE": str(self.cache),
            "ETUI_STATE": str(self.state),
            "ETUI_BOX_LOCK": str(self.lock),
            "ETUI_LINGER_S": str(LINGER_S),
            "TMPDIR": str(self.places["tmp"]),
            "HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    # Commands

    def launch(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        limit: Callable[[], None] | None = None,
    ) -> Front:
        """Start the installed command in a separate session, with additional variables; ``limit`` is called in its
        process before it begins."""
        self._count += 1
        out, err = (self.outputs / f"{self._count:03d}.{name}" for name in ("out", "err"))

        def prepare() -> None:
            restore_signals()
            if limit is not None:
                limit()

        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [*self._as_user(), str(ETUI), *arguments],
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=prepare,
                cwd="/",
            )
        return Front(process, arguments, out, err)

    def command(self, *arguments: str, limit_s: float = LIMIT_S) -> tuple[Front, int | None]:
        """Run the installed command to its end; return it and its exit status (None: it did not end)."""
        front = self.launch(*arguments)
        return front, front.ended(limit_s)

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        name = str(self._user)
        command = ["setpriv", "--reuid", name, "--regid", name, "--clear-groups"]
        if not can_be_user(self._user):
            # The interpreter is in a folder that only root may enter: reading is permitted, writing is not.
            command += ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        return [*command, "--"]

    # The database

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return the rows of a query; none if the database does not exist, is being replaced, or is damaged."""
        try:
            with self.connected() as connection:
                return connection.execute(query, values).fetchall()
        except sqlite3.Error:
            return []

    @contextlib.contextmanager
    def connected(self, timeout_s: float = 5.0) -> Iterator[sqlite3.Connection]:
        """Yield a connection to the database like that of another program. Raises sqlite3.Error."""
        # Not read-only: if such a connection is the last one, it leaves the files of the journal.
        connection = sqlite3.connect(f"file:{self.database}?mode=rw", uri=True, timeout=timeout_s, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def runs(self) -> dict[str, str]:
        """Return the status of every run by its id."""
        return dict(self.rows("SELECT id, status FROM runs"))

    def live(self) -> list[str]:
        """Return the runs, analyses and sessions that have not ended."""
        return [
            f"{kind} {one} {status}"
            for kind, one, status in self.rows(
                "SELECT 'run', id, status FROM live_runs"
                " UNION ALL SELECT 'pass', id, status FROM passes WHERE status IN ('queued', 'running')"
                " UNION ALL SELECT 'session', id, 'unfinished' FROM sessions WHERE finished_at IS NULL"
            )
        ]

    # Processes

    def fork_servers(self, role: str = "") -> list[psutil.Process]:
        """Return the fork servers, of one role or all."""
        servers = []
        for runner in self.runners():
            for process in _children(runner):
                arguments = command_line(process)
                if "etui.engine.process.fork_server" in arguments and (not role or role in arguments):
                    servers.append(process)
        return servers

    def runners(self) -> list[psutil.Process]:
        """Return the runners of this database."""
        runners = []
        for process in psutil.process_iter():
            arguments = command_line(process)
            if "etui.runner" in arguments and str(self.database) in arguments:
                runners.append(process)
        return runners

    def workers(self, role: str = "") -> list[psutil.Process]:
        """Return the active workers, of one role or all."""
        return [worker for server in self.fork_servers(role) for worker in _children(server)]

    def target(self, name: str) -> list[psutil.Process]:
        """Return the processes of a signal's target; the process of a front end is known to its caller."""
        kind, _, role = name.partition("-")
        if kind == "fork":
            return self.fork_servers(role)
        return self.workers(role) if kind == "worker" else self.runners()

    def stop_runners(self) -> None:
        """Stop the runners as ``kill`` does, and wait until they have ended."""
        for runner in self.runners():
            send(runner, signal.SIGTERM)
        wait_until(lambda: not self.processes(), 30.0)

    # Disks

    def fill(self, place: str, spare_bytes: int) -> None:
        """Fill the disk of a folder up to this number of free bytes. Raises OSError."""
        disk = os.statvfs(self.places[place])
        size = max(0, disk.f_bavail * disk.f_frsize - spare_bytes)
        with self._filler(place).open("wb") as file:
            if size:
                with contextlib.suppress(OSError):  # another process wrote at the same time
                    os.posix_fallocate(file.fileno(), 0, size)

    def free(self, place: str) -> None:
        """Delete what ``fill`` wrote."""
        self._filler(place).unlink(missing_ok=True)

    def _filler(self, place: str) -> Path:
        return self.places[place] / "filler"

    def read_only(self, place: str, *, wanted: bool) -> bool:
        """Make the disk of a folder read-only or writable. Return False if a process has a file open there for
        writing."""
        return _quietly("mount", "-o", f"remount,{'ro' if wanted else 'rw'}", str(self.places[place]))

    # Ends

    def close(self) -> None:
        """Stop every process of this host and unmount its disks."""
        for process in self.processes():
            send(process, signal.SIGKILL)
        wait_until(lambda: not self.processes(), 30.0)
        if self.mounted:
            for path in self.places.values():
                _quietly("umount", "-l", str(path))
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def can_be_user(user: int) -> bool:
    """Whether another user can run the installed command."""
    # Through a shell, because setpriv still looks up the program it starts with the rights of root.
    command = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--"]
    return _quietly(*command, "sh", "-c", 'exec "$0" --version', str(ETUI))


def send(process: psutil.Process, number: signal.Signals) -> bool:
    """Send a signal; return False if the process has ended."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def wait_until(condition: Callable[[], object], limit_s: float) -> bool:
    """Poll until the condition holds or the time limit is over; return whether it holds."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of this file."""
    try:
        handle: IO[bytes] = file.open("rb")
    except OSError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _mount(folder: Path, size_mb: int) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "etui-faults", str(folder)],
        check=True,
        capture_output=True,
    )


def _quietly(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children()
    except psutil.NoSuchProcess:
        return []
    return children


def command_line(process: psutil.Process) -> list[str]:
    """Return the command line of a process; empty if it has ended."""
    try:
        arguments: list[str] = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return []
    return arguments
