"""What this box can do and what will spoil measurements on it, each with what to do about it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from etui import environment, paths, text
from etui.errors import StoreError
from etui.text import number, seconds, size

FindingStatus = Literal["ok", "warn", "bad", "unknown"]

HUB_TIMEOUT_S = 2.0
_LITTLE_DISK_BYTES = 5_000_000_000
_NO_DISK_BYTES = 500_000_000
_LITTLE_MEMORY_BYTES = 4_000_000_000
_NO_MEMORY_BYTES = 1_000_000_000


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. ``ok``; ``warn`` spoils or limits; ``bad`` makes measuring impossible; ``unknown`` could not
    be read, which is never fine. ``seen`` says what was found, ``advice`` what to do."""

    name: str
    status: FindingStatus
    seen: str
    advice: str = ""


def examine(database: Path, root: Path = Path("/")) -> list[Finding]:
    """Look at everything once; takes at most a few seconds and raises nothing. ``root`` holds /proc and /sys."""
    return [
        _packages(),
        _openvino(),
        _cores(),
        _governor(root),
        _turbo(root),
        _load(),
        _quota(root),
        _heat(root),
        _virtual(root),
        _memory(root),
        _database(database),
        _cache(),
        _disk("database disk", database.parent),
        _disk("cache disk", paths.cache_dir()),
        _box_lock(root),
        _hub(),
    ]


def _packages() -> Finding:
    try:
        required = metadata.requires("etui") or []
    except metadata.PackageNotFoundError:
        return Finding(name="packages", status="unknown", seen="etui is not installed as a package")
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return Finding(name="packages", status="unknown", seen="versions cannot be compared without `packaging`")
    missing, other = [], []
    for requirement in map(Requirement, required):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            other.append(f"{requirement.name} {version} (wants {requirement.specifier})")
    if missing:
        return Finding(
            name="packages", status="bad", seen=f"not installed: {', '.join(missing)}", advice="pip install etui again"
        )
    if other:
        return Finding(
            name="packages", status="warn", seen=f"other versions: {', '.join(other)}", advice="pip install etui again"
        )
    shown = ("torch", "executorch", "torchvision", "transformers")
    versions = environment.package_versions()
    return Finding(name="packages", status="ok", seen=", ".join(f"{name} {versions[name]}" for name in shown))


def _openvino() -> Finding:
    missing = [name for name in ("openvino", "nncf") if find_spec(name) is None]
    if missing:
        return Finding(
            name="openvino",
            status="warn",
            seen=f"not installed: {', '.join(missing)}; the delegate openvino cannot be used",
            advice="pip install openvino nncf",
        )
    return Finding(name="openvino", status="ok", seen=f"openvino {metadata.version('openvino')}")


def _cores() -> Finding:
    cores = environment.usable_cores()
    if cores < 2:
        return Finding(
            name="cores",
            status="warn",
            seen="1 core may be used: whatever else runs disturbs the measurement",
            advice="give the box or container two cores or more",
        )
    return Finding(name="cores", status="ok", seen=f"{cores} cores may be used")


def _governor(root: Path) -> Finding:
    found = environment.governor(root)
    if found is None:
        return Finding(
            name="frequency governor",
            status="unknown",
            seen="not readable here",
            advice="on the host: cpupower frequency-info",
        )
    if found == "performance":
        return Finding(name="frequency governor", status="ok", seen=found)
    return Finding(
        name="frequency governor",
        status="warn",
        seen=f"{found}: the clock follows the load",
        advice="sudo cpupower frequency-set -g performance",
    )


def _turbo(root: Path) -> Finding:
    found = environment.turbo(root)
    if found is None:
        return Finding(name="turbo", status="unknown", seen="not readable here")
    if found:
        return Finding(
            name="turbo",
            status="warn",
            seen="on: short bursts run faster than a long measurement",
            advice="echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo (or 0 > cpufreq/boost)",
        )
    return Finding(name="turbo", status="ok", seen="off")


def _load() -> Finding:
    try:
        load = os.getloadavg()[0]
    except OSError:
        return Finding(name="load", status="unknown", seen="not readable here")
    cores = environment.usable_cores()
    seen = f"{load:.2f} over the last minute on {cores} cores"
    if load > 0.25 * cores:
        return Finding(name="load", status="warn", seen=seen, advice="stop other work while measuring; see top")
    return Finding(name="load", status="ok", seen=seen)


def _quota(root: Path) -> Finding:
    cpus, throttled = environment.cgroup_cpus(root), environment.throttled_seconds(root)
    held = f"; held back for {seconds(throttled)} so far" if throttled else ""
    cores = environment.usable_cores()
    if cpus is None:
        if not environment.cgroup_folders(root, "cpu"):
            return Finding(name="CPU quota", status="unknown", seen="no cgroup is readable here")
        return Finding(name="CPU quota", status="ok", seen=f"none{held}")
    seen = f"{number(cpus)} CPUs for {cores} cores{held}"
    if cpus < cores:
        return Finding(
            name="CPU quota",
            status="warn",
            seen=seen,
            advice=f"raise the container's CPU limit, or use --threads {max(1, int(cpus))}",
        )
    if throttled:
        return Finding(name="CPU quota", status="warn", seen=seen, advice="raise the limit or run less beside it")
    return Finding(name="CPU quota", status="ok", seen=seen)


