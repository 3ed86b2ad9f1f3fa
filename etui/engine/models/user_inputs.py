"""The example inputs of a user's model: one example, several, a dataset, or a function that generates them."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from etui.engine.models.call_structure import CallStructure, Inputs, flat_call, plain_structure
from etui.errors import PreparationError
from etui.model import Args

NO_LABEL = object()
"""The label of an example without one; None is a label."""


class Example(NamedTuple):
    """The flat tensors of one example, their structure, and its label."""

    tensors: Inputs
    structure: CallStructure
    label: object = NO_LABEL


class Examples(NamedTuple):
    """Checked example inputs: ``given`` are the examples, or ``make`` generates them. ``source`` names the model;
    ``labelled``: what is generated are pairs of an example and its label. ``kind`` describes where they come from."""

    given: list[Example]
    make: Callable[[int, int], Iterable[object]] | None
    source: str
    labelled: bool = False
    kind: str = "your own examples"

    @classmethod
    def of(cls, inputs: object, source: str) -> Examples:
        """Check the example inputs that a factory returned with its module as a plain tuple.

        One example is what ``flat_call`` takes: a tensor, a tuple or list of the positional arguments, a dict of the
        keyword arguments, or ``etui.Args``. Several are a list of tuples, lists, dicts or ``Args``, or a tuple of
        tuples of tensors. A function is called by ``take`` with the required number of examples, and returns or yields
        at least as many; torch's generator and Python's ``random`` are seeded before.

        Raises:
            PreparationError: it is none of these.
        """
        if _are_several(inputs):
            assert isinstance(inputs, tuple | list)
            return cls._several([_example(part, source) for part in inputs], source)
        if isinstance(inputs, torch.Tensor | tuple | list | Mapping | Args):
            return cls([_example(inputs, source)], None, source)
        if callable(inputs):
            return cls([], _function(inputs), source)
        raise _no_inputs(source)

    @classmethod
    def of_model(cls, inputs: object, labels: object, source: str) -> Examples:
        """Check the inputs and labels of an ``etui.Model``, whose documentation describes them.

        Raises:
            PreparationError: they are not as described there.
        """
        labelled = labels is True
        if isinstance(inputs, torch.Tensor | tuple | Mapping | Args):
            if labels is not None:
                raise PreparationError(
                    f"{source} has labels, but only one example", "give the examples as a list, dataset or function"
                )
            return cls([_example(inputs, source)], None, source)
        if isinstance(inputs, list):
            examples = [_labelled(part, source) if labelled else _example(part, source) for part in inputs]
            if not labelled and labels is not None:
                if not isinstance(labels, Sequence | torch.Tensor) or len(labels) != len(examples):
                    raise PreparationError(
                        f"the labels of {source} are not one for each of its {len(examples)} examples",
                        "give a list of labels as long as that of inputs",
                    )
                examples = [example._replace(label=label) for example, label in zip(examples, labels, strict=True)]
            return cls._several(examples, source)
        if not labelled and labels is not None:
            raise PreparationError(
                f"the labels of {source} do not belong to a list of examples",
                "give labels=True and let the dataset or function yield pairs (example, label)",
            )
        if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"):
            return cls([], _map_dataset(inputs), source, labelled, "a seeded sample of your dataset")
        if isinstance(inputs, Iterable):
            iterable: Iterable[object] = inputs
            return cls([], lambda _count, _seed: iterable, source, labelled, "the first examples of your dataset")
        if callable(inputs):
            return cls([], _function(inputs), source, labelled)
        raise _no_inputs(source)

    @classmethod
    def _several(cls, examples: list[Example], source: str) -> Examples:
        if not examples:
            raise _no_inputs(source)
        return cls(_check_alike(examples, source), None, source)

    def take(self, count: int, seed: int) -> list[Example]:
        """Return the distinct examples; those of a function or dataset are at most ``count``, chosen with ``seed``.

        Exceptions of the user's code are not caught.

        Raises:
            PreparationError: there are no examples, or they differ in structure, shape or dtype.
        """
        if self.make is None:
            return _distinct(self.given)
        torch.manual_seed(seed)
        random.seed(seed)
        returned = self.make(count, seed)
        if isinstance(returned, torch.Tensor) or not isinstance(returned, Iterable):
            raise PreparationError(
                f"the input function of {self.source} does not return a list of examples",
                "return or yield the requested number of examples, each a tensor or a tuple of tensors",
            )
        examples = [
            _labelled(part, self.source) if self.labelled else _example(part, self.source)
            for part in itertools.islice(returned, count)
        ]
        if not examples:
            raise _no_inputs(self.source)
        return _distinct(_check_alike(examples, self.source))


def plain_example(tensors: Inputs) -> Example:
    """Return the example of a call with positional tensors."""
    return Example(tensors, plain_structure(len(tensors)))


def _are_several(inputs: object) -> bool:
    """Return whether the second part of a factory's tuple is a collection of examples."""
    if isinstance(inputs, list) and inputs:
        return all(isinstance(part, tuple | list | Mapping | Args) for part in inputs)
    if isinstance(inputs, tuple) and inputs:
        return all(
            isinstance(part, Args)
            or (isinstance(part, tuple | list) and all(isinstance(x, torch.Tensor) for x in part) and bool(part))
            for part in inputs
        )
    return False


