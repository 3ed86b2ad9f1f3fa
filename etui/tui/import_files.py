"""Import runs from the files that a path, folder or pattern names."""

from __future__ import annotations

import asyncio
import glob
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from etui.errors import ImportRefused, UsageError
from etui.paths import expanded
from etui.store import Store
from etui.store.transfer import read_documents
from etui.text import counted
from etui.tui.database import Database


class FileImport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one file: the number of new runs and of runs that were stored already, or why it was refused."""

    path: Path
    new: int = 0
    known: int = 0
    refused: str | None = None


def named_files(text: str) -> list[Path]:
    """Return the files that a text names: a file, a folder (its .json files), a pattern with ``*``, or several of these
    separated by spaces; a name that contains a space is quoted.

    Raises:
        UsageError: one of them does not exist, matches nothing or cannot be read.
    """
    if not text.strip():
        raise UsageError("no path is given", "enter a file, a folder or a pattern such as results/*.json")
    whole = expanded(text.strip())
    try:
        if whole.exists():
            return _files_of(str(whole))
        parts = shlex.split(text)
    except OSError as error:
        raise UsageError(f"cannot reach {text.strip()} ({error.strerror})", "check its permissions") from error
    except ValueError as error:
        raise UsageError(f"cannot split the text into paths ({error})", "close the quotation mark") from error
    return list(dict.fromkeys(path for part in parts for path in _files_of(part)))


async def import_files(
    database: Database, files: Sequence[Path], stopped: Callable[[], bool]
) -> AsyncIterator[FileImport]:
    """Import the files in order and yield the result of each, until all are done or ``stopped`` returns True.

    Raises:
        StoreError: the database cannot be written.
    """
    for path in files:
        if stopped():
            return
        yield await _import_file(database, path)


async def _import_file(database: Database, path: Path) -> FileImport:
    try:
        documents = await asyncio.to_thread(read_documents, path)
    except ImportRefused as error:
        return FileImport(path=path, refused=error.message)

    def store_documents(store: Store) -> list[Literal["new", "known"]]:
        return store.import_documents(documents)

    # Opened only now: a file that cannot be imported must not create a database.
    outcomes = await database.write(store_documents, create=True, announce=False)
    return FileImport(path=path, new=outcomes.count("new"), known=outcomes.count("known"))


def summary(results: Sequence[FileImport]) -> str:
    """Return all results in one sentence."""
    new, known = sum(result.new for result in results), sum(result.known for result in results)
    refused = sum(result.refused is not None for result in results)
    parts = [f"{counted(new, 'run')} imported"]
    if known:
        parts.append(f"{known:,} already stored")
    if refused:
        parts.append(f"{counted(refused, 'file')} refused")
    return ", ".join(parts)


def _files_of(part: str) -> list[Path]:
    path = expanded(part)
    try:
        if path.is_dir():
            files = sorted(child for child in path.iterdir() if child.suffix == ".json" and child.is_file())
            if not files:
                raise UsageError(f"the folder {path} contains no .json files", "choose another folder")
            return files
        if path.exists():
            return [path]
        files = sorted(Path(name) for name in glob.glob(str(path)) if Path(name).is_file())  # noqa: PTH207
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})", "check its permissions") from error
    if not files:
        problem = "matches no file" if glob.has_magic(str(path)) else "does not exist"
        raise UsageError(f"{path} {problem}", "check the path")
    return files
