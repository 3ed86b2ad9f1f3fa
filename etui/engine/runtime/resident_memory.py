"""The resident memory of this process, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def reset_peak() -> None:
    """Reset the high-water mark to the current RSS; after a fork it starts there anyway."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def status_bytes(name: str) -> int | None:
    """Return ``VmRSS`` (resident) or ``VmHWM`` (its high-water mark) in bytes; None without ``/proc``."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None
