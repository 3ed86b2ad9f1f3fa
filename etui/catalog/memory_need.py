"""Estimate the memory that loading and preparing a catalog model needs, from the number of its parameters."""

from __future__ import annotations

from typing import Literal

from etui.catalog.find import Model
from etui.catalog.models import ModelEntry

Step = Literal["load", "prepare", "quantize", "train"]
"""Building the model with its weights, preparing a program, preparing a quantized program, and a training check."""

_BASE_BYTES = 3 << 29
"""Torch, the exporter and activations."""

_COPIES: dict[Step, float] = {"load": 2.0, "prepare": 3.0, "quantize": 4.5, "train": 7.0}
"""Copies of the FP32 weights that exist at once: a checkpoint and the model; the model, the delegate's data and the
serialized program; two copies to compare with, gradients, the state of Adam and activations. Preparing sd15_unet for
XNNPACK took 10.5 GB in FP32, which is 2.6 copies and the base, and 12.4 GB in INT8 with one calibration input."""

_LARGE_BYTES = 6 << 30
"""Smaller estimates are too rough to refuse what most machines can do."""


def needed_bytes(model: Model, step: Step) -> int | None:
    """Return the estimated peak memory in bytes of a step for a large model; None for other models, and for those whose
    number of parameters is not known before they are loaded."""
    if not isinstance(model, ModelEntry):
        return None
    needed = _BASE_BYTES + int(4 * model.parameters * _COPIES[step])
    return needed if needed >= _LARGE_BYTES else None
