"""Check that enough memory is available before a large catalog model is loaded or prepared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from etui.catalog.find import Model
from etui.catalog.models import ModelEntry
from etui.errors import PreparationError
from etui.host.environment import memory_bytes
from etui.text import size

_BASE_BYTES = 2 << 30
"""Torch, the exporter and activations."""

_COPIES = {"load": 2.5, "prepare": 4.5}
"""Copies of the FP32 weights that exist at once: when a model is saved in the cache, and when it is lowered (the model,
the exported program, the delegate's data, the serialized program)."""

_CHECKED_FROM_BYTES = 6 << 30
"""Smaller estimates are not checked: they are too rough to refuse what most machines can do."""


def estimated_bytes(model: Model, step: Literal["load", "prepare"]) -> int | None:
    """Return the estimated peak memory of a step in bytes; None for a model whose size is not known before."""
    if not isinstance(model, ModelEntry):
        return None
    return _BASE_BYTES + int(4 * model.parameters * _COPIES[step])


def check_memory(model: Model, step: Literal["load", "prepare"], root: Path = Path("/")) -> None:
    """Raise PreparationError if a step of a large model needs more memory than is available."""
    needed, available = estimated_bytes(model, step), _available_bytes(root)
    if needed is None or needed < _CHECKED_FROM_BYTES or available is None or needed <= available:
        return
    verb = "loading" if step == "load" else "preparing"
    raise PreparationError(
        f"{verb} {model.name} needs about {size(needed)} of memory (estimated), and {size(available)} is available",
        "stop other programs, or use a machine with more memory",
    )


def _available_bytes(root: Path) -> int | None:
    try:
        match = re.search(r"^MemAvailable:\s*(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    limit = memory_bytes(root)
    found = [int(match.group(1)) * 1024] if match else []
    return min([*found, *([] if limit is None else [limit])], default=None)
