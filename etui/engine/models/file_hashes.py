"""Hash files by content, and cache the hash until the file changes."""

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
    """Return the SHA-256 over the names and contents of files, sorted by name.

    Raises OSError if one cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        digest.update(f"{file.name}:{_file_hash(file, cache_dir)};".encode())
    return digest.hexdigest()


def _file_hash(path: Path, cache_dir: Path) -> str:
    stamp = file_stamp(path)
    cached = cache_dir / _FOLDER / hashlib.sha256(f"{path.resolve()} {stamp}".encode()).hexdigest()[:32]
    # After a power failure the file may exist without its content.
    with contextlib.suppress(OSError, ValueError):
        if _HASH.fullmatch(text := cached.read_text("ascii")):
            return text
    digest = file_hash(path)
    if file_stamp(path) == stamp and is_settled(path):
        _write_cached(cached, digest)
    return digest


def _write_cached(target: Path, text: str) -> None:
    """Write the hash atomically; if the disk is full, it is not cached."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        private_files.make_folder(target.parent, own=True)
        try:
            with private_files.create(part) as file:
                file.write(text.encode("ascii"))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
