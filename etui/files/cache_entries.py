"""Cache entries: folders that are created atomically, verified by hashes, and not removed while in use.

The cache has a folder for each kind of entry (``programs``, ``models``), and may be shared by several runners,
containers and hosts. A process that creates or uses the entry ``programs/KEY`` holds a shared lock on
``locks/programs-KEY``; a process that removes it holds that lock exclusively. While it is created it is named
``programs/.KEY-XXXXXXXX``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from etui.errors import EtuiError
from etui.files import private as private_files
from etui.files.atomic import sync
from etui.files.hashing import file_hash, file_stamp, is_settled
from etui.files.locks import Held, LocksUnsupported, take
from etui.host.filesystems import is_network

PROGRAMS, MODELS, SCRATCH, WORKERS = "programs", "models", "scratch", "workers"
"""The folders of the two kinds of entries, and of temporary folders of processes."""

LOCKS = "locks"
PATIENCE_S = 60.0
"""How long to wait for a process that removes an entry, which takes seconds at most."""

UNUSED_S = 86_400.0
"""Without a reliable lock, an entry may be removed this number of seconds after its last use."""

_FILES = "files.json"


class _File(msgspec.Struct, frozen=True):
    """Size and hash of a file when it was written."""

    size_bytes: int
    sha256: str


_verified: dict[str, str] = {}
"""The stamps of the files that this process has verified, by path: while a stamp is unchanged, so is the file."""


def lock_path(entry: Path) -> Path:
    """Return the lock file of an entry, complete or incomplete."""
    name = entry.name
    if name.startswith("."):
        name = name[1:].rpartition("-")[0]
    return entry.parent.parent / LOCKS / f"{entry.parent.name}-{name}"


def hold(entry: Path) -> Held | None:
    """Protect an entry, which need not exist yet, from removal. Return None if the file system has no locks: there the
    time of its last use protects it.

    Raises:
        EtuiError: the lock cannot be taken.
    """
    path = lock_path(entry)
    try:
        held = take(path, exclusive=False, patience_s=PATIENCE_S)
    except LocksUnsupported:
        return None
    except OSError as error:
        raise EtuiError(
            f"cannot write the cache lock {path}: {error.strerror or error}",
            "free disk space, or set ETUI_CACHE to another folder",
        ) from error
    if held is None:
        raise EtuiError(f"another process is removing {entry} from the cache", "try again in a minute")
    return held


@contextmanager
def making(entry: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes the entry at the end, atomically and durably; if another process was first,
    its entry is kept.

    Raises:
        EtuiError: the entry cannot be locked.
        OSError: it cannot be written.
    """
    private_files.make_folder(entry.parent, own=True)
    held = hold(entry)
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
        try:
            yield made
            _seal(made)
            try:
                made.replace(entry)
            except OSError:
                if not entry.is_dir():
                    raise
            sync(entry.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    finally:
        if held is not None:
            held.release()


def add_file(entry: Path, name: str, source: Path) -> None:
    """Add a copy of a file to a complete entry. Raises OSError if it cannot be written."""
    part = entry / f".{secrets.token_hex(4)}"
    try:
        with private_files.create(part) as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy)
        recorded = _recorded(entry)
        sync(part)
        part.replace(entry / name)
        if recorded is not None:
            _record(entry, {**recorded, name: _describe(entry / name)})
    finally:
        part.unlink(missing_ok=True)


def damage(entry: Path) -> str | None:
    """Return the problem of a damaged entry; None if its files are intact. Reads all files, unless this process has
    verified them before and they are unchanged.

    Entries of earlier versions have no hashes; for them only the lengths of safetensors files are checked.
    """
    try:
        recorded = _recorded(entry)
    except msgspec.MsgspecError:
        return f"{_FILES} is not readable"
    try:
        if recorded is None:
            truncated = [file.name for file in sorted(entry.glob("*.safetensors")) if not _has_full_length(file)]
            return f"{truncated[0]} is truncated" if truncated else None
        for name, file in recorded.items():
            if problem := _difference(entry / name, file):
                return f"{name} {problem}"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    return None


def has_hashes(entry: Path) -> bool:
    """Whether the hashes of an entry's files were recorded when it was made."""
    return (entry / _FILES).exists()


