"""What comes with a user's own model as inputs: one example, several, or a function that makes as many as asked."""

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
    """Checked example inputs. ``given`` are the examples; ``make`` makes them instead. ``source`` names the model."""

    given: list[Inputs]
    make: Callable[[int], Iterable[object]] | None
    source: str

    @classmethod
    def of(cls, inputs: object, source: str) -> Examples:
        """Take what a factory returned beside its module.

        One example is a tensor, or a tuple or list of the tensors that one inference takes by place. Several are a
        list (or tuple) of such tuples. A function is called with the number of examples that are needed and returns
        or yields at least as many; torch's generator and Python's ``random`` are seeded before. No function is called
        here. Raises PreparationError if it is none of these.
        """
        if isinstance(inputs, torch.Tensor):
            return cls([_one(inputs, source)], None, source)
        if isinstance(inputs, tuple | list) and inputs:
            if all(isinstance(part, tuple | list) for part in inputs):
                return cls(_alike([_one(part, source) for part in inputs], source), None, source)
            return cls([_one(inputs, source)], None, source)
        if callable(inputs):
            make: Callable[[int], Any] = inputs
            return cls([], make, source)
        raise _none(source)

    def take(self, count: int, seed: int) -> list[Inputs]:
        """All the examples, each once; those of a function are at most ``count``, made with ``seed``.

        Raises PreparationError if the function gives none, or some that differ in number, shape or dtype. What the
        function itself raises is the user's to see and passes through.
        """
        if self.make is None:
            return _different(self.given)
        torch.manual_seed(seed)
        random.seed(seed)
        made = self.make(count)
        if isinstance(made, torch.Tensor) or not isinstance(made, Iterable):
            raise PreparationError(
                f"the inputs of {self.source} are a function that does not return a list of examples",
                "return or yield as many as it is asked for, each a tensor or a tuple of tensors",
            )
        examples = [_one(part, self.source) for part in itertools.islice(made, count)]
        if not examples:
            raise _none(self.source)
        return _different(_alike(examples, self.source))


def _one(example: object, source: str) -> Inputs:
    if isinstance(example, torch.Tensor):
        example = (example,)
    if not isinstance(example, tuple | list) or not example or not all(isinstance(x, torch.Tensor) for x in example):
        raise _none(source)
    return tuple(tensor.detach().contiguous() for tensor in example)


def _alike(examples: list[Inputs], source: str) -> list[Inputs]:
    """The examples, which one exported program must be able to take."""
    first = [(tensor.shape, tensor.dtype) for tensor in examples[0]]
    for number, example in enumerate(examples):
        if [(tensor.shape, tensor.dtype) for tensor in example] != first:
            raise PreparationError(
                f"the example inputs of {source} differ in number, shape or dtype: the first and number {number + 1}",
                "give examples that one exported program can take",
            )
    return examples


def _different(examples: list[Inputs]) -> list[Inputs]:
    """Each example once: two that are equal would be one for evaluation and the same for calibration."""
    return list({content(example): example for example in reversed(examples)}.values())[::-1]


def content(inputs: Inputs) -> bytes:
    """A hash over the types, shapes and values of what one inference takes."""
    digest = hashlib.sha256()
    for tensor in inputs:
        digest.update(f"{tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def _none(source: str) -> PreparationError:
    return PreparationError(f"{source} has no example inputs that are tensors", "give at least one tensor, by place")