def _example(example: object, source: str) -> Example:
    return Example(*flat_call(example, source))


def _labelled(pair: object, source: str) -> Example:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise PreparationError(
            f"the examples of {source} are not pairs of an example and its label",
            "yield (example, label), or leave out labels=True",
        )
    return _example(pair[0], source)._replace(label=pair[1])


def _function(function: Callable[..., Any]) -> Callable[[int, int], Iterable[object]]:
    """Return a function of count and seed that calls the user's with as many of them as it takes."""

    def make(count: int, seed: int) -> Any:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # functions written in C
            parameters = []
        positional = [x for x in parameters if x.kind in {x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD}]
        if len(positional) < 2 or positional[1].default is not positional[1].empty:
            return function(count)
        if positional[1].name == "seed":
            return function(count, seed)
        return function(count, torch.Generator().manual_seed(seed))

    return make


def _map_dataset(dataset: Any) -> Callable[[int, int], Iterable[object]]:
    def make(count: int, seed: int) -> Iterable[object]:
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:count].tolist()
        return (dataset[index] for index in order)

    return make


def _check_alike(examples: list[Example], source: str) -> list[Example]:
    """Return the examples, or raise PreparationError if one exported program cannot take them all."""
    first = examples[0]
    shapes = [(tensor.shape, tensor.dtype) for tensor in first.tensors]
    for number, example in enumerate(examples[1:], 2):
        if len(example.tensors) == len(shapes) and example.structure != first.structure:
            raise PreparationError(
                f"the example inputs of {source} differ in structure or in a constant: example {number} and the first",
                "give examples with the same arguments, and what varies as a tensor",
            )
        these = [(tensor.shape, tensor.dtype) for tensor in example.tensors]
        if these != shapes:
            is_other_batch = [(shape[1:], dtype) for shape, dtype in these] == [(s[1:], d) for s, d in shapes]
            raise PreparationError(
                f"the example inputs of {source} differ in number, shape or dtype: example {number} and the first",
                "give batches of one size, for example with drop_last=True of a DataLoader"
                if is_other_batch
                else "give examples with the same number, shapes and dtypes of tensors",
            )
    return examples


def _distinct(examples: list[Example]) -> list[Example]:
    """Return each example once, so that equal examples are not used for both evaluation and calibration."""
    return list({content(example.tensors): example for example in reversed(examples)}.values())[::-1]


def content(inputs: Inputs) -> bytes:
    """Return a hash over the dtypes, shapes and values of the inputs of one inference."""
    digest = hashlib.sha256()
    for tensor in inputs:
        digest.update(f"{tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def _no_inputs(source: str) -> PreparationError:
    return PreparationError(
        f"{source} has no example inputs that are tensors", "give at least one tensor in the example inputs"
    )