def remove(entry: Path) -> None:
    """Remove an entry that no other process uses. If this process is killed meanwhile, the rest is swept later and
    never mistaken for a complete entry."""
    doomed = entry.with_name(f".{entry.name}-{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        entry.replace(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def discard(entry: Path, held: Held | None, problem: str) -> None:
    """Remove a damaged entry that this process holds, and keep holding it.

    Raises:
        EtuiError: another process is using it, or it cannot be removed.
    """
    if held is not None and not held.upgrade():
        raise EtuiError(
            f"{entry} in the cache is damaged ({problem}), and another process is using it",
            "try again when that has ended, or without the program cache",
        )
    remove(entry)
    if held is not None:
        held.share()
    if entry.exists():
        raise EtuiError(f"{entry} in the cache is damaged ({problem}) and cannot be removed", "remove it manually")


def may_be_removed(entry: Path, last_use: float) -> Held | None:
    """Return the exclusive lock for removing an unused entry; None if it is, or may be, in use.

    A lock is only valid on one machine. If other machines can use the cache too, or there are no locks, an entry must
    also have been unused for a day; ``last_use`` is the time of its last use in seconds since 1970.
    """
    idle = time.time() - last_use > UNUSED_S
    if not idle and is_network(entry):
        return None
    path = lock_path(entry)
    try:
        return take(path, exclusive=True)
    except LocksUnsupported:
        return _NoLock(path) if idle else None
    except OSError:
        return None


def remove_unused(entry: Path, last_use: float) -> bool:
    """Remove an entry unless it is, or may be, in use, or was used after ``last_use``, in seconds since 1970. Return
    whether it was removed."""
    held = may_be_removed(entry, last_use)
    if held is None:
        return False
    # The entry may have been used and released since it was listed.
    if time_of_last_use(entry) != last_use:
        held.release()
        return False
    remove(entry)
    held.remove()
    return not entry.exists()


def is_in_use(entry: Path) -> bool | None:
    """Whether a process on this machine holds an entry. None if that cannot be determined: the lock is not accessible,
    or other machines can use the cache too. Creates no file."""
    try:
        fd = os.open(lock_path(entry), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None if is_network(entry) else False
    except OSError:
        return None
    try:
        # Held for an instant; a process that needs the lock now tries again.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(fd)
    return None if is_network(entry) else False


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder; none if it cannot be read."""
    try:
        return [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []


def time_of_last_use(entry: Path) -> float:
    """Return the time of the last use of an entry in seconds since 1970; 0 if it no longer exists."""
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def size_in_bytes(entry: Path) -> int:
    """Return the total size of a folder's files in bytes; files that disappear meanwhile count as 0."""
    total = 0
    for folder, _, names in os.walk(entry):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total


class Scratch:
    """A temporary folder of this process in the cache. It is swept if the process is killed."""

    def __init__(self, folder: Path) -> None:
        """Create the folder. Raises EtuiError if that fails."""
        self.folder = folder
        self._held = hold(folder)
        try:
            private_files.make_folder(folder, own=True)
        except OSError as error:
            self.remove()
            raise EtuiError(
                f"cannot write to the cache {folder}: {error.strerror}",
                "free disk space, or set ETUI_CACHE to another folder",
            ) from error

    def remove(self) -> None:
        """Remove the folder and its content."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()
        if self._held is not None:
            # Other processes only take this lock to sweep the folder.
            self._held.remove()


class _NoLock(Held):
    """A placeholder for file systems without locks."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, -1)
        self._fd = None


def _seal(made: Path) -> None:
    """Make all files private, record their hashes, and flush them to disk. The folder is still private, so no other
    user can have opened them."""
    private_files.tighten_files_in(made)
    _record(made, {file.name: _describe(file) for file in sorted(made.iterdir()) if file.is_file()})
    for file in made.iterdir():
        if file.is_file():
            sync(file)
    sync(made)


def _describe(path: Path) -> _File:
    return _File(size_bytes=path.stat().st_size, sha256=file_hash(path))


def _record(entry: Path, files: dict[str, _File]) -> None:
    part = entry / f".{secrets.token_hex(4)}"
    try:
        with private_files.create(part) as written:
            written.write(msgspec.json.encode(files))
        sync(part)
        part.replace(entry / _FILES)
    finally:
        part.unlink(missing_ok=True)


def _recorded(entry: Path) -> dict[str, _File] | None:
    try:
        content = (entry / _FILES).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=dict[str, _File])


def _difference(path: Path, recorded: _File) -> str | None:
    try:
        stamp = file_stamp(path)
        if path.stat().st_size != recorded.size_bytes:
            return "has a different size than when it was written"
        if _verified.get(str(path)) == stamp:
            return None
        if file_hash(path) != recorded.sha256:
            return "has different content than when it was written"
        if file_stamp(path) == stamp and is_settled(path):
            _verified[str(path)] = stamp
    except FileNotFoundError:
        return "is missing"
    return None


def _has_full_length(path: Path) -> bool:
    """Whether a safetensors file has the length that its header specifies."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= size - 8:
            return False
        try:
            header = msgspec.json.decode(file.read(length), type=dict[str, dict[str, object]])
            ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]  # type: ignore[index]
        except (msgspec.MsgspecError, KeyError, TypeError, IndexError, ValueError):
            return False
    return 8 + length + max(ends, default=0) == size
