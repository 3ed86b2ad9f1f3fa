"""Give a model inputs of a requested shape: what is made at that shape, how other inputs are changed to it, and which
layer does not take it."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from etui.catalog.find import Model
from etui.catalog.models import ModelEntry
from etui.engine.explain.error_text import first_line
from etui.engine.models.call_structure import Inputs
from etui.errors import PreparationError
from etui.spec import OWN_SHAPE, Shape, shape_text

FEWEST_BATCHES = 2
"""The smallest number of batches: equal outputs for all of them would prove nothing."""

_REJECTIONS = (RuntimeError, ValueError, AssertionError, IndexError, TypeError)
"""What layers raise for inputs of the wrong shape."""

_PARTS = ("input_size", "batch", "sequence")


def requested(model: Model, shape: Shape) -> Shape:
    """Return a requested shape without the parts that a catalog model has by itself, so that it is the same model with
    the same inputs as without them."""
    if not isinstance(model, ModelEntry):
        return shape
    own = model.image
    return Shape(
        input_size=None if own is not None and shape.input_size == (own.size, own.size) else shape.input_size,
        batch=None if shape.batch == 1 else shape.batch,
        sequence=None if model.text is not None and shape.sequence == model.text.length else shape.sequence,
    )


def batch_count(count: int, batch: int | None) -> int:
    """Return the number of batches for ``count`` evaluation or calibration inputs: the items stay about as many."""
    if batch is None or count == 0:
        return count
    return max(FEWEST_BATCHES, -(-count // batch))


def joined(items: Sequence[Inputs], batch: int | None) -> list[Inputs]:
    """Return inputs of single items as batches, along dimension 0."""
    if batch is None:
        return list(items)
    groups = [items[start : start + batch] for start in range(0, len(items), batch)]
    return [tuple(torch.cat(columns) for columns in zip(*group, strict=True)) for group in groups]


class FactoryArguments(NamedTuple):
    """The parts of a shape that a factory has parameters for, and the other parts, for which its inputs are changed."""

    keywords: dict[str, object]
    rest: Shape


def factory_arguments(factory: Callable[..., object], shape: Shape) -> FactoryArguments:
    """Return how a factory gets a shape: parameters named ``input_size`` (a tuple of height and width), ``batch`` and
    ``sequence``, which must have defaults, receive what is requested."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return FactoryArguments({}, shape)
    values = {name: getattr(shape, name) for name in _PARTS}
    keywords = {name: value for name, value in values.items() if value is not None and name in parameters}
    rest = {name: value for name, value in values.items() if name not in keywords}
    return FactoryArguments(keywords, Shape(**rest))


def check_made(shape: Shape, rest: Shape, tensors: Inputs, source: str) -> None:
    """Check that the inputs of a factory have the parts of a shape that it was given: those in ``shape`` and not in
    ``rest``. A factory that ignores its parameter would give figures per item of a batch that was never measured.

    Raises:
        PreparationError: no tensor has a dimension of the size that was requested.
    """
    shapes = [tuple(tensor.shape) for tensor in tensors]
    found = {
        "input_size": any(pair == shape.input_size for dims in shapes for pair in itertools.pairwise(dims)),
        "batch": any(shape.batch in dims[:2] for dims in shapes),
        "sequence": any(shape.sequence in dims for dims in shapes),
    }
    for name in _PARTS:
        value = getattr(shape, name)
        if value is not None and getattr(rest, name) is None and not found[name]:
            made = ", ".join("x".join(map(str, dims)) for dims in shapes)
            raise PreparationError(
                f"{source} has a parameter {name}, but for {name}={value} its inputs are {made}",
                "make the inputs in the factory for that parameter, or remove the parameter",
            )


