"""The machine's lock: one measurement at a time, whatever database, user or version of etui, each runner in its turn.

The lock is a Unix socket with an abstract name: whoever has bound the name holds the machine, and the kernel frees it
with the process. No user can make the name inaccessible to another one, as a file in /tmp can be made that somebody
else created first, and there is no content to truncate, to fill or to link elsewhere. A second name, the turn, is taken
before the machine and given back once the machine is held: a runner with more work queued finds the turn taken by the
runner that waits, so two runners alternate, and among more of them none is passed over other than by chance.

The file of earlier versions (/tmp/etui-box.lock) is locked as well, so that they and this one never measure at once.
It also keeps processes apart that share /tmp but not the network namespace, in which abstract names live. It is opened
for reading only and never written to; one that another user made unreadable, a link, or anything but a plain file is
passed over, which is said: then a session of an earlier version is not waited for.

What a local user can still do is to hold the lock. Waiting says who does, as the kernel knows it (the process and user
of a socket's other end; /proc/locks for the file), can be cancelled, and ends after ``ETUI_WAIT_MACHINE`` minutes (24
hours where that is not set). What another process says about itself is read up to a limit and shown as plain text.
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
ASK_AGAIN_S = 2.0
"""How often the holder is asked who it is: each answer is taken from the cores that are being timed."""

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
    """Who has the machine. ``pid`` and ``user`` are the kernel's word, None where it does not say; ``doing`` and
    ``since`` are what the process itself says, made plain and cut; empty where it says nothing."""

    pid: int | None = None
    user: str | None = None
    doing: str = ""
    since: str = ""

    def words(self) -> str:
        """Who it is, in a few words."""
        at = _TIME.fullmatch(self.since)
        known = [
            f"pid {self.pid}" if self.pid else "",
            f"user {self.user}" if self.user else "",
            f"since {at[1]} UTC" if at else "",
        ]
        details = ", ".join(one for one in known if one)
        return (self.doing or "another process") + (f" ({details})" if details else "")


class _Said(msgspec.Struct, frozen=True):
    """What a holder tells whoever asks it."""

    doing: str
    since: str


class MachineLock:
    """The lock of the machine whose lock file is ``path``. Not inherited by child processes.

    ``passed_over`` says why the file of earlier versions is not used, None where it is.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = (path or machine_lock_path()).absolute()
        name = b"\0etui-machine-" + hashlib.sha256(os.fsencode(self._path)).hexdigest()[:24].encode()
        self._machine_name, self._turn_name = name, name + b"-turn"
        self._machine: socket.socket | None = None
        self._turn: socket.socket | None = None
        self._file: int | None = None
        self.passed_over: str | None = None

    def acquire(self) -> bool:
        """Take the machine if it is free and it is our turn; False where another process has it.

        A caller that is refused keeps its place in the order until it calls ``release``: it tries again, or gives up
        with that.

        Raises:
            EtuiError: this system has no such sockets.
        """
        if self._machine is None:
            self._turn = self._turn or _bound(self._turn_name)
            if self._turn is None:
                return False
            self._machine = _bound(self._machine_name)
        if self._machine is None or not self._lock_file():
            # Who asks while we wait learns who we are; unanswered, they would soon find no room to ask.
            for held in (self._turn, self._machine):
                if held is not None:
                    _answered(held, b"")
            return False
        _close(self._turn)
        self._turn = None
        return True

    def release(self) -> None:
        """Give the machine back, or the place among those who wait for it."""
        for held in (self._machine, self._turn):
            _close(held)
        self._machine = self._turn = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self, root: Path = Path("/")) -> Holder | None:
        """Who has the machine now, or waits for it with nobody holding it; None where nobody does or it is this
        object. ``root`` holds /proc."""
        for name, own in ((self._machine_name, self._machine), (self._turn_name, self._turn)):
            if own is None and (found := _asked(name)) is not None:
                return found
        return None if self._file is not None else _file_holder(self._path, root)

    @contextmanager
    def answering(self, doing: str) -> Iterator[None]:
        """While this lasts, tell who asks what the machine is held for. Needs a running loop and the lock."""
        machine, loop = self._machine, asyncio.get_running_loop()
        assert machine is not None
        said = msgspec.json.encode(_Said(doing=shortened(doing, _LONGEST_DOING), since=utc_now()))[:_MOST_BYTES]

        loop.add_reader(machine, _answered, machine, said)
        try:
            yield
        finally:
            loop.remove_reader(machine)

    def _lock_file(self) -> bool:
        """Lock the file of earlier versions. True where it is ours, or cannot be used."""
        if self._file is not None:
            return True
        self.passed_over = None
        try:
            fd = _open_plain(self._path)
        except OSError as error:
            self.passed_over = error.strerror or str(error)
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            self.passed_over = error.strerror or str(error)
            return True
        self._file = fd
        return True


