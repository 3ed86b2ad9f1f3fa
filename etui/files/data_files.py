"""The files of a user's folder that inputs of a model are made from: images, tensors or JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from etui.errors import UsageError
from etui.files.walk import files_below

DataKind = Literal["images", "tensors", "JSON lines"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_SUFFIXES: dict[DataKind, frozenset[str]] = {
    "images": IMAGE_SUFFIXES,
    "tensors": frozenset({".npz", ".safetensors"}),
    "JSON lines": frozenset({".jsonl"}),
}


def data_files(folder: Path) -> tuple[DataKind, list[Path]]:
    """Return the kind of a folder's files and those of this kind, sorted, with those in subfolders. Links are
    followed; hidden files and folders and files of other kinds are ignored.

    Raises:
        UsageError: the folder cannot be read, or has no usable files, or files of several kinds.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} {'is not a folder' if folder.exists() else 'does not exist'}",
            "give a folder with images, .npz or .safetensors files, or .jsonl files",
        )
    try:
        found = sorted(path for path in files_below(folder) if path.is_file())
    except OSError as error:
        raise UsageError(f"cannot read {folder} ({error.strerror})", "check its permissions") from error
    by_kind = {
        kind: files
        for kind, suffixes in _SUFFIXES.items()
        if (files := [path for path in found if path.suffix.lower() in suffixes])
    }
    if not by_kind:
        raise UsageError(
            f"{folder} has no images, .npz, .safetensors or .jsonl files", "give a folder with one of these"
        )
    if len(by_kind) > 1:
        raise UsageError(f"{folder} has {' and '.join(by_kind)}", "give a folder with files of one kind")
    return next(iter(by_kind.items()))
