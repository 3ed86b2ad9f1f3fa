"""Hash files, and detect whether they have changed."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

_SETTLED_S = 2.0
"""A file changed less than this number of seconds ago may change again without a new time stamp."""


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_stamp(path: Path) -> str:
    """Return a text that changes whenever a file is written, replaced or touched; from its inode, not its content.

    Raises OSError if the file does not exist.
    """
    status = path.stat()
    # Unlike the modification time, the inode change time cannot be set back.
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def is_settled(path: Path) -> bool:
    """Whether the file's last change is long enough ago that another change would give another stamp.

    Raises OSError if the file does not exist.
    """
    return time.time() - path.stat().st_ctime > _SETTLED_S
