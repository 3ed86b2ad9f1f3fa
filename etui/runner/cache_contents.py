"""The contents of the program cache: list its entries, and remove some that are not in use."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from etui.errors import UsageError
from etui.files.cache_entries import (
    MODELS,
    PROGRAMS,
    SCRATCH,
    WORKERS,
    folders_in,
    is_in_use,
    remove_unused,
    size_in_bytes,
    time_of_last_use,
)
from etui.store.quick_reads import BriefRun

EntryKind = Literal["program", "bundle"]
"""A prepared program; or the weights, inputs and eager reference outputs of a model, which its programs share."""

_FOLDERS: dict[EntryKind, str] = {"program": PROGRAMS, "bundle": MODELS}
_DESCRIPTIONS: dict[EntryKind, str] = {"program": "lowered.json", "bundle": "bundle.json"}


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. The model and configuration are empty if they were not recorded, and ``weights`` and ``inputs``, the
    kinds of a bundle's, for a program. ``in_use`` is None if that cannot be determined."""

    kind: EntryKind
    key: str
    model: str = ""
    precision: str = ""
    delegate: str = ""
    keep_fp32: tuple[str, ...] = ()
    weights: str = ""
    inputs: str = ""
    size_bytes: int
    last_used_at: str
    in_use: bool | None


class CacheContents(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a cache folder, most recently used first. ``size_bytes`` is their total size, ``cap_bytes`` the
    size above which the least recently used are removed, ``temporary_bytes`` the size of other folders: of processes in
    progress, or left by killed ones."""

    folder: str
    size_bytes: int
    cap_bytes: int
    temporary_bytes: int
    entries: list[CacheEntry]


class _Kind(msgspec.Struct):
    kind: str = ""


class _Name(msgspec.Struct):
    name: str = ""


class _Program(msgspec.Struct):
    model: str = ""
    precision: str = ""
    delegate: str = ""
    keep_fp32: tuple[str, ...] = ()


class _Bundle(msgspec.Struct):
    model: _Name = msgspec.field(default_factory=_Name)
    weights: _Kind = msgspec.field(default_factory=_Kind)
    inputs: _Kind = msgspec.field(default_factory=_Kind)


_T = TypeVar("_T", _Program, _Bundle)


def cache_contents(root: Path) -> CacheContents:
    """Return the contents of the cache folder ``root``, which need not exist. Changes nothing."""
    # Imported late, here and below: completing a command line does not need it.
    from etui.runner.program_cache import cap_bytes_from_environment

    entries = [
        _entry(kind, folder)
        for kind, name in _FOLDERS.items()
        for folder in folders_in(root / name)
        if not folder.name.startswith(".")
    ]
    temporary = [
        *(folder for name in _FOLDERS.values() for folder in folders_in(root / name) if folder.name.startswith(".")),
        *(folder for name in (SCRATCH, WORKERS) for folder in folders_in(root / name)),
    ]
    return CacheContents(
        folder=str(root),
        size_bytes=sum(entry.size_bytes for entry in entries),
        cap_bytes=cap_bytes_from_environment(),
        temporary_bytes=sum(map(size_in_bytes, temporary)),
        entries=sorted(entries, key=lambda entry: (entry.last_used_at, entry.key), reverse=True),
    )


def with_configurations(contents: CacheContents, runs: Mapping[str, Sequence[BriefRun]]) -> CacheContents:
    """Return the contents with the configurations of programs that earlier versions prepared without recording them,
    taken from the runs that used them, by key."""
    entries = [
        msgspec.structs.replace(entry, model=used[0].model, precision=used[0].precision, delegate=used[0].delegate)
        if entry.kind == "program" and not entry.model and (used := runs.get(entry.key))
        else entry
        for entry in contents.entries
    ]
    return msgspec.structs.replace(contents, entries=entries)


def model_names(root: Path) -> list[str]:
    """Return the names of the models whose bundles are in the cache, in order."""
    names = {_read(folder, "bundle", _Bundle).model.name for folder in folders_in(root / MODELS)}
    return sorted(names - {""})


def keys(root: Path) -> list[str]:
    """Return the keys of the entries in the cache."""
    folders = [folder for name in _FOLDERS.values() for folder in folders_in(root / name)]
    return sorted({folder.name for folder in folders if not folder.name.startswith(".")})


def age_s(entry: CacheEntry) -> float:
    """Return the time since the last use of an entry in seconds."""
    return time.time() - datetime.fromisoformat(entry.last_used_at).timestamp()


def remove_entries(root: Path, entries: Iterable[CacheEntry]) -> list[CacheEntry]:
    """Remove those of the entries that are not in use and were not used since they were listed, and what killed
    processes left in the cache. Return the removed entries.

    Raises:
        EtuiError: the cache cannot be written.
    """
    from etui.runner.program_cache import ProgramCache

    cache = ProgramCache(root)
    removed = []
    for entry in entries:
        folder = root / _FOLDERS[entry.kind] / entry.key
        last_use = time_of_last_use(folder)
        if _moment(last_use) == entry.last_used_at and remove_unused(folder, last_use):
            removed.append(entry)
    cache.sweep(cap_bytes=sys.maxsize)
    return removed


def selected(
    contents: CacheContents, names: Iterable[str] = (), *, older_than_s: float | None = None
) -> list[CacheEntry]:
    """Return the entries with these names, each a model or the beginning of a key, or all without names; those that
    were used within ``older_than_s`` seconds are omitted.

    Raises:
        UsageError: no entry has one of the names.
    """
    chosen: dict[tuple[str, str], CacheEntry] = {}
    wanted = tuple(names)
    for name in wanted:
        named = [entry for entry in contents.entries if entry.model == name] or [
            entry for entry in contents.entries if name and entry.key.startswith(name)
        ]
        if not named:
            raise UsageError(f"the program cache has no entry {name!a}", "see the models and keys: etui cache list")
        chosen |= {(entry.kind, entry.key): entry for entry in named}
    entries = list(chosen.values()) if wanted else contents.entries
    return [entry for entry in entries if older_than_s is None or age_s(entry) > older_than_s]


def _entry(kind: EntryKind, folder: Path) -> CacheEntry:
    facts = CacheEntry(
        kind=kind,
        key=folder.name,
        size_bytes=size_in_bytes(folder),
        last_used_at=_moment(time_of_last_use(folder)),
        in_use=is_in_use(folder),
    )
    if kind == "program":
        program = _read(folder, kind, _Program)
        return msgspec.structs.replace(facts, **msgspec.structs.asdict(program))
    bundle = _read(folder, kind, _Bundle)
    return msgspec.structs.replace(
        facts, model=bundle.model.name, weights=bundle.weights.kind, inputs=bundle.inputs.kind
    )


def _read(folder: Path, kind: EntryKind, description: type[_T]) -> _T:
    """Return the recorded description of an entry; an empty one if it cannot be read."""
    try:
        return msgspec.json.decode((folder / _DESCRIPTIONS[kind]).read_bytes(), type=description)
    except (OSError, msgspec.MsgspecError):
        return description()


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
