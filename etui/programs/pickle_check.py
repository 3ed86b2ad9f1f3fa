"""Find the parts of an exported program (.pt2) that torch would unpickle or execute, without unpickling them."""

from __future__ import annotations

import io
import pickletools
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

SAMPLE_INPUTS, WEIGHTS, CONSTANTS, COMPILED = (
    "data/sample_inputs/",
    "data/weights/",
    "data/constants/",
    "data/aotinductor/",
)
_OBJECTS = ("custom_obj_", "opaque_obj_")
_OBJECT, _UNKNOWN = "an object that is not a tensor", "unreadable content"

_ONLY_TENSORS = re.compile(
    r"""
    collections\.(OrderedDict|Counter) | _codecs\.encode | (builtins|__builtin__)\.(bytearray|set|complex)
    | torch\.(Size|Tensor|device|(Untyped|Typed|[A-Z][A-Za-z0-9]*)Storage|[a-z]+\d+\w*|bool|half|float|double|long|int
        |short|per_\w+)
    | torch\.storage\.(Untyped|Typed)Storage | torch\.nn\.parameter\.Parameter | torch\.serialization\._get_layout
    | torch\._utils\._rebuild_\w+ | torch\._tensor\._rebuild_from_type_v2
    """,
    re.VERBOSE,
)
"""The names that pickled tensors refer to and that are safe to load."""

_MOST_BYTES = 500_000_000
"""Parts that unpack to more are not checked. Pickles are far smaller: the tensors' bytes are stored separately."""

_LEGACY_PARTS = 5
"""The number of pickles in torch's legacy format before the bytes of its tensors."""


_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, RuntimeError, OverflowError, struct.error, zlib.error,
    zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip
"""What the standard library raises for damaged archives, undecodable names and unsupported compression included."""


class Archive(Protocol):
    """A .pt2 as its parts; their names omit the archive's top folder."""

    def names(self) -> list[str]:
        """Return the names of all parts."""

    def read(self, name: str) -> bytes:
        """Return the content of a part. Raises OSError or RuntimeError if it cannot be read."""


class Part(msgspec.Struct, frozen=True):
    """A part that torch would unpickle or execute, and the names of the functions and classes it would call."""

    name: str
    calls: tuple[str, ...]


class ZipArchive:
    """A .pt2 read with Python's standard library, for a first check without torch."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError or zipfile.BadZipFile."""
        self._zip = zipfile.ZipFile(path)
        self._names = {name.partition("/")[2]: name for name in self._zip.namelist()}

    def names(self) -> list[str]:
        """Return the names of the entries."""
        return list(self._names)

    def read(self, name: str) -> bytes:
        """Return the content of an entry.

        Raises:
            OSError: it is too large or damaged.
        """
        try:
            if self._zip.getinfo(self._names[name]).file_size > _MOST_BYTES:
                raise OSError(f"{name} is too large")
            return self._zip.read(self._names[name])
        except _UNREADABLE as error:
            raise OSError(str(error)) from error


def unsafe_parts(archive: Archive) -> list[Part]:
    """Return the parts that torch would unpickle and that contain more than tensors, and those that it would
    execute."""
    parts = []
    for name in unpickled(archive):
        calls = (_OBJECT,) if _is_object(name) else _unsafe_calls(_read(archive, name))
        if calls:
            parts.append(Part(name, calls))
    if any(name.startswith(COMPILED) for name in archive.names()):
        parts.append(Part(COMPILED, ("compiled code",)))
    return parts


def refused_parts(path: Path) -> list[Part]:
    """Return the unsafe parts of a .pt2 that can be found without torch; unreadable files are left to torch to
    refuse."""
    try:
        return [part for part in unsafe_parts(ZipArchive(path)) if part.calls != (_UNKNOWN,)]
    except _UNREADABLE:
        return []


