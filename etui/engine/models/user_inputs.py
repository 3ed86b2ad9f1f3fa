"""The example inputs of a user's model: one example, several, or a function that generates them."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch

from etui.errors import PreparationError

Inputs = tuple[torch.Tensor, ...]


class Examples(NamedTuple):
    """Checked example inputs: ``given`` are the examples, or ``make`` generates them. ``source`` names the model."""

    given: list[Inputs]
    make: Callable[[int], Iterable[object]] | None
    source: str

    @classmethod
    def of(cls, inputs: object, source: str) -> Examples:
        """Check the example inputs that a factory returned with its module.

        One example is a tensor, or a tuple or list of the positional tensors of one inference. Several are a list (or
        tuple) of such tuples. A function is called by ``take`` with the required number of examples, and returns or
        yields at least as many; torch's generator and Python's ``random`` are seeded before.

        Raises:
            PreparationError: it is none of these.
        """
        if isinstance(inputs, torch.Tensor):
            return cls([_example(inputs, source)], None, source)
        if isinstance(inputs, tuple | list) and inputs:
            if all(isinstance(part, tuple | list) for part in inputs):
                return cls(_check_alike([_example(part, source) for part in inputs], source), None, source)
            return cls([_example(inputs, source)], None, source)
        if callable(inputs):
            make: Callable[[int], Any] = inputs
            return cls([], make, source)
        raise _no_inputs(source)

    def take(self, count: int, seed: int) -> list[Inputs]:
        """Return the distinct examples; those of a function are at most ``count``, generated with ``seed``.

        Exceptions of the function are not caught.

        Raises:
            PreparationError: the function returns no examples, or examples that differ in number, shape or dtype.
        """
        if self.make is None:
            return _distinct(self.given)
        torch.manual_seed(seed)
        random.seed(seed)
        returned = self.make(count)
        if isinstance(returned, torch.Tensor) or not isinstance(returned, Iterable):
            raise PreparationError(
                f"the input function of {self.source} does not return a list of examples",
                "return or yield the requested number of examples, each a tensor or a tuple of tensors",
            )
        examples = [_example(part, self.source) for part in itertools.islice(returned, count)]
        if not examples:
            raise _no_inputs(self.source)
        return _distinct(_check_alike(examples, self.source))


def _example(example: object, source: str) -> Inputs:
    if isinstance(example, torch.Tensor):
        example = (example,)
    if not isinstance(example, tuple | list) or not example or not all(isinstance(x, torch.Tensor) for x in example):
        raise _no_inputs(source)
    return tuple(tensor.detach().contiguous() for tensor in example)


def _check_alike(examples: list[Inputs], source: str) -> list[Inputs]:
    """Return the examples, or raise PreparationError if one exported program cannot take them all."""
    first = [(tensor.shape, tensor.dtype) for tensor in examples[0]]
    for number, example in enumerate(examples):
        if [(tensor.shape, tensor.dtype) for tensor in example] != first:
            raise PreparationError(
                f"the example inputs of {source} differ in number, shape or dtype: example {number + 1} and the first",
                "give examples with the same number, shapes and dtypes of tensors",
            )
    return examples


def _distinct(examples: list[Inputs]) -> list[Inputs]:
    """Return each example once, so that equal examples are not used for both evaluation and calibration."""
    return list({content(example): example for example in reversed(examples)}.values())[::-1]


def content(inputs: Inputs) -> bytes:
    """Return a hash over the dtypes, shapes and values of the inputs of one inference."""
    digest = hashlib.sha256()
    for tensor in inputs:
        digest.update(f"{tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def _no_inputs(source: str) -> PreparationError:
    return PreparationError(
        f"{source} has no example inputs that are tensors", "give at least one tensor as a positional input"
    )
