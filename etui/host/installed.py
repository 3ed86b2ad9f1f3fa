"""Detect packages relevant for measuring that were installed or removed while this process was running."""

from __future__ import annotations

import os
import re
import sys

from etui.host.environment import PACKAGES

_METADATA = re.compile(r"(?P<name>[^-]+)(?:-.*)?\.(?:dist|egg)-info")
_MEASURING = frozenset(PACKAGES) - {"textual"}

Stamp = dict[tuple[str, str], int]
"""The time (ns) at which the metadata folder of each package was written, by package name and folder."""


def stamp() -> Stamp:
    """Return the state of the installed packages, from the names and times of their metadata folders.

    It changes with every upgrade, downgrade and reinstallation. Nothing is imported or read, so it takes about a
    millisecond and can be called between two jobs.
    """
    state: Stamp = {}
    for folder in sys.path:
        try:
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    match = _METADATA.fullmatch(entry.name) if entry.name.endswith("-info") else None
                    if match and match["name"].lower() in _MEASURING:
                        state[match["name"].lower(), f"{folder}/{entry.name}"] = entry.stat().st_mtime_ns
        except OSError:
            continue
    return state


def changed_since(before: Stamp) -> list[str]:
    """Return the names of the packages that were installed or removed since ``before``, sorted."""
    now = stamp()
    return sorted({key[0] for key in before.keys() | now.keys() if before.get(key) != now.get(key)})
