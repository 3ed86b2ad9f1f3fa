"""What this box can do and what will spoil measurements on it, each with what to do about it."""

from __future__ import annotations

from pathlib import Path

from etui import paths
from etui.doctor import hardware, software
from etui.doctor.finding import Finding, FindingStatus

__all__ = ["Finding", "FindingStatus", "examine"]


def examine(database: Path, root: Path = Path("/")) -> list[Finding]:
    """Look at everything once; takes at most a few seconds and raises nothing. ``root`` holds /proc and /sys."""
    return [
        software.packages(),
        *software.delegates(),
        hardware.cores(),
        hardware.governor(root),
        hardware.turbo(root),
        hardware.load(),
        hardware.quota(root),
        hardware.heat(root),
        hardware.watching(root),
        hardware.virtual(root),
        hardware.memory(root),
        software.database(database),
        software.database_file_system(database, root),
        software.cache(),
        software.disk("database disk", database.parent),
        software.disk("cache disk", paths.cache_dir()),
        software.machine_lock(root),
        software.hub(),
    ]
