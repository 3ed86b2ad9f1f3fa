"""The structure of a model's arguments: where its flat tensors go in positional and keyword arguments.

Inputs are stored, varied, hashed and given to programs as flat tensors, in the order of torch's pytrees, which is the
order in which an exported program takes them. Only a module is called with the structure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import torch

from etui.errors import PreparationError
from etui.model import Args

Inputs = tuple[torch.Tensor, ...]

_ACCEPTED = "give tensors, None, booleans, numbers, strings, and lists, tuples and dicts of these"


class TensorAt(msgspec.Struct, frozen=True, tag="tensor"):
    """The place of a tensor: its index in the flat order."""

    index: int


class Constant(msgspec.Struct, frozen=True, tag="constant"):
    """A value that is the same in every call."""

    value: bool | int | str | None


class FloatConstant(msgspec.Struct, frozen=True, tag="float"):
    """A number that is the same in every call, as text, since JSON has neither infinity nor NaN."""

    text: str


class ListOf(msgspec.Struct, frozen=True, tag="list"):
    """A list."""

    items: tuple[Node, ...]


class TupleOf(msgspec.Struct, frozen=True, tag="tuple"):
    """A tuple."""

    items: tuple[Node, ...]


class DictOf(msgspec.Struct, frozen=True, tag="dict"):
    """A dict, in the order of its keys."""

    keys: tuple[str | int, ...]
    items: tuple[Node, ...]


Node = TensorAt | Constant | FloatConstant | ListOf | TupleOf | DictOf


class Arguments(NamedTuple):
    """The arguments of one call, ready to be passed."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class CallStructure(msgspec.Struct, frozen=True):
    """The structure of all arguments of a call."""

    args: tuple[Node, ...]
    kwargs: dict[str, Node]

    @property
    def is_plain(self) -> bool:
        """Whether all arguments are positional tensors."""
        return not self.kwargs and all(isinstance(node, TensorAt) for node in self.args)

    def arguments(self, tensors: Sequence[torch.Tensor]) -> Arguments:
        """Return the arguments of a call with these flat tensors."""
        args = tuple(_value(node, tensors) for node in self.args)
        return Arguments(args, {name: _value(node, tensors) for name, node in self.kwargs.items()})

    def bound(self, module: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of flat positional tensors that calls a module with this structure."""
        if self.is_plain:
            return module

        def call(*tensors: torch.Tensor) -> Any:
            arguments = self.arguments(tensors)
            return module(*arguments.args, **arguments.kwargs)

        return call

    def names(self) -> list[str]:
        """Return the path of each tensor, such as ``0``, ``image`` or ``masks[1].left``, in the flat order."""
        names: dict[int, str] = {}
        for position, node in enumerate(self.args):
            _name(node, str(position), names)
        for name, node in self.kwargs.items():
            _name(node, name, names)
        return [names[index] for index in range(len(names))]


def flat_call(example: object, source: str) -> tuple[Inputs, CallStructure]:
    """Return the tensors and the structure of one example: a tensor, a tuple or list of positional arguments, a mapping
    of keyword arguments, or ``Args``.

    Raises:
        PreparationError: it has an argument of another type, or no tensor.
    """
    if isinstance(example, Args):
        args, kwargs = example.args, example.kwargs
    elif isinstance(example, Mapping):
        args, kwargs = (), dict(example)
    elif isinstance(example, tuple | list) and not hasattr(example, "_fields"):
        args, kwargs = tuple(example), {}
    else:
        args, kwargs = (example,), {}
    if not all(isinstance(name, str) for name in kwargs):
        raise PreparationError(
            f"the example inputs of {source} are a dict with keys that are not names of arguments",
            "a dict has the keyword arguments; give a dict that is one positional argument as (dict,)",
        )
    tensors: list[torch.Tensor] = []
    structure = CallStructure(
        tuple(_node(value, f"argument {place}", tensors, source) for place, value in enumerate(args)),
        {str(name): _node(value, str(name), tensors, source) for name, value in kwargs.items()},
    )
    if not tensors:
        raise PreparationError(
            f"{source} has no example inputs that are tensors", "give at least one tensor in the example inputs"
        )
    return tuple(tensors), structure


def flat_value(value: object, source: str) -> tuple[Inputs, Node]:
    """Return the tensors and the structure of any nested value, such as a label. Raises PreparationError like
    ``flat_call``, but needs no tensor."""
    tensors: list[torch.Tensor] = []
    node = _node(value, "label", tensors, source)
    return tuple(tensors), node


def value_of(node: Node, tensors: Sequence[torch.Tensor]) -> Any:
    """Return the nested value of ``flat_value``."""
    return _value(node, tensors)


def plain_structure(count: int) -> CallStructure:
    """Return the structure of a call with ``count`` positional tensors."""
    return CallStructure(tuple(TensorAt(index) for index in range(count)), {})


def _node(value: object, path: str, tensors: list[torch.Tensor], source: str) -> Node:
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized:
            raise PreparationError(
                f"{path} of the example inputs of {source} is a sparse or quantized tensor", "give dense tensors"
            )
        tensors.append(value.detach().cpu().contiguous())
        return TensorAt(len(tensors) - 1)
    array = _from_numpy(value)
    if array is not None:
        return _node(array, path, tensors, source)
    match value:
        case None | bool() | int() | str() if type(value) in {type(None), bool, int, str}:
            return Constant(value)
        case float() if type(value) is float:
            return FloatConstant(repr(value))
        case Mapping():
            keys = tuple(value)
            if all(type(key) in {str, int} for key in keys):
                return DictOf(keys, tuple(_node(value[key], f"{path}[{key!r}]", tensors, source) for key in keys))
        case list():
            return ListOf(tuple(_node(x, f"{path}[{at}]", tensors, source) for at, x in enumerate(value)))
        case tuple() if not hasattr(value, "_fields"):
            return TupleOf(tuple(_node(x, f"{path}[{at}]", tensors, source) for at, x in enumerate(value)))
    raise PreparationError(
        f"{path} of the example inputs of {source} is a {type(value).__module__}.{type(value).__qualname__}".replace(
            "builtins.", ""
        ),
        _ACCEPTED,
    )


def _from_numpy(value: object) -> torch.Tensor | bool | int | float | None:
    """Return the tensor or number of a NumPy array or scalar; None for anything else."""
    if type(value).__module__ != "numpy":
        return None
    import numpy

    if isinstance(value, numpy.ndarray) and value.dtype.kind in "biufc":
        return torch.from_numpy(numpy.ascontiguousarray(value))
    if isinstance(value, numpy.bool_ | numpy.integer | numpy.floating):
        number: bool | int | float = value.item()
        return number
    return None


def _value(node: Node, tensors: Sequence[torch.Tensor]) -> Any:
    match node:
        case TensorAt(index):
            return tensors[index]
        case Constant(value):
            return value
        case FloatConstant(text):
            return float(text)
        case ListOf(items):
            return [_value(item, tensors) for item in items]
        case TupleOf(items):
            return tuple(_value(item, tensors) for item in items)
        case DictOf(keys, items):
            return {key: _value(item, tensors) for key, item in zip(keys, items, strict=True)}


def _name(node: Node, path: str, names: dict[int, str]) -> None:
    match node:
        case TensorAt(index):
            names[index] = path
        case ListOf(items) | TupleOf(items):
            for position, item in enumerate(items):
                _name(item, f"{path}[{position}]", names)
        case DictOf(keys, items):
            for key, item in zip(keys, items, strict=True):
                _name(item, f"{path}.{key}", names)
