"""The size of the caches of the CPUs, from /sys."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_level_cache_bytes(cpus: Collection[int], root: Path = Path("/")) -> int | None:
    """Return the bytes of the last-level caches that these CPUs use, each counted once; None if not readable. ``root``
    contains /sys."""
    caches: dict[tuple[int, str], int] = {}
    for cpu in cpus:
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache"
        found = [entry for index in sorted(folder.glob("index*")) if (entry := _cache(index)) is not None]
        if not found:
            return None
        level, shared, size = max(found)
        caches[level, shared] = size
    return sum(caches.values()) or None


def _cache(folder: Path) -> tuple[int, str, int] | None:
    """Return level, the CPUs that share it, and size; None for a cache of instructions or one that is not readable."""
    try:
        texts = [(folder / name).read_text().strip() for name in ("type", "level", "shared_cpu_list", "size")]
        kind, level, shared, size = texts
        unit = _UNITS.get(size[-1:])
        size_bytes = int(size[:-1]) * unit if unit is not None else int(size)
        return (int(level), shared, size_bytes) if kind != "Instruction" else None
    except (OSError, ValueError):
        return None
