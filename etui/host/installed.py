"""Detect packages relevant for measuring that were installed or removed while this process was running."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from etui.host.environment import measuring_packages

_METADATA = re.compile(r"(?P<name>[^-]+)(?:-.*)?\.(?:dist|egg)-info")


Stamp = dict[tuple[str, str], int]
"""The time (ns) at which the metadata folder of each package was written, by package name and folder."""


def stamp(delegate_packages: Sequence[str] = ()) -> Stamp:
    """Return the state of the installed packages, from the names and times of their metadata folders.

    It changes with every upgrade, downgrade and reinstallation. Nothing is imported or read, so it takes about a
    millisecond and can be called between two jobs.
    """
    watched = frozenset(measuring_packages(delegate_packages)) - {"textual"}
    state: Stamp = {}
    for folder in sys.path:
        try:
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    match = _METADATA.fullmatch(entry.name) if entry.name.endswith("-info") else None
                    if match and match["name"].lower() in watched:
                        state[match["name"].lower(), f"{folder}/{entry.name}"] = entry.stat().st_mtime_ns
        except OSError:
            continue
    return state


def changed_since(before: Stamp, delegate_packages: Sequence[str] = ()) -> list[str]:
    """Return the names of the packages that were installed or removed since ``before``, sorted."""
    now = stamp(delegate_packages)
    return sorted({key[0] for key in before.keys() | now.keys() if before.get(key) != now.get(key)})
