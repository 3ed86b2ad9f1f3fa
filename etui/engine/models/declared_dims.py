"""The dynamic dimensions that an ``etui.Model`` declares, for each flat tensor of its inputs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from etui.engine.models.call_structure import CallStructure, DictOf, Inputs, ListOf, Node, TensorAt, TupleOf
from etui.errors import PreparationError
from etui.jobs import DynamicDim, DynamicDims

_HINT = "give torch.export.Dim(name, min=.., max=..) for each dynamic dimension, as torch.export.export takes them"


def declared_dims(
    declared: object, module: nn.Module, structure: CallStructure, example: Inputs, source: str
) -> DynamicDims | None:
    """Return the ranges of the dimensions in ``declared``, which has the form of ``dynamic_shapes`` of
    ``torch.export.export``; None if it declares none.

    Raises:
        PreparationError: it does not fit the arguments, or a range has no upper bound, which ExecuTorch needs to plan
            memory.
    """
    if declared is None:
        return None
    dims: DynamicDims = [[None] * tensor.dim() for tensor in example]
    if isinstance(declared, Mapping):
        bound = inspect.signature(module.forward).bind(*structure.args, **structure.kwargs).arguments
        if unknown := [name for name in declared if name not in bound]:
            raise PreparationError(f"dynamic_shapes of {source} names no argument {unknown[0]!r}", _HINT)
        pairs = [(bound[name], part, str(name)) for name, part in declared.items()]
    elif isinstance(declared, tuple | list):
        nodes = [*structure.args, *structure.kwargs.values()]
        if len(declared) != len(nodes):
            raise PreparationError(
                f"dynamic_shapes of {source} has {len(declared)} parts for {len(nodes)} arguments", _HINT
            )
        pairs = [(node, part, str(place)) for place, (node, part) in enumerate(zip(nodes, declared, strict=True))]
    else:
        raise PreparationError(f"dynamic_shapes of {source} is a {type(declared).__name__}", _HINT)
    for node, part, path in pairs:
        _walk(node, part, f"{path} in dynamic_shapes of {source}", dims, example)
    return dims if any(dim is not None for tensor in dims for dim in tensor) else None


def ranges(dims: DynamicDims, names: list[str]) -> list[str]:
    """Return the dynamic dimensions as text, such as ``tokens[1]: 1 to 128``."""
    return [
        f"{name}[{index}]: {dim.least} to {dim.most}"
        for name, tensor in zip(names, dims, strict=True)
        for index, dim in enumerate(tensor)
        if dim is not None
    ]


def _walk(node: Node, part: Any, path: str, dims: DynamicDims, example: Inputs) -> None:
    match node, part:
        case _, None:
            return
        case TensorAt(index), _:
            for dimension, dim in _dimensions(part, path):
                if not isinstance(dimension, int) or not -len(dims[index]) <= dimension < len(dims[index]):
                    raise PreparationError(f"{path} has the dimension {dimension!r} of {len(dims[index])}", _HINT)
                dims[index][dimension] = _range(dim, path, example[index].shape[dimension])
        case ((ListOf(items) | TupleOf(items)), (list() | tuple())) if len(part) == len(items):
            for place, (item, inner) in enumerate(zip(items, part, strict=True)):
                _walk(item, inner, f"[{place}] of {path}", dims, example)
        case DictOf(keys, items), Mapping():
            for key, item in zip(keys, items, strict=True):
                _walk(item, part.get(key), f"[{key!r}] of {path}", dims, example)
        case _:
            raise PreparationError(f"{path} does not have the structure of the argument", _HINT)


def _dimensions(part: Any, path: str) -> list[tuple[Any, Any]]:
    if isinstance(part, Mapping):
        return list(part.items())
    if isinstance(part, tuple | list):
        return list(enumerate(part))
    raise PreparationError(f"{path} is a {type(part).__name__}", _HINT)


def _range(dim: Any, path: str, size: int) -> DynamicDim | None:
    """Return the range of a ``torch.export.Dim``; None for a fixed dimension."""
    if dim is None or isinstance(dim, int):
        return None
    name, least, most = (getattr(dim, field, None) for field in ("__name__", "min", "max"))
    # Without an upper bound, torch has a very large number.
    if not isinstance(name, str) or not isinstance(least, int) or not isinstance(most, int) or most > 2**31:
        raise PreparationError(f"{path} has a dimension without an upper bound", _HINT)
    if not least <= size <= most:
        raise PreparationError(
            f"{path} has a dimension of {least} to {most}, but the example has {size}", "give an example in the range"
        )
    return DynamicDim(name=name, least=least, most=most)
