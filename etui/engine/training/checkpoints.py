"""Checkpoints of a training: safetensors files whose header has the position as JSON, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from etui.errors import PreparationError
from etui.files.atomic import write_file
from etui.task_data.checkpoint_header import METADATA_KEY, OWN_TENSORS
from etui.task_data.labelled_images import Kind
from etui.task_training import EpochFigures, TrainingSettings
from etui.text import plain

_FORMAT = 1


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What a training continues from: ``batch`` is the number of batches of ``epoch`` that are done, ``loss_sum`` the
    sum of their losses. ``kind`` is that of the data, None in checkpoints that do not say it. The metadata of every
    checkpoint."""

    settings: TrainingSettings
    categories: tuple[str, ...]
    training_sha256: str
    epoch: int
    batch: int
    loss_sum: float
    epochs: list[EpochFigures]
    format: int = _FORMAT
    kind: Kind | None = None


def write_checkpoint(path: Path, position: Position, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors with the position in the header; an earlier file stays as it is if that fails.

    Raises:
        StoreError: the file cannot be written.
    """
    ready = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_file(path, save(ready, {METADATA_KEY: msgspec.json.encode(position).decode()}), force=True)


def read_checkpoint(path: Path) -> tuple[Position, dict[str, torch.Tensor]]:
    """Return what ``write_checkpoint`` wrote.

    Raises:
        PreparationError: the file is missing, damaged, or not a checkpoint of a training.
    """
    name = plain(str(path))
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(METADATA_KEY)
            if header is None:
                raise PreparationError(f"{name} is not a checkpoint of etui train", "select best or last.safetensors")
            position = msgspec.json.decode(header, type=Position)
            return position, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError as error:
        raise PreparationError(f"{name} does not exist", "train without --resume") from error
    except (SafetensorError, OSError, msgspec.MsgspecError, ValueError) as error:
        raise PreparationError(f"{name} is damaged ({error})", "train without --resume") from error


def is_checkpoint(path: Path) -> bool:
    """Return whether a file can be read as safetensors and has the position of a training."""
    try:
        with safe_open(path, framework="pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def model_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of the model among those of a checkpoint, by their names in the module."""
    return {name: value for name, value in tensors.items() if not name.startswith(OWN_TENSORS)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the state of an optimizer as tensors named ``number of the parameter.name``."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Set the state of an optimizer from ``optimizer_tensors``."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