def changed_to(shape: Shape, inputs: Sequence[Inputs], source: str) -> list[Inputs]:
    """Change the inputs of a user's model to a shape that its factory has no parameters for.

    The batch is made along dimension 0 of every tensor whose first dimension is that of the first tensor: the inputs
    follow each other until there are enough items. Images are floats of four dimensions, resized in the last two;
    texts are integers of two dimensions, cut or repeated in the last one.

    Raises:
        PreparationError: no tensor is of the kind that is to be changed.
    """
    changed = list(inputs)
    if shape.input_size is not None:
        if not any(_is_image(tensor) for tensor in changed[0]):
            raise _unchangeable(source, "image size", "a tensor of floats with 4 dimensions", "input_size")
        size = list(shape.input_size)
        changed = [tuple(_resized(tensor, size) if _is_image(tensor) else tensor for tensor in one) for one in changed]
    if shape.sequence is not None:
        if not any(_is_text(tensor) for tensor in changed[0]):
            raise _unchangeable(source, "sequence length", "a tensor of integers with 2 dimensions", "sequence")
        length = shape.sequence
        changed = [tuple(_lengthened(tensor, length) if _is_text(tensor) else tensor for tensor in one)
                   for one in changed]  # fmt: skip
    if shape.batch is not None:
        if not changed[0] or changed[0][0].dim() == 0:
            raise _unchangeable(source, "batch size", "a tensor with a dimension", "batch")
        changed = [_repeated(changed, start, shape.batch) for start in range(len(changed))]
    return changed


def _is_image(tensor: torch.Tensor) -> bool:
    return tensor.dim() == 4 and tensor.is_floating_point()


def _is_text(tensor: torch.Tensor) -> bool:
    return tensor.dim() == 2 and not tensor.is_floating_point() and not tensor.is_complex()


def _resized(tensor: torch.Tensor, size: list[int]) -> torch.Tensor:
    resized = nn.functional.interpolate(tensor.float(), size=size, mode="bilinear", antialias=True)
    return resized.to(tensor.dtype).contiguous()


def _lengthened(tensor: torch.Tensor, length: int) -> torch.Tensor:
    times = -(-length // max(1, tensor.shape[1]))
    return tensor.repeat(1, times)[:, :length].contiguous()


def _repeated(inputs: Sequence[Inputs], start: int, batch: int) -> Inputs:
    """Return the inputs from ``start`` on, one after the other, as one of ``batch`` items."""
    items = inputs[0][0].shape[0]
    taken = [inputs[(start + index) % len(inputs)] for index in range(-(-batch // max(1, items)))]
    return tuple(
        torch.cat(columns)[:batch].contiguous() if columns[0].dim() > 0 and columns[0].shape[0] == items else columns[0]
        for columns in zip(*taken, strict=True)
    )


def _unchangeable(source: str, what: str, needed: str, parameter: str) -> PreparationError:
    return PreparationError(
        f"the {what} of {source} cannot be changed: none of its example inputs is {needed}",
        f"give its factory a parameter {parameter} with a default, and make module and inputs for it",
    )


@contextmanager
def naming_layer(module: nn.Module, shape: Shape, source: str) -> Iterator[None]:
    """Within this context an error of a layer becomes one that names the layer and the shapes it was given. Without a
    requested shape nothing is changed.

    Raises:
        PreparationError: the module does not take the shape.
    """
    if shape == OWN_SHAPE:
        yield
        return
    running: list[tuple[str, str, str]] = []

    def enter(path: str) -> Callable[..., None]:
        def hook(layer: nn.Module, arguments: tuple[object, ...]) -> None:
            shapes = ["x".join(map(str, one.shape)) for one in arguments if isinstance(one, torch.Tensor)]
            running.append((path, type(layer).__name__, ", ".join(shapes)))

        return hook

    def leave(_layer: nn.Module, _arguments: tuple[object, ...], _output: object) -> None:
        running.pop()

    handles = []
    for path, layer in module.named_modules():
        if not isinstance(layer, torch.jit.ScriptModule):
            handles += [layer.register_forward_pre_hook(enter(path)), layer.register_forward_hook(leave)]
    try:
        yield
    except _REJECTIONS as error:
        path, kind, given = running[-1] if running else ("", type(module).__name__, "")
        where = f"layer {path} ({kind})" if path else f"the model itself ({kind})"
        reason = first_line(error)
        raise PreparationError(
            f"{source} does not take {shape_text(shape)}: {where}{f' was given {given}' if given else ''}: {reason}",
            "choose another shape",
        ) from error
    finally:
        for handle in handles:
            handle.remove()
