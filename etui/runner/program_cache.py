"""The cache of prepared programs: their content addresses, finding them again, its size cap, and what is left over."""

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
    UNUSED_S,
    Scratch,
    damage,
    discard,
    has_hashes,
    hold,
    lock_path,
    may_be_removed,
    remove,
)
from etui.files.hashing import file_hash
from etui.files.locks import Held, LocksUnsupported, take
from etui.host import process_settings
from etui.host.environment import cpu_flags
from etui.jobs import BundleResult, LowerResult
from etui.results import Environment

DEFAULT_CAP_BYTES = 20 * 1000**3
VERSIONED = ("torch", "executorch", "torchao", "transformers", *delegates.PACKAGES)
PROGRAMS, MODELS, SCRATCH, WORKERS = "programs", "models", "scratch", "workers"

_PROGRAM, _DESCRIPTION = "program.pte", "lowered.json"
_TRIES = 3
_LEFTOVERS = (".write-*", ".hub-*", "hashes/.*")
"""What a killed process leaves beside the entries: single files that are written within a moment."""

_KEY = re.compile(r"[0-9a-f]{32}")

Tell = Callable[[str], None]


class ProgramCache:
    """One cache folder. ``programs/`` and ``models/`` hold folders named by content; ``scratch/`` and ``workers/`` hold
    what belongs to a running process alone.

    What a session takes from the cache, or has made there, it holds until ``release``: nobody removes it before.
    """

    def __init__(self, root: Path) -> None:
        """Open the folder, making it if needed.

        Raises:
            EtuiError: it cannot be written.
        """
        self.root = root
        self._scratch: Scratch | None = None
        self._held: dict[Path, Held | None] = {}
        # Looking at entries is done in threads.
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
                f"cannot write the cache {root}: {error.strerror}", "free space, or point ETUI_CACHE elsewhere"
            ) from error

    def scratch(self, name: str) -> ProgramCache:
        """A cache of its own for one session of this process, to be removed with ``remove``.

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
        """Let go of every entry that was taken."""
        with self._guard:
            self._released = True
            for held in self._held.values():
                if held is not None:
                    held.release()
            self._held.clear()

    def program_dir(self, key: str) -> Path:
        """Where the program of this key lies or will lie."""
        return self.root / PROGRAMS / key

    def has(self, key: str) -> bool:
        """Whether there is a program of this key, as far as can be told without reading it. Changes nothing."""
        # A key may come from a file somebody imported, and must not lead out of the cache.
        return _KEY.fullmatch(key) is not None and self._described(key) is not None

    async def take(self, key: str, tell: Tell) -> LowerResult | None:
        """The program of this key if it is there and holds what was written; from now on it is held, or the place for
        it if there is none. ``tell`` hears of a damaged one, which is removed.

        Raises:
            EtuiError: it cannot be held, or is damaged and in use by others.
        """
        if not _KEY.fullmatch(key):
            return None
        lowered, wrong = await asyncio.to_thread(self._look, key)
        if wrong is not None:
            tell(f"the cached program was damaged and is prepared again: {wrong}")
        return lowered

    async def take_bundle(self, make: Callable[[], Awaitable[BundleResult]], tell: Tell) -> BundleResult:
        """What ``make`` finds in this cache or makes there, held from now on. ``tell`` hears of a damaged one, which is
        removed before ``make`` is asked again.

        Raises:
            EtuiError: what ``make`` raises; or the bundle cannot be held, or is damaged and in use by others.
        """
        for _ in range(_TRIES):
            bundle = await make()
            wrong = await asyncio.to_thread(self._look_at_bundle, bundle)
            if wrong is None:
                return bundle
            tell(f"the cached model was damaged and is loaded again: {wrong}")
        raise EtuiError(f"the bundle {bundle.path} vanishes or is damaged again and again", "run it with --no-cache")

    def bundle_keys(self) -> list[str]:
        """The keys of the bundles that are there."""
        return [entry.name for entry in _folders(self.root / MODELS) if _KEY.fullmatch(entry.name)]

    def sweep(self, cap_bytes: int | None = None) -> int:
        """Remove what killed processes left half-made, then the least recently used until the cap holds; nothing that
        anybody holds. Returns the bytes freed by the cap.
        """
        for kind in (PROGRAMS, MODELS, SCRATCH, WORKERS):
            for entry in _folders(self.root / kind):
                if _is_unfinished(entry):
                    _remove_if_left(entry)
        for kind in (SCRATCH, WORKERS):
            with contextlib.suppress(OSError):
                (self.root / kind).rmdir()
        freed = self._shrink(cap_bytes if cap_bytes is not None else _cap_from_environment())
        self._sweep_files()
        return freed

    def _shrink(self, cap_bytes: int) -> int:
        sized = sorted(
            (_last_use(entry), _size(entry), entry)
            for kind in (PROGRAMS, MODELS)
            for entry in _folders(self.root / kind)
            if not _is_unfinished(entry)
        )
        total, freed = sum(size for _, size, _ in sized), 0
        for last_use, size, entry in sized:
            if total - freed <= cap_bytes:
                break
            held = may_be_removed(entry, last_use)
            if held is None:
                continue
            # Somebody may have used it, and let go of it, since it was listed.
            if _last_use(entry) == last_use:
                remove(entry)
                freed += size
                held.remove()
            else:
                held.release()
        return freed

    def _sweep_files(self) -> None:
        """Remove locks of entries that are no longer there, and single files that a killed process left."""
        locks = _files(self.root / LOCKS)
        known = {
            lock_path(entry).name
            for kind in (PROGRAMS, MODELS, SCRATCH, WORKERS)
            for entry in _folders(self.root / kind)
        }
        for lock in locks:
            if lock.name not in known:
                with contextlib.suppress(OSError, LocksUnsupported):
                    if held := take(lock, exclusive=True):
                        held.remove()
        for pattern in _LEFTOVERS:
            for file in self.root.glob(pattern):
                with contextlib.suppress(OSError):
                    if time.time() - file.stat().st_mtime > UNUSED_S:
                        file.unlink()

    def _look(self, key: str) -> tuple[LowerResult | None, str | None]:
        """The program of this key, or what is wrong with it."""
        folder = self.program_dir(key)
        self._hold(folder)
        if not folder.is_dir():
            return None, None
        lowered = self._described(key)
        if lowered is None:
            wrong: str | None = "its description or its program is missing or cut short"
        else:
            wrong = damage(folder)
            if wrong is None and not has_hashes(folder):
                wrong = _other_program(folder, lowered)
        if wrong is not None or lowered is None:
            self._discard(folder, wrong or "")
            return None, wrong
        _mark_as_used(folder)
        return msgspec.structs.replace(
            lowered,
            path=str(folder / _PROGRAM),
            artifact=msgspec.structs.replace(lowered.artifact, cached=True),
            stages=[msgspec.structs.replace(stage, cached=True) for stage in lowered.stages],
        ), None

    def _look_at_bundle(self, bundle: BundleResult) -> str | None:
        """Hold a bundle; what is wrong with it, in words."""
        folder = Path(bundle.path)
        self._hold(folder)
        if not folder.is_dir():
            return "it was removed meanwhile"
        # What was made a moment ago was hashed by who made it.
        wrong = damage(folder) if bundle.cached else None
        if wrong is not None:
            self._discard(folder, wrong)
            return wrong
        _mark_as_used(folder)
        return None

    def _described(self, key: str) -> LowerResult | None:
        folder = self.program_dir(key)
        try:
            lowered = msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=LowerResult)
            whole = (folder / _PROGRAM).stat().st_size == lowered.artifact.size_bytes
        except (OSError, msgspec.MsgspecError):
            return None
        return lowered if whole else None

    def _hold(self, folder: Path) -> None:
        with self._guard:
            if folder in self._held:
                return
        held = hold(folder)
        with self._guard:
            if not self._released and folder not in self._held:
                self._held[folder] = held
                return
        # The session ended while this thread waited, or another thread was first.
        if held is not None:
            held.release()

    def _discard(self, folder: Path, wrong: str) -> None:
        with self._guard:
            discard(folder, self._held.get(folder), wrong)


def is_key(text: str) -> bool:
    """Whether a text is a key of this cache. One that comes from an imported file may be anything, and must not lead
    out of the cache as part of a path."""
    return _KEY.fullmatch(text) is not None


def program_key(
    *,
    bundle_key: str,
    recipe: str,
    delegate: str,
    calibration_count: int,
    versions: dict[str, str],
    keep_fp32: Sequence[str] = (),
    machine: Sequence[str] = (),
) -> str:
    """The content address of a program: model, weights and inputs (the bundle's key), recipe, delegate, versions.

    The calibration count enters only where the recipe calibrates, modules kept in FP32 only where there are any, and
    ``machine`` (see ``machine_for``) only where the delegate depends on it.
    """
    calibration = calibration_count if needs_calibration(recipe) else None
    parts: list[object] = [bundle_key, recipe, delegate, calibration, sorted(versions.items())]
    if keep_fp32:
        parts.append(sorted(keep_fp32))
    if machine:
        parts.append({"machine": list(machine)})
    text = msgspec.json.encode(parts)
    return hashlib.sha256(text).hexdigest()[:32]


_INSTRUCTION_SETS = ("ONEDNN_*", "DNNL_*", "OPENVINO_*", "OV_*")


def machine_for(delegate: str, environment: Environment | None = None) -> tuple[str, ...]:
    """What of the machine decides the arithmetic that a delegate computes a program in: the CPU's features, and the
    variables that hold some of them back; of this process, or as the ``environment`` of a run has them.

    Empty for a delegate that computes the same on every CPU, and if it was not recorded.
    """
    record = delegates.RECORDS.get(delegate)
    if record is None or not record.arithmetic_depends_on_cpu:
        return ()
    flags = cpu_flags() if environment is None else environment.cpu_flags
    variables = process_settings.variables() if environment is None else environment.variables or {}
    chosen = (
        f"{name}={value}"
        for name, value in sorted(variables.items())
        if any(fnmatchcase(name, pattern) for pattern in _INSTRUCTION_SETS)
    )
    return (*flags, *chosen)


@functools.cache
def installed_versions() -> dict[str, str]:
    """The versions of the packages that decide what lowering makes of a graph; read from metadata, not imported.

    Read once per process, like the fork servers import once: after an upgrade the runner restarts.
    """
    # A front end that only asks whether a program can be had does not wait for this import.
    import importlib.metadata

    found = {}
    for name in VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _cap_from_environment() -> int:
    """``ETUI_CACHE_GB``, a number of gigabytes, else 20."""
    try:
        return int(float(os.environ["ETUI_CACHE_GB"]) * 1000**3)
    except (KeyError, ValueError, OverflowError):
        return DEFAULT_CAP_BYTES


def _other_program(folder: Path, lowered: LowerResult) -> str | None:
    """What is wrong with the program of an entry that was made before every file's hash was recorded."""
    try:
        if file_hash(folder / _PROGRAM) == lowered.artifact.sha256:
            return None
    except OSError as error:
        return f"{_PROGRAM} cannot be read ({error.strerror or error})"
    return f"{_PROGRAM} holds something else than was written"


def _remove_if_left(entry: Path) -> None:
    """Remove a half-made entry, or a folder of one process, if that process is gone."""
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
        # The finished entry has the same lock.
        held.release()


def _is_unfinished(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.parent.name in {SCRATCH, WORKERS}


def _folders(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_file()]
    except OSError:
        return []


def _mark_as_used(folder: Path) -> None:
    # The least recently used are removed first.
    with contextlib.suppress(OSError):
        os.utime(folder)


def _last_use(entry: Path) -> float:
    """When an entry was used last, in seconds since 1970; long ago if it has vanished."""
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def _last_change(entry: Path) -> float:
    """When anything in a folder was written last, in seconds since 1970."""
    return max([_last_use(entry), *(_last_use(Path(at) / name) for at, _, names in os.walk(entry) for name in names)])


def _size(entry: Path) -> int:
    """The bytes that a folder's files take. What vanishes meanwhile takes none."""
    total = 0
    for at, _, names in os.walk(entry):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(at) / name).lstat().st_size
    return total
