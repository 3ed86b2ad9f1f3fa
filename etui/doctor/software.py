"""Checks of the software: packages, SQLite, database, cache, disks, the machine lock, and the hub for weights."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sqlite3
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
    """Check that the packages etui requires are installed, in compatible versions."""
    try:
        required = metadata.requires("etui") or []
    except metadata.PackageNotFoundError:
        return Finding(name="packages", status="unknown", seen="etui is not installed as a package")
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return Finding(
            name="packages",
            status="unknown",
            seen="versions cannot be compared: the package `packaging` is not installed",
        )
    missing, incompatible = [], []
    for requirement in map(Requirement, required):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            incompatible.append(f"{requirement.name} {version} (requires {requirement.specifier})")
    if missing:
        return Finding(
            name="packages", status="bad", seen=f"not installed: {', '.join(missing)}", advice="reinstall etui with pip"
        )
    if incompatible:
        return Finding(
            name="packages",
            status="warn",
            seen=f"incompatible versions: {', '.join(incompatible)}",
            advice="reinstall etui with pip",
        )
    shown = ("torch", "executorch", "torchvision", "transformers")
    versions = environment.package_versions(PACKAGES)
    return Finding(name="packages", status="ok", seen=", ".join(f"{name} {versions[name]}" for name in shown))


def torchvision(torch_folder: Path | None = None, torchvision_folder: Path | None = None) -> Finding | None:
    """Check whether torchvision can be imported next to the installed torch, from its files: importing takes seconds.
    None if either is not installed. The folders are those of the installed packages unless given.
    """
    torch_folder = torch_folder or _package_folder("torch")
    torchvision_folder = torchvision_folder or _package_folder("torchvision")
    library = torchvision_folder / "_C.so" if torchvision_folder else None
    if torch_folder is None or library is None or not library.is_file():
        return None
    try:
        needs_cuda = b"libtorch_cuda.so" in library.read_bytes()
    except OSError as error:
        return Finding(name="torchvision", status="unknown", seen=f"{library} cannot be read ({error.strerror})")
    if needs_cuda and not (torch_folder / "lib" / "libtorch_cuda.so").exists():
        return Finding(
            name="torchvision",
            status="warn",
            seen="a CUDA build next to a CPU build of torch: `import torchvision` fails; etui imports it for its models"
            " and for your files, but its compiled operators, such as nms, are missing",
            advice="install the CPU build of torchvision from the package index that torch came from",
        )
    return Finding(name="torchvision", status="ok", seen="its compiled operators fit the installed torch")


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def delegates() -> list[Finding]:
    """Check whether the delegates that need their own packages can be used."""
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


def sqlite(connection: sqlite3.Connection) -> Finding:
    """Check that SQLite has what the database needs: the search index FTS5 with the tokenizer ``trigram``.

    ``connection`` is to an empty database in memory.
    """
    seen, advice = f"SQLite {sqlite3.sqlite_version}", "use a Python whose SQLite has FTS5, version 3.34 or newer"
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text, tokenize='trigram')")
    except sqlite3.Error as error:
        missing = "the tokenizer trigram" if "tokenizer" in str(error) else "FTS5"
        return Finding(
            name="SQLite",
            status="bad",
            seen=f"{seen} without {missing}, which the database needs for its search index ({error})",
            advice=advice,
        )
    return Finding(name="SQLite", status="ok", seen=f"{seen} with FTS5")


def database(path: Path) -> Finding:
    """Check that the database opens and is writable, and that no upgrade was interrupted."""
    from etui.store import Store
    from etui.store.upgrade import kept_copies

    if not path.exists():
        return _writable("database", path, f"{path} (not created yet)")
    try:
        with Store.open(path, create=False) as store:
            seen, read_only = f"{path} with {store.count()} runs", store.read_only
    except StoreError as error:
        return Finding(name="database", status="bad", seen=error.message, advice=error.hint)
    if read_only:
        advice = "copy it to a writable folder and select the copy with --db or ETUI_DB"
        return Finding(name="database", status="bad", seen=f"{seen}: read-only, {read_only}", advice=advice)
    if copies := kept_copies(path.resolve()):
        return Finding(
            name="database",
            status="warn",
            seen=f"{seen}; an interrupted upgrade left {', '.join(map(str, copies))}",
            advice="the database opens: delete the copy, unless another etui is upgrading the database now",
        )
    return Finding(name="database", status="ok", seen=seen)


def database_file_system(path: Path, root: Path) -> Finding:
    """Check whether the database is on a local file system."""
    name, folder = "database file system", _existing(path)
    kind = filesystems.file_system_type(folder, root)
    if kind is None:
        return Finding(name=name, status="unknown", seen="the mount table cannot be read")
    if filesystems.is_network(folder, root):
        return Finding(
            name=name,
            status="warn",
            seen=f"{kind}, a network file system: each write waits for the network, and locking depends on its server",
            advice="keep the database on a local disk: set its path with --db or ETUI_DB",
        )
    return Finding(name=name, status="ok", seen=f"{kind}, local")


def cache() -> Finding:
    """Check that the program cache is writable."""
    return _writable("cache", paths.cache_dir(), str(paths.cache_dir()))


def _writable(name: str, path: Path, seen: str) -> Finding:
    existing = _existing(path)
    if not os.access(existing, os.W_OK) or (existing.is_file() and not os.access(existing.parent, os.W_OK)):
        setting = {"database": "--db or ETUI_DB", "cache": "ETUI_CACHE"}[name]
        return Finding(name=name, status="bad", seen=f"{seen}: not writable", advice=f"set another path with {setting}")
    return Finding(name=name, status="ok", seen=seen)


def disk(name: str, path: Path) -> Finding:
    """Check the free space of the disk that holds ``path``."""
    try:
        free = shutil.disk_usage(_existing(path)).free
    except OSError as error:
        return Finding(name=name, status="unknown", seen=f"cannot be read ({error.strerror})")
    seen = f"{size(free)} free"
    if free < _NO_DISK_BYTES:
        return Finding(name=name, status="bad", seen=seen, advice="free some space")
    if free < _LITTLE_DISK_BYTES:
        return Finding(name=name, status="warn", seen=seen, advice="free some space: a large program needs 1 GB")
    return Finding(name=name, status="ok", seen=seen)


def machine_lock(root: Path) -> Finding:
    """Check which process holds the machine lock. Reads /proc/locks: trying the lock could take it from a runner."""
    from etui.runner.machine_lock import MachineLock

    holder = MachineLock().holder(root)
    if holder is None:
        return Finding(name="machine lock", status="ok", seen="free: nothing is being measured")
    return Finding(
        name="machine lock",
        status="warn",
        seen=f"held by {holder.to_text()}",
        advice="a new run waits until it is released; see etui runs",
    )


def hub() -> Finding:
    """Check whether the hub for pretrained weights is reachable."""
    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    host, port = address.hostname or "huggingface.co", address.port or 443
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        return Finding(
            name="weights hub",
            status="warn",
            seen="HF_HUB_OFFLINE is set: only cached weights are used",
            advice="unset it",
        )
    if os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"):
        return Finding(name="weights hub", status="unknown", seen=f"{host} is reached through a proxy: not checked")
    if _within(HUB_TIMEOUT_S, lambda: socket.create_connection((host, port), HUB_TIMEOUT_S).close()):
        return Finding(name="weights hub", status="ok", seen=f"{host} answers")
    return Finding(
        name="weights hub",
        status="warn",
        seen=f"{host} does not answer: weights that are not cached will be synthetic",
        advice="use --weights PATH, or copy a Hugging Face cache to this machine",
    )


def _within(limit_s: float, attempt: Callable[[], None]) -> bool:
    """Whether ``attempt`` succeeds within ``limit_s``. A name lookup has no time limit, so a hanging one is
    abandoned."""
    succeeded = threading.Event()

    def run() -> None:
        try:
            attempt()
        except OSError:
            return
        succeeded.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    return succeeded.is_set()


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())
