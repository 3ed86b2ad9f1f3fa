"""The precisions, and the quantization recipe of each for a model's family and delegate."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.catalog.delegates import RECORDS
from etui.catalog.models import ModelEntry

RECIPE_VERSION = 1
"""Increase it when a recipe's arithmetic changes, so that programs cached before are not reused."""

AS_IS = "as-is"
"""The precision and delegate of a ``.pte``, which is measured as it was lowered elsewhere."""


class Precision(msgspec.Struct, frozen=True, kw_only=True):
    """One precision: its name, a description, and whether it quantizes."""

    name: str
    title: str
    quantized: bool = False


PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision(name="fp32", title="32-bit floating point, as trained"),
        Precision(name="fp16", title="16-bit floating point weights and activations"),
        Precision(name="int8", title="8-bit, the best recipe for the model's family", quantized=True),
        Precision(name="int8-static", title="8-bit, calibrated activations, one scale per channel", quantized=True),
        Precision(name="int8-static-per-tensor", title="8-bit, calibrated, one scale per tensor", quantized=True),
        Precision(name="int8-dynamic", title="8-bit, activations scaled at run time, linear layers", quantized=True),
        Precision(name="8da4w", title="4-bit weights, 8-bit dynamic activations, linear layers", quantized=True),
    )
}

OTHER_NAMES: dict[str, str] = {
    "float": "fp32", "float32": "fp32", "f32": "fp32", "half": "fp16", "float16": "fp16", "f16": "fp16",
    "int4": "8da4w", "w4a8": "8da4w", "4bit": "8da4w", "q4": "8da4w",
    "i8": "int8", "w8a8": "int8", "8bit": "int8", "q8": "int8", "qint8": "int8", "ptq": "int8",
    "dynamic": "int8-dynamic", "static": "int8-static",
}  # fmt: skip
"""What other tools call a precision, for suggestions."""


def is_quantized(precision: str) -> bool:
    """Whether a precision has weights of 8 bits or fewer; not for a finished program, which is measured as it is."""
    return precision in PRECISIONS and PRECISIONS[precision].quantized


def recipe(family: ModelEntry | str, precision: str, delegate: str = "xnnpack") -> str:
    """Return the stable id of the arithmetic of ``precision`` for a model family on a delegate; part of a program's
    key.

    ``int8`` resolves to a static recipe for convolutional and denoising networks, and to a dynamic recipe of linear
    layers for transformers. A user's own model resolves when it is loaded, by whether it has convolutions:
    ``int8-auto``. Some delegates have their own quantizer, with one recipe for all int8 precisions; ONNX Runtime
    implements each of the common recipes with its own.
    """
    kind = family.family if isinstance(family, ModelEntry) else family
    name = precision
    if precision == "int8":
        name = {"cnn": "int8-static", "diffusion": "int8-static", "custom": "int8-auto"}.get(kind, "int8-dynamic")
    record = RECORDS.get(delegate)
    if name.startswith("int8") and record is not None and record.int8_recipe:
        name = record.int8_recipe
        if record.recipe_by_model_kind:
            name += {"cnn": "-convolutional", "diffusion": "-convolutional", "custom": "-auto"}.get(
                kind, "-transformer"
            )
    elif name.startswith("int8-static") and kind not in {"cnn", "diffusion", "custom"}:
        name += "-linear"
    if name.startswith("int8") and record is not None:
        name = record.recipe_prefix + name
    return f"{name}/{RECIPE_VERSION}"


def keeps(precision: str, modules: Sequence[str]) -> tuple[str, ...]:
    """Return the modules that ``--keep-fp32`` keeps in FP32 in programs of a precision, sorted; none for a precision
    that does not quantize."""
    known = PRECISIONS.get(precision)
    return tuple(sorted(set(modules))) if known is not None and known.quantized else ()


def needs_calibration(recipe_id: str) -> bool:
    """Return whether a recipe uses calibration inputs, so that their count is part of a program's key."""
    return "static" in recipe_id or "auto" in recipe_id
