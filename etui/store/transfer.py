"""Runs as JSON files: reading what others wrote, with the field that is wrong, and writing without overwriting."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from etui.errors import ImportRefused, StoreError, UsageError
from etui.files import private as private_files
from etui.files.atomic import descriptor_of, is_special, is_stream, refuse_existing, write_whole
from etui.formats.json_text import harmless
from etui.results import RunDocument
from etui.store.executorch_utils_format import document_from_flat, is_flat
from etui.store.import_checks import Refused, document_from

_UNSAFE = re.compile(r"[^0-9A-Za-z._-]+")
_LONGEST_PART = 60
MOST_BYTES = 2 * 10**9
"""More than any export holds."""

RunName = tuple[str, str, str, str]
"""A run's model, precision, delegate and id."""


def read_documents(path: Path) -> list[RunDocument]:
    """The runs in a file: one document, an array of them, or a flat result of executorch-utils.

    Raises ImportRefused, naming the file and the field, where any part of it is not a run.
    """
    data, written_at = _read(path)
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImportRefused(f"{path} is not JSON ({error})", "give files that etui export wrote") from error
    many = isinstance(value, list)
    documents = []
    for index, part in enumerate(value if isinstance(value, list) else [value]):
        try:
            if is_flat(part):
                documents.append(document_from_flat(part, written_at))
            else:
                documents.append(document_from(part))
        except (msgspec.ValidationError, Refused) as error:
            problem = str(error).replace("`$", f"`$[{index}]", 1) if many else str(error)
            raise ImportRefused(f"{path} holds no runs of this etui: {problem}", "mend or leave it out") from error
    if not documents:
        raise ImportRefused(f"{path} holds no runs", "give files that etui export wrote")
    return documents


def _read(path: Path) -> tuple[bytes, str]:
    """What a file holds and when it was written, as documents have it. Raises ImportRefused."""
    try:
        with path.open("rb") as file:
            # A device or pipe may never end.
            data = file.read(MOST_BYTES + 1)
            written_s = os.fstat(file.fileno()).st_mtime
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ImportRefused(f"cannot read {path} ({why or error})", "check the path") from error
    if len(data) > MOST_BYTES:
        raise ImportRefused(f"{path} is larger than {MOST_BYTES // 10**6:,} MB", "give files that etui export wrote")
    try:
        written = datetime.fromtimestamp(written_s, UTC)
    except (ValueError, OverflowError, OSError):
        written = datetime.now(UTC)  # the clock of the file system is off by millennia
    return data, written.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def encode_document(document: RunDocument) -> bytes:
    """A document as JSON text: a line a field, and a line a block, so that it reads and compares well."""
    fields = []
    for name in document.__struct_fields__:
        value = getattr(document, name)
        key = msgspec.json.encode(name)
        if isinstance(value, list) and value:
            items = b",\n  ".join(msgspec.json.encode(item) for item in value)
            fields.append(b" " + key + b": [\n  " + items + b"\n ]")
        else:
            fields.append(b" " + key + b": " + msgspec.json.encode(value))
    return harmless(b"{\n" + b",\n".join(fields) + b"\n}\n")


def encode_documents(documents: Sequence[RunDocument]) -> bytes:
    """One run as its document, several as an array of them."""
    return b"".join(encoded(documents, many=len(documents) > 1))


def encoded(documents: Iterable[RunDocument], *, many: bool) -> Iterator[bytes]:
    """What ``encode_documents`` gives, in pieces, so that only one document need be in memory: an array if ``many``,
    else the only document."""
    if not many:
        yield from map(encode_document, documents)
        return
    before = b"[\n"
    for document in documents:
        yield before + encode_document(document).rstrip()
        before = b",\n"
    yield b"\n]\n"


def default_name(document: RunDocument) -> str:
    """``{model}_{precision}_{delegate}.json`` with nothing in it that a file name should not hold."""
    return file_names([name_of(document)])[0]


