"""Walk through a folder of a user's data: links are followed, hidden files and folders are not part of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of its subfolders, sorted by name in each, without those whose names begin with a
    dot. Links are followed, except to a folder that contains them; a link without a target is yielded as a file.

    Raises:
        OSError: a folder cannot be read.
    """
    yield from _walk(folder, frozenset(_identity(parent) for parent in folder.absolute().parents))


def _walk(folder: Path, containing: frozenset[tuple[int, int]]) -> Iterator[Path]:
    itself = _identity(folder)
    if itself in containing:
        return
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    for name, is_folder in found:
        if is_folder:
            yield from _walk(folder / name, containing | {itself})
        else:
            yield folder / name


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
