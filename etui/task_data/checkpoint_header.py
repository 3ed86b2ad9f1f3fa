"""Read which model a checkpoint of a training is of, without reading its tensors."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from etui.errors import UsageError
from etui.text import plain

CHECKPOINT_SUFFIX = ".safetensors"

METADATA_KEY = "etui.training"
"""The key of the position in the metadata of a checkpoint's header."""

OWN_TENSORS = "etui."
"""The beginning of the names of a checkpoint's tensors that are not those of the model."""

_LARGEST = 100 << 20


class _Settings(msgspec.Struct):
    model: str


class _Position(msgspec.Struct):
    settings: _Settings


class _Header(msgspec.Struct):
    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def trained_model(checkpoint: Path) -> str:
    """Return the reference of the model that a checkpoint was trained for, as of ``etui.catalog.find``.

    Raises:
        UsageError: the file cannot be read, or is not a checkpoint of a training.
    """
    name = plain(str(checkpoint))
    try:
        with checkpoint.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            content = file.read(size) if size <= _LARGEST else b""
        position = msgspec.json.decode(content, type=_Header).metadata[METADATA_KEY]
        return msgspec.json.decode(position, type=_Position).settings.model
    except OSError as error:
        raise UsageError(f"cannot read {name} ({error.strerror or error})", "check the file") from error
    except (struct.error, msgspec.MsgspecError, KeyError, ValueError) as error:
        raise UsageError(
            f"{name} is not a checkpoint of etui train", "name its best or last.safetensors, a program or a run"
        ) from error
