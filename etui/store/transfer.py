"""Import and export of runs as JSON files: validation that names the wrong field, and writing without overwriting."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from etui.errors import ImportRefused
from etui.files.atomic import is_stream, refuse_existing, write_file
from etui.formats.json_text import harmless
from etui.results import RunDocument
from etui.store.executorch_utils_format import document_from_flat, is_flat
from etui.store.import_checks import InvalidValue, document_from

_UNSAFE = re.compile(r"[^0-9A-Za-z._-]+")
_LONGEST_PART = 60
MOST_BYTES = 2 * 10**9
"""The largest file that is imported, in bytes; exports are much smaller."""

RunName = tuple[str, str, str, str]
"""A run's model, precision, delegate and id."""


def read_documents(path: Path) -> list[RunDocument]:
    """Return the runs in a file: one document, an array of documents, or a flat result of executorch-utils.

    Raises ImportRefused, which names the file and the field, if any part of it is not a run.
    """
    data, written_at = _read(path)
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImportRefused(f"{path} is not JSON ({error})", "import files that etui exported") from error
    many = isinstance(value, list)
    documents = []
    for index, part in enumerate(value if isinstance(value, list) else [value]):
        try:
            if is_flat(part):
                documents.append(document_from_flat(part, written_at))
            else:
                documents.append(document_from(part))
        except (msgspec.ValidationError, InvalidValue) as error:
            problem = str(error).replace("`$", f"`$[{index}]", 1) if many else str(error)
            raise ImportRefused(f"{path} is not a valid run: {problem}", "fix the file or skip it") from error
    if not documents:
        raise ImportRefused(f"{path} contains no runs", "import files that etui exported")
    return documents


def _read(path: Path) -> tuple[bytes, str]:
    """Return the content of a file and its modification time in the format of documents. Raises ImportRefused."""
    try:
        with path.open("rb") as file:
            # A device or pipe can be endless.
            data = file.read(MOST_BYTES + 1)
            written_s = os.fstat(file.fileno()).st_mtime
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImportRefused(f"cannot read {path} ({reason or error})", "check the path") from error
    if len(data) > MOST_BYTES:
        raise ImportRefused(f"{path} is larger than {MOST_BYTES // 10**6:,} MB", "import files that etui exported")
    try:
        written = datetime.fromtimestamp(written_s, UTC)
    except (ValueError, OverflowError, OSError):
        written = datetime.now(UTC)  # the file system has an impossible time
    return data, written.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def encode_document(document: RunDocument) -> bytes:
    """Return a document as JSON text with one line per field and per list item, so that files can be compared by
    line."""
    fields = []
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if value is msgspec.UNSET:
            continue
        key = msgspec.json.encode(name)
        if isinstance(value, list) and value:
            items = b",\n  ".join(msgspec.json.encode(item) for item in value)
            fields.append(b" " + key + b": [\n  " + items + b"\n ]")
        else:
            fields.append(b" " + key + b": " + msgspec.json.encode(value))
    return harmless(b"{\n" + b",\n".join(fields) + b"\n}\n")


def encoded(documents: Iterable[RunDocument], *, many: bool) -> Iterator[bytes]:
    """Yield the text of a file of runs in pieces, so that only one document is in memory: an array if ``many``, else
    the only document."""
    if not many:
        yield from map(encode_document, documents)
        return
    separator = b"[\n"
    for document in documents:
        yield separator + encode_document(document).rstrip()
        separator = b",\n"
    yield b"\n]\n"


def name_of(document: RunDocument) -> RunName:
    """Return the properties of a run that its file name is made of."""
    return document.model.name, document.precision, document.delegate, document.id


def file_names(runs: Iterable[RunName]) -> list[str]:
    """Return a file name for each run, ``{model}_{precision}_{delegate}.json``; a repeated one gets the run's id as
    suffix."""
    names: list[str] = []
    used: set[str] = set()
    for model, precision, delegate, run_id in runs:
        stem = "_".join(map(_safe, (model, precision, delegate)))
        name = f"{stem}.json" if f"{stem}.json" not in used else f"{stem}_{_safe(run_id)}.json"
        names.append(name)
        used.add(name)
    return names


def is_one_file(target: Path) -> bool:
    """Whether several runs are written to this path as one file or stream, instead of to a folder of this name."""
    return is_stream(target) or (target.suffix == ".json" and not os.path.isdir(target))  # noqa: PTH112 - Path.is_dir raises


def planned_files(runs: Sequence[RunName], target: Path) -> list[tuple[Path, list[str]]]:
    """Return the files to write with the ids of their runs: ``target`` itself (see ``is_one_file``), else one file per
    run in that folder."""
    ids = [run_id for *_, run_id in runs]
    if is_one_file(target):
        return [(target, ids)]
    return [(target / name, [run_id]) for name, run_id in zip(file_names(runs), ids, strict=True)]


def write_runs(
    runs: Sequence[RunName], load: Callable[[str], RunDocument], target: Path, *, force: bool = False
) -> Iterator[Path]:
    """Write runs to ``target`` (see ``planned_files``) and yield each file when it is written, whole or not at all.
    ``load`` returns the document of an id; only one is in memory at a time.

    Raises UsageError before anything is written if a file exists and ``force`` is not set; StoreError if a file cannot
    be written.
    """
    files = planned_files(runs, target)
    for path, _ in files:
        refuse_existing(path, force=force)
    for path, ids in files:
        write_file(path, encoded(map(load, ids), many=len(ids) > 1), force=force)
        yield path


def write_documents(documents: Sequence[RunDocument], target: Path, *, force: bool = False) -> list[Path]:
    """Write runs that are in memory like ``write_runs``, and return the files."""
    by_id = {document.id: document for document in documents}
    return list(write_runs([name_of(document) for document in documents], by_id.__getitem__, target, force=force))


def _safe(part: str) -> str:
    return _UNSAFE.sub("-", part).strip(".-")[:_LONGEST_PART] or "unnamed"