def name_of(document: RunDocument) -> RunName:
    """What a run's file is named after."""
    return document.model.name, document.precision, document.delegate, document.id


def file_names(runs: Iterable[RunName]) -> list[str]:
    """A file name for each (model, precision, delegate, id); one that comes twice gets the run's id behind it."""
    names: list[str] = []
    taken: set[str] = set()
    for model, precision, delegate, run_id in runs:
        stem = "_".join(map(_safe, (model, precision, delegate)))
        name = f"{stem}.json" if f"{stem}.json" not in taken else f"{stem}_{_safe(run_id)}.json"
        names.append(name)
        taken.add(name)
    return names


def is_one_file(target: Path) -> bool:
    """Whether several runs would go into this one file or stream, rather than into a folder of this name."""
    return is_stream(target) or (target.suffix == ".json" and not os.path.isdir(target))  # noqa: PTH112 - Path.is_dir raises


def planned_files(runs: Sequence[RunName], target: Path) -> list[tuple[Path, list[str]]]:
    """Which file holds the runs of which ids: ``target`` itself (see ``is_one_file``), else one per run in that
    folder."""
    ids = [run_id for *_, run_id in runs]
    if is_one_file(target):
        return [(target, ids)]
    return [(target / name, [run_id]) for name, run_id in zip(file_names(runs), ids, strict=True)]


def write_runs(
    runs: Sequence[RunName], load: Callable[[str], RunDocument], target: Path, *, force: bool = False
) -> Iterator[Path]:
    """Write runs to ``target`` (see ``planned_files``). Each file appears whole or not at all, and is yielded then.
    ``load`` gives the document of an id; only one is in memory at a time.

    Raises UsageError, writing nothing, if a file is there already and ``force`` is not set; StoreError if the disk or
    permissions are in the way.
    """
    files = planned_files(runs, target)
    for path, _ in files:
        refuse_existing(path, force=force)
    for path, ids in files:
        write_file(path, encoded(map(load, ids), many=len(ids) > 1), force=force)
        yield path


def write_documents(documents: Sequence[RunDocument], target: Path, *, force: bool = False) -> list[Path]:
    """Write runs that are in memory as ``write_runs`` does, and return the files."""
    by_id = {document.id: document for document in documents}
    return list(write_runs([name_of(document) for document in documents], by_id.__getitem__, target, force=force))


def write_file(path: Path, data: bytes | Iterable[bytes], *, force: bool, private: bool = False) -> None:
    """Write a file whole or not at all; ``private`` for one that etui keeps for itself, which only its user may read.
    Data in several pieces is written piece by piece.

    A stream, such as /dev/stdout, is written to as it is, with or without ``force``.

    Raises UsageError if it exists and not ``force``, or is a disk or a socket; StoreError on the rest.
    """
    pieces = [data] if isinstance(data, bytes) else data
    if not private and is_stream(path):
        _write_stream(path, pieces)
        return
    if is_special(path):
        raise UsageError(f"{path} is a disk or a socket, not a file", "name another place with -o")
    try:
        if private:
            private_files.make_folder(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path.parent} ({error.strerror})", "name another with -o") from error
    try:
        write_whole(path, pieces, force=force, private=private)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", "name another place with -o, or overwrite with --force") from error
    except OSError as error:
        raise StoreError(
            f"cannot write {path} ({error.strerror or error})", "check the folder and its space"
        ) from error


def _write_stream(path: Path, pieces: Iterable[bytes]) -> None:
    descriptor = descriptor_of(path)
    try:
        # A descriptor is written to where it is: opened again, a file that it was redirected to would be emptied.
        with path.open("wb", buffering=0) if descriptor is None else os.fdopen(os.dup(descriptor), "wb", 0) as stream:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[stream.write(left) or 0 :]
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror or error})", "name another place with -o") from error


def _safe(part: str) -> str:
    return _UNSAFE.sub("-", part).strip(".-")[:_LONGEST_PART] or "unnamed"
