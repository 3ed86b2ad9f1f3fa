"""The outputs of a module: nested values, of which the tensors are compared, in the order of torch's pytrees."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from etui.errors import PreparationError


def tensors_in(values: object) -> list[torch.Tensor]:
    """Return the tensors in nested values in order, still connected to the parameters that they depend on; also those
    in dataclasses that torch does not know."""
    found: list[torch.Tensor] = []
    for leaf in pytree.tree_leaves(values):
        if isinstance(leaf, torch.Tensor):
            found.append(leaf)
        elif dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            for field in dataclasses.fields(leaf):
                found += tensors_in(getattr(leaf, field.name))
    return found


def flat_outputs(outputs: object) -> list[torch.Tensor]:
    """Return the tensors of a module's output in order, contiguous."""
    return [tensor.detach().contiguous() for tensor in tensors_in(outputs)]


def check_outputs(outputs: object, source: str) -> None:
    """Raise PreparationError if an output of a module has no tensor, or contains what torch cannot take apart."""
    register_dataclasses(outputs)
    leaves = pytree.tree_leaves(outputs)
    for leaf in leaves:
        if not isinstance(leaf, torch.Tensor | bool | int | float | str | None):
            raise PreparationError(
                f"{source} returns a {type(leaf).__module__}.{type(leaf).__qualname__}, which cannot be exported",
                "return tensors in lists, tuples, dicts, dataclasses or a transformers ModelOutput",
            )
    if not any(isinstance(leaf, torch.Tensor) for leaf in leaves):
        raise PreparationError(f"{source} returns no tensor", "return at least one tensor from its forward")


def has_dataclasses(outputs: object) -> bool:
    """Return whether an output contains a dataclass, which a new process must register."""
    return any(True for _ in _dataclasses(outputs))


def register_dataclasses(outputs: object) -> None:
    """Make the dataclasses in an output known to torch's pytrees and to export."""
    for kind in set(_dataclasses(outputs)):
        if kind not in pytree.SUPPORTED_NODES:
            torch.export.register_dataclass(kind)


def _dataclasses(value: object) -> Iterator[type[Any]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Mapping):
        yield type(value)
        for field in dataclasses.fields(value):
            yield from _dataclasses(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _dataclasses(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _dataclasses(item)
