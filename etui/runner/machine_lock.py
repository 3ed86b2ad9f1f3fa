"""The machine lock: one measurement at a time, across databases, users and versions of etui; waiting runners take
turns.

The lock is a Unix socket with an abstract name: the process that has bound the name holds the machine, and the kernel
frees it when the process ends. Unlike a file in /tmp, it cannot be created first by another user to keep others out,
and it has no content to truncate, fill or link elsewhere. A second name, the turn, is bound before the machine and
released once the machine is held: a runner with more queued work finds the turn taken by the waiting runner, so two
runners alternate, and with more of them each gets the machine eventually.

The lock file of earlier versions (/tmp/etui-box.lock) is locked as well, so that those versions and this one never
measure at the same time. It also separates processes that share /tmp but not the network namespace, which abstract
names belong to. The file is only opened for reading and never written. If another user made it unreadable, or it is a
link or anything but a regular file, it is skipped with a warning: sessions of earlier versions are then not waited for.

A local user can still hold the lock indefinitely. The waiting message names the holder as the kernel reports it (the
process and user at the other end of the socket; /proc/locks for the file). Waiting can be cancelled, and ends after
``ETUI_WAIT_MACHINE`` minutes (default 24 hours). What another process reports about itself is read up to a limit and
shown as plain text.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import socket
import stat
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from etui.errors import EXIT_TIMED_OUT, EtuiError
from etui.events import utc_now
from etui.host.user import name_of
from etui.paths import machine_lock_path
from etui.text import plain, seconds, shortened

POLL_S = 0.2
QUERY_PERIOD_S = 2.0
"""Seconds between queries of the holder: each answer takes CPU time from the cores that are being timed."""

DEFAULT_WAIT_MIN = 24 * 60.0
WAIT_VARIABLE = "ETUI_WAIT_MACHINE"

_ANSWER_S = 0.2
_MOST_BYTES = 1024
_LONGEST_DOING = 120
_WAITING_ASKERS = 16
_CREDENTIALS = struct.Struct("3i")
_MOST_LOCKS_BYTES = 1 << 20
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(\.\d+)?Z")


class WaitedTooLong(EtuiError):
    """The machine did not become free within the time limit for that."""

    exit_status = EXIT_TIMED_OUT


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds the machine. ``pid`` and ``user`` come from the kernel, None if unknown; ``doing`` and
    ``since`` are reported by the process itself, sanitized and shortened; empty if it reports nothing."""

    pid: int | None = None
    user: str | None = None
    doing: str = ""
    since: str = ""

    def to_text(self) -> str:
        """Describe the holder for a message."""
        since = _TIME.fullmatch(self.since)
        parts = [
            f"pid {self.pid}" if self.pid else "",
            f"user {self.user}" if self.user else "",
            f"since {since[1]} UTC" if since else "",
        ]
        details = ", ".join(part for part in parts if part)
        return (self.doing or "another process") + (f" ({details})" if details else "")


class _HolderMessage(msgspec.Struct, frozen=True):
    """The answer of a holder to a query."""

    doing: str
    since: str


class MachineLock:
    """The lock of the machine whose lock file is ``path``. Not inherited by worker processes.

    ``file_problem`` is the reason why the lock file of earlier versions is not used; None if it is used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = (path or machine_lock_path()).absolute()
        name = b"\0etui-machine-" + hashlib.sha256(os.fsencode(self._path)).hexdigest()[:24].encode()
        self._machine_name, self._turn_name = name, name + b"-turn"
        self._machine: socket.socket | None = None
        self._turn: socket.socket | None = None
        self._file: int | None = None
        self.file_problem: str | None = None

    def acquire(self) -> bool:
        """Take the machine if it is free and it is our turn; return False if another process holds it.

        A caller that gets False keeps its place in the queue until it calls ``release``: it should try again, or give
        up by calling ``release``.

        Raises:
            EtuiError: abstract Unix sockets are not available.
        """
        if self._machine is None:
            self._turn = self._turn or _bind(self._turn_name)
            if self._turn is None:
                return False
            self._machine = _bind(self._machine_name)
        if self._machine is None or not self._lock_file():
            # Answer queries while waiting too: unanswered ones would fill the socket's backlog.
            for held in (self._turn, self._machine):
                if held is not None:
                    _answer(held, b"")
            return False
        _close(self._turn)
        self._turn = None
        return True

    def release(self) -> None:
        """Release the machine, or the place in the queue for it."""
        for held in (self._machine, self._turn):
            _close(held)
        self._machine = self._turn = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def users(self, root: Path = Path("/")) -> tuple[Holder | None, Holder | None]:
        """Return the process that holds the machine, and the one whose turn is next; None if there is no such process.
        Further processes that wait are not known. ``root`` contains /proc."""
        machine, turn = _query_holder(self._machine_name), _query_holder(self._turn_name)
        file = _file_holder(self._path, root)
        if file is not None and file.pid and machine is not None and machine.pid and file.pid != machine.pid:
            # An earlier version, which uses only the file, is being waited for.
            return file, machine
        holder = machine or file
        if turn is not None and holder is not None and turn.pid == holder.pid:
            turn = None
        return holder, turn

    def holder(self, root: Path = Path("/")) -> Holder | None:
        """Return the process that holds the machine now, or waits for a free machine; None if there is no such process
        or it is this object. ``root`` contains /proc."""
        for name, own in ((self._machine_name, self._machine), (self._turn_name, self._turn)):
            if own is None and (holder := _query_holder(name)) is not None:
                return holder
        return None if self._file is not None else _file_holder(self._path, root)

    @contextmanager
    def answering(self, doing: str) -> Iterator[None]:
        """Answer queries about the purpose of holding the machine. Needs a running event loop and the lock."""
        machine, loop = self._machine, asyncio.get_running_loop()
        assert machine is not None
        message = _HolderMessage(doing=shortened(doing, _LONGEST_DOING), since=utc_now())
        loop.add_reader(machine, _answer, machine, msgspec.json.encode(message)[:_MOST_BYTES])
        try:
            yield
        finally:
            loop.remove_reader(machine)

    def _lock_file(self) -> bool:
        """Lock the file of earlier versions. Return True if this object holds it, or it cannot be used."""
        if self._file is not None:
            return True
        self.file_problem = None
        try:
            fd = _open_plain(self._path)
        except OSError as error:
            self.file_problem = error.strerror or str(error)
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            self.file_problem = error.strerror or str(error)
            return True
        self._file = fd
        return True


@asynccontextmanager
async def hold(doing: str, waiting: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the machine within this context; ``waiting`` is called with a message whenever the holder waited for
    changes.

    Raises:
        WaitedTooLong: the machine was not free for ``wait_limit_s`` seconds.
        EtuiError: this system has no such lock.
    """
    lock, shown_holder, queried_at = MachineLock(), "", 0.0
    limit_s, begun = wait_limit_s(), time.monotonic()
    try:
        while not lock.acquire():
            now = time.monotonic()
            if not shown_holder or now - queried_at > QUERY_PERIOD_S:
                holder, queried_at = lock.holder(), now
                # Between two holders there is none to name.
                text = holder.to_text() if holder else shown_holder or "another process"
                if text != shown_holder:
                    waiting(f"waiting for the machine, held by {text}")
                    shown_holder = text
            if now - begun > limit_s:
                raise WaitedTooLong(
                    f"the machine was not free for {seconds(limit_s)}: it is held by {shown_holder}",
                    f"ask its owner to stop it, or wait longer with {WAIT_VARIABLE}=MINUTES",
                )
            await asyncio.sleep(POLL_S)
        if lock.file_problem is not None:
            waiting(
                f"cannot use the lock file of earlier versions, {plain(str(machine_lock_path()))}"
                f" ({lock.file_problem}): sessions of earlier versions of etui are not waited for"
            )
        with lock.answering(doing):
            yield
    finally:
        lock.release()


