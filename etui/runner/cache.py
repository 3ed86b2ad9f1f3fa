"""The cache of prepared programs: their content addresses, finding them again, its size cap, and sweeping up."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from etui import private_files, process_settings
from etui.catalog.precisions import needs_calibration
from etui.environment import cpu_flags
from etui.errors import EtuiError
from etui.jobs import LowerResult
from etui.results import Environment

DEFAULT_CAP_BYTES = 20 * 1000**3
VERSIONED = ("torch", "executorch", "torchao", "transformers", "openvino", "nncf")
PROGRAMS, MODELS, SCRATCH = "programs", "models", "scratch"

_KEY = re.compile(r"[0-9a-f]{32}")


class ProgramCache:
    """One cache folder. ``programs/`` and ``models/`` hold folders named by content; ``scratch/`` holds what belongs to
    a running process alone and is swept when that process is gone."""

    def __init__(self, root: Path) -> None:
        """Open the folder, making it if needed.

        Raises:
            EtuiError: it cannot be written.
        """
        self.root = root
        try:
            for name in (PROGRAMS, MODELS):
                private_files.make_folder(root / name, own=True)
            private_files.make_folder(root)
            probe = root / f".write-{os.getpid()}"
            probe.touch(private_files.FILE_MODE)
            probe.unlink()
        except OSError as error:
            raise EtuiError(
                f"cannot write the cache {root}: {error.strerror}", "free space, or point ETUI_CACHE elsewhere"
            ) from error

    def scratch(self, name: str) -> ProgramCache:
        """A cache of its own for one session of this process, to be removed with ``remove``."""
        return ProgramCache(self.root / SCRATCH / f"{os.getpid()}-{name}")

    def remove(self) -> None:
        """Remove the whole folder: for scratch caches."""
        shutil.rmtree(self.root, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.root.parent.rmdir()

    def program_dir(self, key: str) -> Path:
        """Where the program of this key lies or will lie."""
        return self.root / PROGRAMS / key

    def find(self, key: str) -> LowerResult | None:
        """The program of this key if it is there and whole; marks it as used. A damaged one is removed."""
        if not is_key(key):
            return None
        folder = self.program_dir(key)
        try:
            lowered = msgspec.json.decode((folder / "lowered.json").read_bytes(), type=LowerResult)
            whole = (folder / "program.pte").stat().st_size == lowered.artifact.size_bytes
        except FileNotFoundError:
            whole = False
        except (OSError, msgspec.MsgspecError):
            whole = False
        if not whole:
            _remove(folder)
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return msgspec.structs.replace(
            lowered,
            path=str(folder / "program.pte"),
            artifact=msgspec.structs.replace(lowered.artifact, cached=True),
            stages=[msgspec.structs.replace(stage, cached=True) for stage in lowered.stages],
        )

    def bundle_keys(self) -> list[str]:
        """The keys of the bundles that are there."""
        return [entry.name for entry in _entries(self.root / MODELS) if is_key(entry.name)]

    def sweep(self, keep: set[Path] | None = None, cap_bytes: int | None = None) -> int:
        """Remove what killed processes left half-made, then the least recently used until the cap holds.

        ``keep`` is never removed. Returns the bytes freed by the cap.
        """
        for folder in (self.root / PROGRAMS, self.root / MODELS, self.root / SCRATCH):
            for entry in _entries(folder):
                owner = _owner(entry)
                if owner is not None and not _is_alive(owner):
                    shutil.rmtree(entry, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.root / SCRATCH).rmdir()
        cap = cap_bytes if cap_bytes is not None else _cap_from_environment()
        kept = {path.resolve() for path in keep or set()}
        sized = sorted(
            (entry.stat().st_mtime, _size(entry), entry)
            for folder in (self.root / PROGRAMS, self.root / MODELS)
            for entry in _entries(folder)
            if _owner(entry) is None
        )
        total, freed = sum(size for _, size, _ in sized), 0
        for _, size, entry in sized:
            if total - freed <= cap:
                break
            if entry.resolve() not in kept:
                _remove(entry)
                freed += size
        return freed


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


_BY_CPU = frozenset({"openvino"})
_INSTRUCTION_SETS = ("ONEDNN_*", "DNNL_*", "OPENVINO_*", "OV_*")


def machine_for(delegate: str, environment: Environment | None = None) -> tuple[str, ...]:
    """What of the machine decides the arithmetic that a delegate computes a program in: the CPU's features, and the
    variables that hold some of them back; of this process, or as the ``environment`` of a run has them.

    Empty for a delegate that computes the same on every CPU, and if it was not recorded.
    """
    if delegate not in _BY_CPU:
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

    Asked once a process, as the zygotes import once: after an upgrade a runner starts anew (see ``runner.service``).
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


def _remove(folder: Path) -> None:
    """Remove a finished folder so that who is killed meanwhile leaves one that is swept, not one that looks whole."""
    doomed = folder.with_name(f".{os.getpid()}-{folder.name}")
    with contextlib.suppress(OSError):
        folder.replace(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []


def _owner(entry: Path) -> int | None:
    """The process that is making this folder, None for a finished one. Unfinished folders start with ``.PID-`` (of the
    process that writes them) and scratch caches with ``PID-``."""
    if not entry.name.startswith(".") and entry.parent.name != SCRATCH:
        return None
    pid = entry.name.lstrip(".").partition("-")[0]
    return int(pid) if pid.isdecimal() else 0


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