@asynccontextmanager
async def hold(doing: str, waiting: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the machine while in here; ``waiting`` is told in words whom we wait for, each time that is somebody else.

    Raises:
        WaitedTooLong: it was not free for ``wait_limit_s`` seconds.
        EtuiError: this system has no such lock.
    """
    lock, said, asked_at = MachineLock(), "", 0.0
    limit_s, begun = wait_limit_s(), time.monotonic()
    try:
        while not lock.acquire():
            now = time.monotonic()
            if not said or now - asked_at > ASK_AGAIN_S:
                holder, asked_at = lock.holder(), now
                # Between two holders there is nobody to name.
                words = holder.words() if holder else said or "another process"
                if words != said:
                    waiting(f"waiting for the box: {words}")
                    said = words
            if now - begun > limit_s:
                raise WaitedTooLong(
                    f"the machine was not free for {seconds(limit_s)}: it is held by {said}",
                    f"ask its owner to end it, or wait longer with {WAIT_VARIABLE}=MINUTES",
                )
            await asyncio.sleep(POLL_S)
        if lock.passed_over is not None:
            waiting(
                f"the lock file of earlier versions, {plain(str(machine_lock_path()))}, cannot be used"
                f" ({lock.passed_over}): a session of an earlier etui is not waited for"
            )
        with lock.answering(doing):
            yield
    finally:
        lock.release()


def wait_limit_s() -> float:
    """How many seconds a session waits for the machine at most: what ``ETUI_WAIT_MACHINE`` says in minutes, else 24
    hours. A value that is not a positive number is ignored."""
    try:
        minutes = float(os.environ.get(WAIT_VARIABLE, ""))
    except ValueError:
        minutes = DEFAULT_WAIT_MIN
    return 60 * (minutes if 0 < minutes < float("inf") else DEFAULT_WAIT_MIN)


def _bound(name: bytes) -> socket.socket | None:
    """A socket that has this name; None where another has it."""
    try:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            made.bind(name)
            made.listen(_WAITING_ASKERS)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise EtuiError(
            f"cannot take the machine's lock: {error.strerror or error}",
            "run etui where abstract Unix sockets are allowed",
        ) from error
    return made


def _close(held: socket.socket | None) -> None:
    if held is not None:
        held.close()


def _answered(held: socket.socket, said: bytes) -> None:
    """Tell those who ask now, each once."""
    for _ in range(_WAITING_ASKERS):
        try:
            asking, _address = held.accept()
        except OSError:
            return
        with asking, contextlib.suppress(OSError):
            asking.setblocking(False)
            asking.send(said, socket.MSG_NOSIGNAL)


def _asked(name: bytes) -> Holder | None:
    """Who has bound a name, and what it says within a moment; None where nobody has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking:
        try:
            asking.connect(name)
        except ConnectionRefusedError:
            return None
        except OSError:
            # Too many ask at once, or the name belongs to a socket of another kind.
            return Holder()
        pid, uid, _ = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        said = None
        asking.settimeout(_ANSWER_S)
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            said = msgspec.json.decode(asking.recv(_MOST_BYTES), type=_Said)
    return Holder(
        pid=pid or None,
        user=name_of(uid),
        doing=shortened(said.doing, _LONGEST_DOING) if said else "",
        since=said.since if said else "",
    )


def _file_holder(path: Path, root: Path) -> Holder | None:
    """Who has locked the file of earlier versions, from the kernel's list of locks: trying the lock could take it from
    a runner. None where nobody has, or that cannot be known."""
    try:
        inode = path.stat(follow_symlinks=False).st_ino
        with (root / "proc/locks").open() as file:
            locks = file.read(_MOST_LOCKS_BYTES)
    except OSError:
        return None
    found = re.search(rf"^\d+: (?!->)FLOCK\s+\S+\s+\S+ (-?\d+) \S+:\S+:{inode} ", locks, re.MULTILINE)
    if found is None:
        return None
    pid = int(found[1])
    user = None
    with contextlib.suppress(OSError):
        user = name_of((root / "proc" / str(pid)).stat().st_uid)
    return Holder(pid=pid if pid > 0 else None, user=user)


def _open_plain(path: Path) -> int:
    """Open the lock file for reading, making it for every user where there is none.

    Raises OSError, also where it is anything but a plain file with one name: a lock on a file that is linked from
    elsewhere would be one on another program's file.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        # Earlier versions open it for writing, whoever made it.
        with contextlib.suppress(OSError):
            os.fchmod(fd, 0o666)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "it is not a plain file with one name")
