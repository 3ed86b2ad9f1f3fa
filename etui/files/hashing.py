"""Hash a file by its content, and tell whether it was touched since."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

_SETTLED_S = 2.0
"""A file that was changed less than this ago may change again without another time stamp."""


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_stamp(path: Path) -> str:
    """Changes whenever a file is written, replaced or touched; read from its inode, not from its content.

    Raises OSError if it is not there.
    """
    found = path.stat()
    # Unlike the time of the last modification, that of the last change of the inode cannot be set back.
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def is_settled(path: Path) -> bool:
    """Whether the file's last change is long enough ago for another one to give another stamp.

    Raises OSError if it is not there.
    """
    return time.time() - path.stat().st_ctime > _SETTLED_S
