"""The control groups of this process: their folders, CPU quota, and time throttled by it."""

from __future__ import annotations

import re
from pathlib import Path


def cgroup_cpus(root: Path = Path("/")) -> float | None:
    """Return the number of CPUs that the tightest CPU quota above this process allows; None without a quota."""
    quotas = []
    for folder in cgroup_folders(root, "cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if not quota:
            quota = _read(folder / "cpu.cfs_quota_us")
            period = _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            quotas.append(int(quota) / int(period))
    return min(quotas) if quotas else None


def throttled_seconds(root: Path = Path("/")) -> float | None:
    """Return the total time in seconds that the cgroup was throttled by its quota; None if it is not counted."""
    for folder in cgroup_folders(root, "cpu"):
        match = re.search(r"^throttled_(usec|time) (\d+)$", _read(folder / "cpu.stat"), re.MULTILINE)
        if match:
            return int(match.group(2)) / (1e6 if match.group(1) == "usec" else 1e9)
    return None


def cgroup_folders(root: Path, controller: str) -> list[Path]:
    """Return the folders of this process's cgroup for a controller, innermost first, for both cgroup versions."""
    folders: list[Path] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            base = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            base = root / "sys/fs/cgroup" / controller
        else:
            continue
        inner = base / path.strip("/")
        # In a container the path is often that of the host and missing here; the root of the mount is then this cgroup.
        folders += [folder for folder in (inner, *inner.parents) if folder.is_relative_to(base) and folder.is_dir()]
    return folders


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
