"""The memory that processes of this machine can still get."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from etui.host.environment import memory_bytes


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the available memory in bytes, at most the limit of this process's cgroup; None if it cannot be read."""
    match = None
    with contextlib.suppress(OSError):
        match = re.search(r"^MemAvailable:\s*(\d+) kB", (root / "proc/meminfo").read_text("utf-8"), re.MULTILINE)
    if match is None:
        return None
    free, total = int(match.group(1)) * 1024, memory_bytes(root)
    return free if total is None else min(free, total)
