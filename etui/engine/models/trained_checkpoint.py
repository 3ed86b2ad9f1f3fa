"""What a checkpoint of `etui train` says about its model: categories, kind and preprocessing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from etui.errors import WeightsError
from etui.task_data.checkpoint_header import METADATA_KEY
from etui.task_data.labelled_images import Kind
from etui.task_data.preprocessing import Preprocessing
from etui.task_training import TrainingSettings
from etui.text import plain


class TrainedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a checkpoint's metadata that using its model needs. ``kind`` is None if it is not recorded."""

    settings: TrainingSettings
    categories: tuple[str, ...]
    kind: Kind | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """The preparation of the images that it was evaluated on in training."""
        return Preprocessing((self.settings.size, self.settings.size))


def trained_checkpoint(path: Path | None) -> TrainedCheckpoint | None:
    """Return the metadata of a checkpoint; None for any other file, which is not read.

    Raises:
        WeightsError: its metadata is damaged, or it was trained with fake quantization.
    """
    if path is None or path.suffix != ".safetensors" or not path.is_file():
        return None
    # Imported here, so that a model is checked early without it.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError):
        return None  # reported when its tensors are read
    if header is None:
        return None
    name = plain(path.name)
    try:
        found = msgspec.json.decode(header, type=TrainedCheckpoint)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"{name} is a damaged checkpoint ({error})", "give another file") from error
    if found.settings.qat is not None:
        raise WeightsError(
            f"{name} was trained with --qat {found.settings.qat}: it has fake quantization, which is not measured",
            "measure the program of the training, or give the FP32 checkpoint that it began with",
        )
    if not found.categories or found.settings.size < 1:
        raise WeightsError(f"{name} is a damaged checkpoint (no categories or no size)", "give another file")
    return found
