"""The ranges of a dynamic program as ``torch.export`` takes them."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn
from torch.export import Dim

from etui.engine.models.call_structure import (
    CallStructure,
    Constant,
    DictOf,
    FloatConstant,
    ListOf,
    Node,
    TensorAt,
    TupleOf,
)
from etui.jobs import DynamicDims

TensorDims = dict[int, Any]


def torch_dims(module: nn.Module, structure: CallStructure, dynamic: DynamicDims | None) -> Any:
    """Return the dynamic dimensions of a module's arguments for ``torch.export.export``; None if all are fixed.
    Dimensions of the same name are one ``Dim``."""
    if dynamic is None:
        return None
    known: dict[str, Any] = {}
    for dims in dynamic:
        for dim in dims:
            if dim is not None and dim.name not in known:
                known[dim.name] = Dim(dim.name, min=dim.least, max=dim.most)
    tensors = [{index: known[dim.name] for index, dim in enumerate(dims) if dim is not None} for dims in dynamic]
    if structure.is_plain:
        return tuple(tensors)
    args = [_dims(node, tensors) for node in structure.args]
    kwargs = {name: _dims(node, tensors) for name, node in structure.kwargs.items()}
    # torch wants them by the names of the parameters.
    return dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments)


def _dims(node: Node, tensors: list[TensorDims]) -> Any:
    match node:
        case TensorAt(index):
            return tensors[index]
        case Constant() | FloatConstant():
            return None
        case ListOf(items):
            return [_dims(item, tensors) for item in items]
        case TupleOf(items):
            return tuple(_dims(item, tensors) for item in items)
        case DictOf(keys, items):
            return {key: _dims(item, tensors) for key, item in zip(keys, items, strict=True)}
