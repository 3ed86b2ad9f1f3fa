"""What is needed to use a program for its task: categories, preprocessing and threshold, in a file next to it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from etui.errors import UsageError
from etui.files.atomic import write_file
from etui.task_data.labelled_images import Kind
from etui.task_data.preprocessing import Preprocessing
from etui.text import plain

DEFAULT_THRESHOLD = 0.5
"""The probability from which a category counts as predicted, if nothing else is chosen."""

_SUFFIX = ".task.json"
_LONGEST = 1 << 16


Outputs = Literal["logits", "probabilities"]


class TaskMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """How a program is used. Its first output has the shape [N, C] with the logits of ``categories`` in their order;
    the probability of a category is their sigmoid (``kind`` is multi-label) or softmax (single-label). With ``outputs``
    probabilities, the program itself has applied that; None is not known.

    ``threshold`` is the probability from which a category counts as predicted, None if it was not chosen. ``model`` is
    the name of the model, ``data_name``, ``data_split`` and ``data_sha256`` the data that it was trained on; empty if
    they are not known.
    """

    categories: tuple[str, ...]
    kind: Kind
    preprocessing: Preprocessing
    threshold: float | None = None
    model: str = ""
    data_name: str = ""
    data_split: str = ""
    data_sha256: str = ""
    outputs: Outputs | None = None


def metadata_path(program: Path) -> Path:
    """Return the path of a program's metadata: ``net.task.json`` for ``net.pte``."""
    return program.with_suffix(_SUFFIX)


def write_metadata(program: Path, metadata: TaskMetadata, *, force: bool = False) -> Path:
    """Write the metadata of a program atomically, and return the path.

    Raises:
        StoreError: it cannot be written, or exists and ``force`` is false.
    """
    path = metadata_path(program)
    write_file(path, msgspec.json.format(msgspec.json.encode(metadata), indent=2) + b"\n", force=force)
    return path


def read_metadata(path: Path) -> TaskMetadata:
    """Return the metadata of a file.

    Raises:
        UsageError: the file cannot be read, or its content is not valid.
    """
    name = plain(str(path))
    try:
        found = msgspec.json.decode(path.read_bytes(), type=TaskMetadata)
    except OSError as error:
        raise UsageError(f"cannot read {name} ({error.strerror or error})", "check the file") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is not the metadata of a program ({plain(str(error))})", "write it again") from error
    problem = _problem(found)
    if problem:
        raise UsageError(f"{name} is not usable: {problem}", "write it again")
    return found


def _problem(metadata: TaskMetadata) -> str:
    if len(set(metadata.categories)) < max(1, len(metadata.categories)):
        return "its categories are not different names"
    if min(metadata.preprocessing.size) < 1 or not all(value > 0 for value in metadata.preprocessing.std):
        return "the size or the standard deviation of its preprocessing is not positive"
    prepared = metadata.preprocessing
    if prepared.shorter_side is not None and not max(prepared.size) <= prepared.shorter_side <= _LONGEST:
        return "the shorter side of its preprocessing does not cover its size"
    if metadata.threshold is not None and not 0 <= metadata.threshold <= 1:
        return "its threshold is not from 0 to 1"
    return ""
