"""The program cache: content addresses of programs and bundles, lookup, size limit, and removal of leftovers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from etui.catalog import delegates
from etui.catalog.precisions import needs_calibration
from etui.errors import EtuiError
from etui.files import private as private_files
from etui.files.cache_entries import (
    LOCKS,
    MODELS,
    PROGRAMS,
    SCRATCH,
    UNUSED_S,
    WORKERS,
    Scratch,
    damage,
    discard,
    folders_in,
    has_hashes,
    hold,
    lock_path,
    may_be_removed,
    remove_unused,
    size_in_bytes,
    time_of_last_use,
)
from etui.files.hashing import file_hash
from etui.files.locks import Held, LocksUnsupported, take
from etui.host import cuda, litert_converter, process_settings
from etui.host.compiler import compiler_version
from etui.host.environment import cpu_flags
from etui.jobs import BundleResult, DynamicDims, LowerResult
from etui.results import Environment

DEFAULT_CAP_BYTES = 20 * 1000**3
COMPILER = "C++ compiler"
"""The name under which its version is stored with the versions of packages."""
VERSIONED = ("torch", "executorch", "torchao", "transformers", *delegates.PACKAGES)

_DESCRIPTION = "lowered.json"
_TRIES = 3
_LEFTOVERS = (".write-*", ".hub-*", "hashes/.*")
"""Single files that a killed process can leave next to the entries."""

_KEY = re.compile(r"[0-9a-f]{32}")

Warn = Callable[[str], None]
"""Reports a warning message."""


class ProgramCache:
    """One cache folder. ``programs/`` and ``models/`` contain folders named by content; ``scratch/`` and ``workers/``
    contain folders that belong to one running process.

    Entries that a session takes from the cache or creates in it are held until ``release`` and not removed before.
    """

    def __init__(self, root: Path) -> None:
        """Open the folder; create it if needed.

        Raises:
            EtuiError: it cannot be written.
        """
        self.root = root
        self._scratch: Scratch | None = None
        self._held: dict[Path, Held | None] = {}
        # Entries are examined in threads.
        self._guard = threading.Lock()
        self._released = False
        probe = root / f".write-{secrets.token_hex(4)}"
        try:
            for name in (PROGRAMS, MODELS):
                private_files.make_folder(root / name, own=True)
            private_files.make_folder(root)
            probe.touch(private_files.FILE_MODE)
            probe.unlink()
        except OSError as error:
            raise EtuiError(
                f"cannot write to the cache {root}: {error.strerror}",
                "free disk space, or set ETUI_CACHE to another folder",
            ) from error

    def scratch(self, name: str) -> ProgramCache:
        """Return a separate cache for one session of this process, to be removed with ``remove``.

        Raises:
            EtuiError: it cannot be written.
        """
        scratch = Scratch(self.root / SCRATCH / f"{name}-{secrets.token_hex(4)}")
        try:
            cache = ProgramCache(scratch.folder)
        except EtuiError:
            scratch.remove()
            raise
        cache._scratch = scratch
        return cache

    def remove(self) -> None:
        """Remove the whole folder: for scratch caches."""
        assert self._scratch is not None
        self.release()
        self._scratch.remove()

    def release(self) -> None:
        """Release every held entry."""
        with self._guard:
            self._released = True
            for held in self._held.values():
                if held is not None:
                    held.release()
            self._held.clear()

    def program_dir(self, key: str) -> Path:
        """The folder of the program with this key, whether it exists or not."""
        return self.root / PROGRAMS / key

    def has(self, key: str) -> bool:
        """Whether a program with this key exists, checked without reading it. Changes nothing."""
        # A key may come from an imported file, and must not lead out of the cache.
        return _KEY.fullmatch(key) is not None and self._description(key) is not None

    async def take(self, key: str, warn: Warn) -> LowerResult | None:
        """Return the program with this key if it exists and is intact, else None; the entry is held from now on, even
        if it does not exist yet. ``warn`` is called for a damaged one, which is removed.

        Raises:
            EtuiError: the entry cannot be locked, or is damaged and in use by others.
        """
        if not _KEY.fullmatch(key):
            return None
        lowered, problem = await asyncio.to_thread(self._check_program, key)
        if problem is not None:
            warn(f"the cached program was damaged and is prepared again: {problem}")
        return lowered

    async def take_bundle(self, make: Callable[[], Awaitable[BundleResult]], warn: Warn) -> BundleResult:
        """Return the bundle that ``make`` finds or creates in this cache, held from now on. ``warn`` is called for a
        damaged one, which is removed before ``make`` is called again.

        Raises:
            EtuiError: raised by ``make``; or the bundle cannot be locked, or is damaged and in use by others.
        """
        for _ in range(_TRIES):
            bundle = await make()
            problem = await asyncio.to_thread(self._check_bundle, bundle)
            if problem is None:
                return bundle
            warn(f"the cached model was damaged and is loaded again: {problem}")
        raise EtuiError(f"the bundle {bundle.path} is repeatedly missing or damaged", "measure without the cache")

    def bundle_keys(self) -> list[str]:
        """The keys of the bundles in the cache."""
        return [entry.name for entry in folders_in(self.root / MODELS) if _KEY.fullmatch(entry.name)]

    def sweep(self, cap_bytes: int | None = None) -> int:
        """Remove incomplete entries of killed processes, then the least recently used entries until the cache is within
        ``cap_bytes``; never an entry that is held. Return the bytes freed to meet the cap.
        """
        for kind in (PROGRAMS, MODELS, SCRATCH, WORKERS):
            for entry in folders_in(self.root / kind):
                if _is_unfinished(entry):
                    _remove_leftover(entry)
        for kind in (SCRATCH, WORKERS):
            with contextlib.suppress(OSError):
                (self.root / kind).rmdir()
        freed = self._shrink(cap_bytes if cap_bytes is not None else cap_bytes_from_environment())
        self._sweep_files()
        return freed

    def _shrink(self, cap_bytes: int) -> int:
        sized = sorted(
            (time_of_last_use(entry), size_in_bytes(entry), entry)
            for kind in (PROGRAMS, MODELS)
            for entry in folders_in(self.root / kind)
            if not _is_unfinished(entry)
        )
        total, freed = sum(size for _, size, _ in sized), 0
        for last_use, size, entry in sized:
            if total - freed <= cap_bytes:
                break
            if remove_unused(entry, last_use):
                freed += size
        return freed

    def _sweep_files(self) -> None:
        """Remove locks of entries that no longer exist, and single files left by killed processes."""
        locks = _files(self.root / LOCKS)
        existing = {
            lock_path(entry).name
            for kind in (PROGRAMS, MODELS, SCRATCH, WORKERS)
            for entry in folders_in(self.root / kind)
        }
        for lock in locks:
            if lock.name not in existing:
                with contextlib.suppress(OSError, LocksUnsupported):
                    if held := take(lock, exclusive=True):
                        held.remove()
        for pattern in _LEFTOVERS:
            for file in self.root.glob(pattern):
                with contextlib.suppress(OSError):
                    if time.time() - file.stat().st_mtime > UNUSED_S:
                        file.unlink()

    def _check_program(self, key: str) -> tuple[LowerResult | None, str | None]:
        """Return the program with this key, or the problem of a damaged one."""
        folder = self.program_dir(key)
        self._hold(folder)
        if not folder.is_dir():
            return None, None
        lowered = self._description(key)
        if lowered is None:
            problem: str | None = "its description or program is missing or truncated"
        else:
            problem = damage(folder)
            if problem is None and not has_hashes(folder):
                problem = _program_problem(folder, lowered)
        if problem is not None or lowered is None:
            self._discard(folder, problem or "")
            return None, problem
        _mark_as_used(folder)
        return msgspec.structs.replace(
            lowered,
            path=str(folder / delegates.program_file(lowered.delegate)),
            artifact=msgspec.structs.replace(lowered.artifact, cached=True),
            stages=[msgspec.structs.replace(stage, cached=True) for stage in lowered.stages],
        ), None

    def _check_bundle(self, bundle: BundleResult) -> str | None:
        """Hold a bundle; return the problem of a damaged or missing one."""
        folder = Path(bundle.path)
        self._hold(folder)
        if not folder.is_dir():
            return "it was removed by another process"
        # A new bundle was hashed by the worker that made it.
        problem = damage(folder) if bundle.cached else None
        if problem is not None:
            self._discard(folder, problem)
            return problem
        _mark_as_used(folder)
        return None

    def _description(self, key: str) -> LowerResult | None:
        folder = self.program_dir(key)
        try:
            lowered = msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=LowerResult)
            program = folder / delegates.program_file(lowered.delegate)
            is_complete = program.stat().st_size == lowered.artifact.size_bytes
        except (OSError, msgspec.MsgspecError):
            return None
        return lowered if is_complete else None

    def _hold(self, folder: Path) -> None:
        with self._guard:
            if folder in self._held:
                return
        held = hold(folder)
        with self._guard:
            if not self._released and folder not in self._held:
                self._held[folder] = held
                return
        # The session ended while this thread waited, or another thread holds the entry.
        if held is not None:
            held.release()

    def _discard(self, folder: Path, problem: str) -> None:
        with self._guard:
            discard(folder, self._held.get(folder), problem)


def program_key(
    *,
    bundle_key: str,
    recipe: str,
    delegate: str,
    calibration_count: int,
    versions: dict[str, str],
    keep_fp32: Sequence[str] = (),
    machine: Sequence[str] = (),
    threads: int | None = None,
    dynamic: DynamicDims | None = None,
) -> str:
    """Return the content address of a program: model, weights and inputs (the bundle's key), recipe, delegate,
    versions.

    The calibration count is included only if the recipe calibrates, modules kept in FP32 only if there are any,
    ``machine`` (see ``machine_for``) only if the delegate depends on it, the ranges of a ``dynamic`` program, and
    ``threads``, the number that the program is measured with, only for a baseline whose programs are compiled for it.
    """
    calibration = calibration_count if needs_calibration(recipe) else None
    parts: list[object] = [bundle_key, recipe, delegate, calibration, sorted(versions.items())]
    if keep_fp32:
        parts.append(sorted(keep_fp32))
    if machine:
        parts.append({"machine": list(machine)})
    record = delegates.RECORDS.get(delegate)
    if record is not None and record.depends_on_threads:
        parts.append({"threads": threads})
    if dynamic is not None:
        parts.append({"dynamic": dynamic})
    text = msgspec.json.encode(parts)
    return hashlib.sha256(text).hexdigest()[:32]


_INSTRUCTION_SETS = ("ONEDNN_*", "DNNL_*", "OPENVINO_*", "OV_*")


def machine_for(delegate: str, environment: Environment | None = None) -> tuple[str, ...]:
    """Return the facts of the machine that decide a delegate's arithmetic: CPU features, and environment variables that
    disable some of them; of this process, or of the stored ``environment`` of a run.

    Empty for a delegate that computes the same on every CPU, and if they were not recorded.
    """
    record = delegates.RECORDS.get(delegate)
    if record is None or not record.arithmetic_depends_on_cpu:
        return ()
    flags = cpu_flags() if environment is None else environment.cpu_flags
    variables = process_settings.variables() if environment is None else environment.variables or {}
    settings = (
        f"{name}={value}"
        for name, value in sorted(variables.items())
        if any(fnmatchcase(name, pattern) for pattern in _INSTRUCTION_SETS)
    )
    return (*flags, *settings)


@functools.cache
def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that decide the result of lowering, read from metadata without importing
    them.

    Read once per process, as the fork servers import once: the runner restarts after an upgrade.
    """
    return package_versions_of(VERSIONED)


@functools.cache
def own_versions(delegate: str) -> dict[str, str]:
    """Return the versions that only the programs of a baseline depend on: of its packages, and of the C++ compiler or
    the converter; empty for other delegates. They are part of the keys of its programs and stored with its runs."""
    record = delegates.RECORDS.get(delegate)
    if record is None:
        return {}
    versions = package_versions_of(record.own_packages)
    if record.needs_compiler:
        versions[COMPILER] = compiler_version()
    if record.needs_cuda:
        versions |= cuda.versions()
    if record.needs_converter and (python := litert_converter.converter_python()) is not None:
        versions[litert_converter.PACKAGE] = litert_converter.converter_version(python)
    return versions


def versions_for(delegate: str) -> dict[str, str]:
    """Return the versions that are part of the key of a delegate's programs."""
    return installed_versions() | own_versions(delegate)


def version_names(delegate: str) -> tuple[str, ...]:
    """Return the names under which those versions are stored with a run."""
    record = delegates.RECORDS.get(delegate)
    if record is None:
        return VERSIONED
    compiler = (COMPILER,) if record.needs_compiler else ()
    converter = (litert_converter.PACKAGE,) if record.needs_converter else ()
    gpu = cuda.VERSION_NAMES if record.needs_cuda else ()
    return (*VERSIONED, *record.own_packages, *compiler, *converter, *gpu)


def package_versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of those of the packages that are installed."""
    # Imported late: most front ends do not need it.
    import importlib.metadata

    versions = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def cap_bytes_from_environment() -> int:
    """Return the cap in bytes: ``ETUI_CACHE_GB`` gigabytes, else 20 GB."""
    try:
        return int(float(os.environ["ETUI_CACHE_GB"]) * 1000**3)
    except (KeyError, ValueError, OverflowError):
        return DEFAULT_CAP_BYTES


def _program_problem(folder: Path, lowered: LowerResult) -> str | None:
    """Return the problem of a damaged program in an entry from before all hashes were recorded."""
    name = delegates.program_file(lowered.delegate)
    try:
        if file_hash(folder / name) == lowered.artifact.sha256:
            return None
    except OSError as error:
        return f"{name} cannot be read ({error.strerror or error})"
    return f"the content of {name} has changed"


def _remove_leftover(entry: Path) -> None:
    """Remove an incomplete entry, or the folder of one process, if that process has ended."""
    # Earlier versions had no locks.
    if not lock_path(entry).exists() and time.time() - _last_change(entry) < UNUSED_S:
        return
    held = may_be_removed(entry, _last_change(entry))
    if held is None:
        return
    shutil.rmtree(entry, ignore_errors=True)
    if entry.parent.name in {SCRATCH, WORKERS}:
        held.remove()
    else:
        # The complete entry uses the same lock.
        held.release()


def _is_unfinished(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.parent.name in {SCRATCH, WORKERS}


def _files(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_file()]
    except OSError:
        return []


def _mark_as_used(folder: Path) -> None:
    # Entries are removed in order of their last use.
    with contextlib.suppress(OSError):
        os.utime(folder)


def _last_change(entry: Path) -> float:
    """Time of the last write in a folder, in seconds since 1970."""
    files = [Path(folder) / name for folder, _, names in os.walk(entry) for name in names]
    return max(map(time_of_last_use, [entry, *files]))
