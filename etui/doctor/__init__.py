"""Checks of this machine for problems that affect measurements, each with advice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from etui import paths
from etui.doctor import hardware, software
from etui.doctor.finding import Finding, FindingStatus

__all__ = ["Finding", "FindingStatus", "examine"]


def examine(database: Path, root: Path = Path("/")) -> list[Finding]:
    """Run every check once, in at most a few seconds; raises nothing. ``root`` contains /proc and /sys."""
    with closing(sqlite3.connect(":memory:")) as in_memory:
        sqlite = software.sqlite(in_memory)
    return [
        software.packages(),
        *filter(None, [software.torchvision()]),
        *software.delegates(),
        hardware.cores(),
        hardware.gpu(),
        hardware.governor(root),
        hardware.turbo(root),
        hardware.load(),
        hardware.quota(root),
        hardware.heat(root),
        hardware.watching(root),
        hardware.virtual(root),
        hardware.memory(root),
        hardware.peaks(),
        sqlite,
        software.database(database),
        software.database_file_system(database, root),
        software.cache(),
        software.disk("database disk", database.parent),
        software.disk("cache disk", paths.cache_dir()),
        software.machine_lock(root),
        software.hub(),
    ]