def unpickled(archive: Archive) -> list[str]:
    """Return the names of the parts that torch would unpickle."""
    names = []
    for name in archive.names():
        if name.startswith(SAMPLE_INPUTS) or (name.startswith((WEIGHTS, CONSTANTS)) and name.endswith(".pt")):
            names.append(name)
        elif name.startswith(WEIGHTS) and name.endswith("_weights_config.json"):
            names += _in_config(archive, name, WEIGHTS)
        elif name.startswith(CONSTANTS) and name.endswith("_constants_config.json"):
            names += _in_config(archive, name, CONSTANTS)
    return list(dict.fromkeys(names))


def to_text(parts: list[Part]) -> str:
    """Return the parts and what they would run as text for a message."""
    texts = [f"{part.name} ({', '.join(part.calls[:3])}{', ..' if len(part.calls) > 3 else ''})" for part in parts[:3]]
    return ", ".join(texts) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")


def _in_config(archive: Archive, config: str, folder: str) -> list[str]:
    """Return the parts that a configuration of weights or constants lists as pickled."""
    try:
        entries = msgspec.json.decode(_read(archive, config), type=dict[str, dict[str, dict[str, object]]])["config"]
    except (msgspec.MsgspecError, KeyError):
        # Torch's own reader may be less strict.
        return [config]
    return [
        posixpath.join(folder, str(entry.get("path_name")))
        for entry in entries.values()
        if entry.get("use_pickle") or str(entry.get("path_name")).startswith(_OBJECTS)
    ]


def _is_object(name: str) -> bool:
    """Return whether a part is an object that is not a tensor, so that loading it runs its own code."""
    return posixpath.basename(name).startswith(_OBJECTS)


def _read(archive: Archive, name: str) -> bytes:
    try:
        return archive.read(name)
    except (OSError, RuntimeError):
        return b"\0"


def _unsafe_calls(data: bytes) -> tuple[str, ...]:
    """Return what unpickling a part would call other than what rebuilds tensors."""
    if not data:
        return ()
    called = dict.fromkeys(_called(data))
    return tuple(name for name in called if not _ONLY_TENSORS.fullmatch(name))


def _called(data: bytes) -> Iterator[str]:
    """Yield the functions and classes that unpickling a file of ``torch.save`` would call."""
    if data[:4] != b"PK\x03\x04":
        yield from _in_pickles(data, _LEGACY_PARTS)
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as inner:
            names = inner.namelist()
            pickles = [name for name in names if name.endswith(".pkl")]
            if not pickles or any(posixpath.basename(name) == "constants.pkl" for name in pickles):
                yield _UNKNOWN
            for name in pickles:
                if inner.getinfo(name).file_size > _MOST_BYTES:
                    yield _UNKNOWN
                else:
                    yield from _in_pickles(inner.read(name), 1)
    except _UNREADABLE:
        yield _UNKNOWN


def _in_pickles(data: bytes, count: int) -> Iterator[str]:
    """Yield what the first ``count`` consecutive pickles call."""
    stream = io.BytesIO(data)
    for index in range(count):
        if index and stream.tell() == len(data):
            return
        try:
            yield from _in_pickle(stream)
        except (ValueError, IndexError, KeyError, UnicodeDecodeError, AttributeError):
            yield _UNKNOWN
            return


def _in_pickle(stream: io.BytesIO) -> Iterator[str]:
    """Yield what one pickle calls. A name that is computed while unpickling counts as unknown."""
    texts: list[object] = []
    memo: dict[object, object] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument).replace(" ", ".", 1)
            case "STACK_GLOBAL":
                module, name = ([None, None, *texts])[-2:]
                known = isinstance(module, str) and isinstance(name, str)
                yield f"{module}.{name}" if known else _UNKNOWN
            case "EXT1" | "EXT2" | "EXT4":
                yield _UNKNOWN
            case "MEMOIZE":
                memo[len(memo)] = texts[-1] if texts else None
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                memo[argument] = texts[-1] if texts else None
            case "BINGET" | "LONG_BINGET" | "GET":
                texts.append(memo.get(argument))
            case "PROTO" | "FRAME" | "MARK" | "STOP":
                pass
            case _:
                # Only strings pushed directly before STACK_GLOBAL can be names; anything else counts as unknown.
                texts.append(argument if "UNICODE" in opcode.name or "STRING" in opcode.name else None)
