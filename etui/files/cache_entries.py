"""Entries of the cache: folders that are written whole, whose files are known by their hashes, and that nobody removes
while somebody uses them.

The cache is a folder with a folder for each kind of entry (``programs``, ``models``), and may be shared by several
runners, containers and hosts. Who makes or uses the entry ``programs/KEY`` shares the lock ``locks/programs-KEY``; who
removes it has that lock alone. While it is made it is called ``programs/.KEY-XXXXXXXX``.
"""

from __future__ import annotations

import contextlib
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

LOCKS = "locks"
PATIENCE_S = 60.0
"""How long to wait for whoever removes an entry; that takes seconds at most."""

UNUSED_S = 86_400.0
"""What has no reliable lock may be removed this long after its last use."""

_FILES = "files.json"


class _File(msgspec.Struct, frozen=True):
    """What a file of an entry was when it was written."""

    size_bytes: int
    sha256: str


_verified: dict[str, str] = {}
"""The stamps of the files that this process has verified, by path: as long as one stands, its file is the same."""


def lock_path(entry: Path) -> Path:
    """The file whose lock belongs to an entry, be it finished or half-made."""
    name = entry.name
    if name.startswith("."):
        name = name[1:].rpartition("-")[0]
    return entry.parent.parent / LOCKS / f"{entry.parent.name}-{name}"


def hold(entry: Path) -> Held | None:
    """Keep an entry, which need not be there yet, from being removed. None if the file system has no locks: there its
    last use protects it.

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
            f"cannot write the cache's lock {path}: {error.strerror or error}",
            "free space, or point ETUI_CACHE elsewhere",
        ) from error
    if held is None:
        raise EtuiError(f"another process is removing {entry} from the cache", "run it again in a minute")
    return held


@contextmanager
def making(entry: Path) -> Iterator[Path]:
    """A folder to fill, which at the end becomes the entry, whole and on the disk; if another process was first, its
    entry stays.

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
    """Put a copy of a file into a finished entry. Raises OSError if it cannot be written."""
    part = entry / f".{secrets.token_hex(4)}"
    try:
        with private_files.create(part) as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy)
        recorded = _recorded(entry)
        sync(part)
        part.replace(entry / name)
        if recorded is not None:
            _record(entry, {**recorded, name: _as_it_is(entry / name)})
    finally:
        part.unlink(missing_ok=True)


def damage(entry: Path) -> str | None:
    """What is wrong with the files of an entry, in words; None if they hold what was written. Takes as long as reading
    them does, unless this process has verified them before and they are untouched since.

    Entries of earlier versions have no hashes. Of those only the lengths of safetensors files can be told.
    """
    try:
        recorded = _recorded(entry)
    except msgspec.MsgspecError:
        return f"{_FILES} is not readable"
    try:
        if recorded is None:
            cut = [file.name for file in sorted(entry.glob("*.safetensors")) if not _has_its_length(file)]
            return f"{cut[0]} is cut short" if cut else None
        for name, file in recorded.items():
            if wrong := _difference(entry / name, file):
                return f"{name} {wrong}"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    return None


def has_hashes(entry: Path) -> bool:
    """Whether the hashes of an entry's files were recorded when it was made."""
    return (entry / _FILES).exists()


def remove(entry: Path) -> None:
    """Remove an entry that nobody else uses. Who is killed meanwhile leaves one that is swept, not one that looks
    whole."""
    doomed = entry.with_name(f".{entry.name}-{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        entry.replace(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def discard(entry: Path, held: Held | None, wrong: str) -> None:
    """Remove a damaged entry that this process holds, and keep its place.

    Raises:
        EtuiError: others are using it, or it cannot be removed.
    """
    if held is not None and not held.upgrade():
        raise EtuiError(
            f"{entry} in the cache is damaged ({wrong}), and another process is using it",
            "run it again when that has ended, or with --no-cache",
        )
    remove(entry)
    if held is not None:
        held.share()
    if entry.exists():
        raise EtuiError(f"{entry} in the cache is damaged ({wrong}) and cannot be removed", "remove it")


def may_be_removed(entry: Path, last_use: float) -> Held | None:
    """The exclusive lock of an entry that nobody uses, to remove it under; None if somebody does, or may.

    A lock counts on one machine. If other machines can use the cache too, or there are no locks, an entry must also
    have been unused for a day; ``last_use`` is when that was, in seconds since 1970.
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


class Scratch:
    """A folder that belongs to this process alone. It is swept after a process that was killed."""

    def __init__(self, folder: Path) -> None:
        """Make it. Raises EtuiError if it cannot be made."""
        self.folder = folder
        self._held = hold(folder)
        try:
            private_files.make_folder(folder, own=True)
        except OSError as error:
            self.remove()
            raise EtuiError(
                f"cannot write the cache {folder}: {error.strerror}", "free space, or point ETUI_CACHE elsewhere"
            ) from error

    def remove(self) -> None:
        """Remove it with what it holds."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()
        if self._held is not None:
            # Nobody else ever takes this lock, except to sweep the folder.
            self._held.remove()


class _NoLock(Held):
    """Stands for the lock where there are none."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, -1)
        self._fd = None


def _seal(made: Path) -> None:
    """Close all files to other users, who cannot enter the folder yet, record their hashes, and see that they are on
    the disk."""
    private_files.tighten_files_in(made)
    _record(made, {file.name: _as_it_is(file) for file in sorted(made.iterdir()) if file.is_file()})
    for file in made.iterdir():
        if file.is_file():
            sync(file)
    sync(made)


def _as_it_is(path: Path) -> _File:
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
            return "has another size than it was written with"
        if _verified.get(str(path)) == stamp:
            return None
        if file_hash(path) != recorded.sha256:
            return "holds something else than was written"
        if file_stamp(path) == stamp and is_settled(path):
            _verified[str(path)] = stamp
    except FileNotFoundError:
        return "is missing"
    return None


def _has_its_length(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
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
