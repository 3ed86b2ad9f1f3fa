"""Check that enough memory is available before a large catalog model is loaded, prepared or trained."""

from __future__ import annotations

from pathlib import Path

from etui.catalog.find import Model
from etui.catalog.memory_need import Step, needed_bytes
from etui.errors import PreparationError
from etui.host.memory import available_bytes
from etui.text import size

_DOING: dict[Step, str] = {
    "load": "loading",
    "prepare": "preparing",
    "quantize": "quantizing and preparing",
    "train": "training",
}


def check_memory(model: Model, step: Step, root: Path = Path("/")) -> None:
    """Raise PreparationError if a step of a large model is estimated to need more memory than is available."""
    needed, available = needed_bytes(model, step), available_bytes(root)
    if needed is None or available is None or needed <= available:
        return
    raise PreparationError(
        f"{_DOING[step]} {model.name} needs about {size(needed)} of memory (estimated), and {size(available)} is"
        " available",
        "stop other programs, or use a machine with more memory",
    )
