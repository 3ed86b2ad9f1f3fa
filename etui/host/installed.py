"""Which of the packages that measuring depends on were installed anew or removed while a process ran."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from etui.host.environment import measuring_packages

_METADATA = re.compile(r"(?P<name>[^-]+)(?:-.*)?\.(?:dist|egg)-info")


Stamp = dict[tuple[str, str], int]
"""The time (ns) at which the metadata folder of each package was written, by the package's name and that folder."""


def stamp(delegate_packages: Sequence[str] = ()) -> Stamp:
    """The state of the installed packages, from the names and times of their metadata folders.

    It changes with every upgrade, downgrade and reinstallation. Nothing is imported or read, so that it takes a
    millisecond and may be taken between two jobs.
    """
    watched = frozenset(measuring_packages(delegate_packages)) - {"textual"}
    found: Stamp = {}
    for folder in sys.path:
        try:
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    match = _METADATA.fullmatch(entry.name) if entry.name.endswith("-info") else None
                    if match and match["name"].lower() in watched:
                        found[match["name"].lower(), f"{folder}/{entry.name}"] = entry.stat().st_mtime_ns
        except OSError:
            continue
    return found


def changed_since(before: Stamp, delegate_packages: Sequence[str] = ()) -> list[str]:
    """The names of the packages that were installed or removed since ``before``, sorted."""
    now = stamp(delegate_packages)
    return sorted({one[0] for one in before.keys() | now.keys() if before.get(one) != now.get(one)})