def _heat(root: Path) -> Finding:
    counts = []
    for file in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")):
        try:
            counts.append(int(file.read_text()))
        except (OSError, ValueError):
            continue
    if not counts:
        return Finding(name="heat", status="unknown", seen="throttling counters are not readable here")
    if sum(counts):
        return Finding(
            name="heat",
            status="warn",
            seen=f"throttled {sum(counts)} times since it was started",
            advice="see to its cooling, and let it cool between runs",
        )
    return Finding(name="heat", status="ok", seen="never throttled since it was started")


def _virtual(root: Path) -> Finding:
    found = environment.virtualized(_text(root / "proc/cpuinfo"))
    if found is None:
        return Finding(name="virtual machine", status="unknown", seen="not readable here")
    if not found:
        return Finding(name="virtual machine", status="ok", seen="no")
    ticks = [int(tick) for tick in re.findall(r"\d+", _text(root / "proc/stat").partition("\n")[0])]
    stolen = f"; {100 * ticks[7] / sum(ticks[:8]):.1f} % of its time stolen so far" if len(ticks) > 7 else ""
    return Finding(
        name="virtual machine",
        status="warn",
        seen=f"yes: neighbours on the host can take time{stolen}",
        advice="compare only runs of one session, or measure on bare metal",
    )


def _memory(root: Path) -> Finding:
    match = re.search(r"^MemAvailable:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if match is None:
        return Finding(name="memory", status="unknown", seen="not readable here")
    free, total = int(match.group(1)) * 1024, environment.memory_bytes(root)
    if total is not None:
        free = min(free, total)
    seen = f"{size(free)} available of {size(total)}"
    if free < _NO_MEMORY_BYTES:
        return Finding(name="memory", status="bad", seen=seen, advice="end other programs: torch alone needs 1 GB")
    if free < _LITTLE_MEMORY_BYTES:
        return Finding(
            name="memory", status="warn", seen=seen, advice="end other programs before preparing large models"
        )
    return Finding(name="memory", status="ok", seen=seen)


def _database(path: Path) -> Finding:
    from etui.store import Store

    if not path.exists():
        return _writable("database", path, f"{path} (not made yet)")
    try:
        with Store.open(path, create=False) as store:
            runs = store.count()
    except StoreError as error:
        return Finding(name="database", status="bad", seen=error.message, advice=error.hint)
    return _writable("database", path, f"{path} with {runs} runs")


def _cache() -> Finding:
    return _writable("cache", paths.cache_dir(), str(paths.cache_dir()))


def _writable(name: str, path: Path, seen: str) -> Finding:
    place = _existing(path)
    if not os.access(place, os.W_OK) or (place.is_file() and not os.access(place.parent, os.W_OK)):
        move = {"database": "--db or ETUI_DB", "cache": "ETUI_CACHE"}[name]
        return Finding(name=name, status="bad", seen=f"{seen}: not writable", advice=f"name another place with {move}")
    return Finding(name=name, status="ok", seen=seen)


def _disk(name: str, path: Path) -> Finding:
    try:
        free = shutil.disk_usage(_existing(path)).free
    except OSError as error:
        return Finding(name=name, status="unknown", seen=f"not readable here ({error.strerror})")
    seen = f"{size(free)} free"
    if free < _NO_DISK_BYTES:
        return Finding(name=name, status="bad", seen=seen, advice="free some space")
    if free < _LITTLE_DISK_BYTES:
        return Finding(name=name, status="warn", seen=seen, advice="free some space: a large program takes 1 GB")
    return Finding(name=name, status="ok", seen=seen)


def _box_lock(root: Path) -> Finding:
    """Who measures now, from the kernel's list of locks: trying the lock could take it from a runner."""
    try:
        inode = paths.box_lock_path().stat().st_ino
        locks = (root / "proc/locks").read_text()
    except FileNotFoundError:
        return Finding(name="box lock", status="ok", seen="free: nothing is being measured")
    except OSError as error:
        return Finding(name="box lock", status="unknown", seen=f"not readable here ({error.strerror})")
    holders = re.findall(rf"^\d+: (?!->)\S+\s+\S+\s+\S+ (\d+) \S+:\S+:{inode} ", locks, re.MULTILINE)
    if not holders:
        return Finding(name="box lock", status="ok", seen="free: nothing is being measured")
    from etui.runner.boxlock import BoxLock

    holder = BoxLock().holder()
    doing = text.plain(holder.words()) if holder else f"process {', '.join(holders)}"
    return Finding(
        name="box lock",
        status="warn",
        seen=f"held by {doing}",
        advice="a run started now waits for it; see etui runs",
    )


def _hub() -> Finding:
    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    host, port = address.hostname or "huggingface.co", address.port or 443
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        return Finding(
            name="weights hub", status="warn", seen="HF_HUB_OFFLINE is set: only cached weights", advice="unset it"
        )
    if os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"):
        return Finding(name="weights hub", status="unknown", seen=f"{host} is reached through a proxy: not tried")
    if _within(HUB_TIMEOUT_S, lambda: socket.create_connection((host, port), HUB_TIMEOUT_S).close()):
        return Finding(name="weights hub", status="ok", seen=f"{host} answers")
    return Finding(
        name="weights hub",
        status="warn",
        seen=f"{host} does not answer: weights that are not in the cache will be synthetic",
        advice="give weights with --weights PATH, or copy a Hugging Face cache here",
    )


def _within(limit_s: float, attempt: Callable[[], None]) -> bool:
    """Whether ``attempt`` succeeds in time. Looking a name up takes no time limit, so it is left behind if it hangs."""
    succeeded = threading.Event()

    def try_it() -> None:
        try:
            attempt()
        except OSError:
            return
        succeeded.set()

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(limit_s)
    return succeeded.is_set()


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
