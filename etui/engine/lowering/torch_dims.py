"""The ranges of a dynamic program as ``torch.export`` takes them."""

from __future__ import annotations

from typing import Any

from torch.export import Dim

from etui.jobs import DynamicDims


def torch_dims(dynamic: DynamicDims | None) -> tuple[dict[int, Any], ...] | None:
    """Return the dynamic dimensions of each input tensor for ``torch.export.export``; None if all are fixed.
    Dimensions of the same name are one ``Dim``."""
    if dynamic is None:
        return None
    known: dict[str, Any] = {}
    for dims in dynamic:
        for dim in dims:
            if dim is not None and dim.name not in known:
                known[dim.name] = Dim(dim.name, min=dim.least, max=dim.most)
    return tuple({index: known[dim.name] for index, dim in enumerate(dims) if dim is not None} for dims in dynamic)
