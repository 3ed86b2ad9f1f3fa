"""Hash files by content, and remember a hash for as long as the file is provably untouched."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from etui import private_files

_SETTLED_S = 2.0
"""A file that was changed less than this ago may change again without another time stamp, so that its hash is not
remembered."""

_FOLDER = "hashes"


def content_hash(files: Iterable[Path], cache_dir: Path) -> str:
    """The SHA-256 over the names and contents of files, in the order of their names.

    Raises OSError if one cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.name):
        digest.update(f"{file.name}:{_file_hash(file, cache_dir)};".encode())
    return digest.hexdigest()


def file_stamp(path: Path) -> str:
    """Changes whenever a file is written, replaced or touched; read from its inode, not from its content.

    Raises OSError if it is not there.
    """
    found = path.stat()
    # Unlike the time of the last modification, that of the last change of the inode cannot be set back.
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _file_hash(path: Path, cache_dir: Path) -> str:
    stamp = file_stamp(path)
    remembered = cache_dir / _FOLDER / hashlib.sha256(f"{path.resolve()} {stamp}".encode()).hexdigest()[:32]
    with contextlib.suppress(OSError):
        return remembered.read_text("ascii")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if file_stamp(path) == stamp and time.time() - path.stat().st_ctime > _SETTLED_S:
        _remember(remembered, found)
    return found


def _remember(place: Path, text: str) -> None:
    """Write the hash so that another process sees it whole or not at all; without room on the disk it is not kept."""
    part = place.with_name(f".{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        private_files.make_folder(place.parent, own=True)
        with private_files.create(part) as file:
            file.write(text.encode("ascii"))
        part.replace(place)
