"""Hash files by content, and remember a hash for as long as the file is provably untouched."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from etui.files import private as private_files
from etui.files.hashing import file_hash, file_stamp, is_settled

_FOLDER = "hashes"
_HASH = re.compile(r"[0-9a-f]{64}")


def content_hash(files: Iterable[Path], cache_dir: Path) -> str:
    """The SHA-256 over the names and contents of files, in the order of their names.

    Raises OSError if one cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.name):
        digest.update(f"{file.name}:{_file_hash(file, cache_dir)};".encode())
    return digest.hexdigest()


def _file_hash(path: Path, cache_dir: Path) -> str:
    stamp = file_stamp(path)
    remembered = cache_dir / _FOLDER / hashlib.sha256(f"{path.resolve()} {stamp}".encode()).hexdigest()[:32]
    # After a power failure it can be there without its content.
    with contextlib.suppress(OSError, ValueError):
        if _HASH.fullmatch(text := remembered.read_text("ascii")):
            return text
    found = file_hash(path)
    if file_stamp(path) == stamp and is_settled(path):
        _remember(remembered, found)
    return found


def _remember(place: Path, text: str) -> None:
    """Write the hash so that another process sees it whole or not at all; without room on the disk it is not kept."""
    part = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        private_files.make_folder(place.parent, own=True)
        try:
            with private_files.create(part) as file:
                file.write(text.encode("ascii"))
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
