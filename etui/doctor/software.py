"""What stands on the box: packages, database, cache, disks, who measures now, and whether the weights hub answers."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from etui import paths
from etui.catalog.delegates import PACKAGES, RECORDS, DelegateRecord, missing_modules
from etui.doctor.finding import Finding
from etui.errors import StoreError
from etui.host import environment, filesystems
from etui.text import size

HUB_TIMEOUT_S = 2.0
_LITTLE_DISK_BYTES = 5_000_000_000
_NO_DISK_BYTES = 500_000_000


def packages() -> Finding:
    """Whether what etui needs is installed, in the versions it wants."""
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
    versions = environment.package_versions(PACKAGES)
    return Finding(name="packages", status="ok", seen=", ".join(f"{name} {versions[name]}" for name in shown))


def delegates() -> list[Finding]:
    """Whether the delegates that need their own packages to run can be used."""
    return [_delegate(record) for record in RECORDS.values() if record.support == "run" and record.packages]


def _delegate(record: DelegateRecord) -> Finding:
    missing = missing_modules(record)
    if missing:
        return Finding(
            name=record.name,
            status="warn",
            seen=f"not installed: {', '.join(missing)}; the delegate {record.name} cannot be used",
            advice=record.install,
        )
    package = record.packages[0]
    return Finding(name=record.name, status="ok", seen=f"{package} {metadata.version(package)}")


def database(path: Path) -> Finding:
    """Whether the database opens and can be written, and whether its upgrades have worked."""
    from etui.store import Store
    from etui.store.upgrade import kept_copies

    if not path.exists():
        return _writable("database", path, f"{path} (not made yet)")
    try:
        with Store.open(path, create=False) as store:
            seen, read_only = f"{path} with {store.count()} runs", store.read_only
    except StoreError as error:
        return Finding(name="database", status="bad", seen=error.message, advice=error.hint)
    if read_only:
        advice = "copy it to a folder that you can write to, and name the copy with --db or ETUI_DB"
        return Finding(name="database", status="bad", seen=f"{seen}: read-only, {read_only}", advice=advice)
    if copies := kept_copies(path.resolve()):
        return Finding(
            name="database",
            status="warn",
            seen=f"{seen}; an upgrade was cut off and left {', '.join(map(str, copies))}",
            advice="the database itself opens: delete the copy, unless etui is upgrading the database now",
        )
    return Finding(name="database", status="ok", seen=seen)


def database_file_system(path: Path, root: Path) -> Finding:
    """Whether other hosts can have the database open at the same time."""
    name, place = "database file system", _existing(path)
    kind = filesystems.file_system_type(place, root)
    if kind is None:
        return Finding(name=name, status="unknown", seen="the table of mounts is not readable here")
    if filesystems.is_network(place, root):
        return Finding(
            name=name,
            status="warn",
            seen=f"{kind}, a network file system: each write waits for the network, and hosts depend on its locks",
            advice="keep the database on a local disk: name one with --db or ETUI_DB",
        )
    return Finding(name=name, status="ok", seen=f"{kind}, local")


def cache() -> Finding:
    """Whether the cache can be written."""
    return _writable("cache", paths.cache_dir(), str(paths.cache_dir()))


def _writable(name: str, path: Path, seen: str) -> Finding:
    place = _existing(path)
    if not os.access(place, os.W_OK) or (place.is_file() and not os.access(place.parent, os.W_OK)):
        move = {"database": "--db or ETUI_DB", "cache": "ETUI_CACHE"}[name]
        return Finding(name=name, status="bad", seen=f"{seen}: not writable", advice=f"name another place with {move}")
    return Finding(name=name, status="ok", seen=seen)


def disk(name: str, path: Path) -> Finding:
    """How much space a disk has left."""
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


def machine_lock(root: Path) -> Finding:
    """Who measures now, as the kernel knows it: trying the lock could take it from a runner."""
    from etui.runner.machine_lock import MachineLock

    holder = MachineLock().holder(root)
    if holder is None:
        return Finding(name="box lock", status="ok", seen="free: nothing is being measured")
    return Finding(
        name="box lock",
        status="warn",
        seen=f"held by {holder.words()}",
        advice="a run started now waits for it; see etui runs",
    )


def hub() -> Finding:
    """Whether the hub that weights come from answers."""
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