def wait_limit_s() -> float:
    """Return the longest wait for the machine in seconds: ``ETUI_WAIT_MACHINE`` minutes, else 24 hours. A value that is
    not a positive number is ignored."""
    try:
        minutes = float(os.environ.get(WAIT_VARIABLE, ""))
    except ValueError:
        minutes = DEFAULT_WAIT_MIN
    return 60 * (minutes if 0 < minutes < float("inf") else DEFAULT_WAIT_MIN)


def _bind(name: bytes) -> socket.socket | None:
    """Return a listening socket with this name; None if the name is taken."""
    try:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            bound.bind(name)
            bound.listen(_WAITING_ASKERS)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise EtuiError(
            f"cannot take the machine's lock: {error.strerror or error}",
            "run etui in an environment that allows abstract Unix sockets",
        ) from error
    return bound


def _close(held: socket.socket | None) -> None:
    if held is not None:
        held.close()


def _answer(held: socket.socket, message: bytes) -> None:
    """Answer the pending queries, each once."""
    for _ in range(_WAITING_ASKERS):
        try:
            client, _address = held.accept()
        except OSError:
            return
        with client, contextlib.suppress(OSError):
            client.setblocking(False)
            client.send(message, socket.MSG_NOSIGNAL)


def _query_holder(name: bytes) -> Holder | None:
    """Return the process that has bound a name, with its answer if that comes in time; None if the name is free."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        try:
            client.connect(name)
        except ConnectionRefusedError:
            return None
        except OSError:
            # The backlog is full, or the name belongs to a socket of another kind.
            return Holder()
        pid, uid, _ = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        message = None
        client.settimeout(_ANSWER_S)
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            message = msgspec.json.decode(client.recv(_MOST_BYTES), type=_HolderMessage)
    return Holder(
        pid=pid or None,
        user=name_of(uid),
        doing=shortened(message.doing, _LONGEST_DOING) if message else "",
        since=message.since if message else "",
    )


def _file_holder(path: Path, root: Path) -> Holder | None:
    """Return the process that has locked the file of earlier versions, from the kernel's list of locks: trying the lock
    could take it from a runner. None if there is none, or it is not readable."""
    try:
        inode = path.stat(follow_symlinks=False).st_ino
        with (root / "proc/locks").open() as file:
            locks = file.read(_MOST_LOCKS_BYTES)
    except OSError:
        return None
    match = re.search(rf"^\d+: (?!->)FLOCK\s+\S+\s+\S+ (-?\d+) \S+:\S+:{inode} ", locks, re.MULTILINE)
    if match is None:
        return None
    pid = int(match[1])
    user = None
    with contextlib.suppress(OSError):
        user = name_of((root / "proc" / str(pid)).stat().st_uid)
    return Holder(pid=pid if pid > 0 else None, user=user)


def _open_plain(path: Path) -> int:
    """Open the lock file for reading; create it for all users if it is missing.

    Raises OSError, also if it is not a regular file with a single link: locking a file that is linked from elsewhere
    could lock another program's file.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        # Earlier versions open it for writing, whichever user created it.
        with contextlib.suppress(OSError):
            os.fchmod(fd, 0o666)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file with a single link")
