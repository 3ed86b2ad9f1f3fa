"""Expand the variants of a session by input sizes, batches, sequence lengths and threads, and check what can be checked
before anything is loaded."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from etui.catalog.find import Model, UserModel
from etui.catalog.models import ModelEntry
from etui.errors import UsageError
from etui.spec import InputSize, Shape, Variant, size_text

MOST_VARIANTS = 64
"""The largest number of variants of one session: more take hours, in which the machine's state changes."""

MOST_PIXELS, MOST_BATCH, MOST_SEQUENCE = 8192, 4096, 1 << 20
"""The largest side of an image, batch and sequence length."""

_SIZE = re.compile(r"\s*(\d{1,6})\s*(?:[x×]\s*(\d{1,6})\s*)?", re.IGNORECASE)

Name = Literal["input_size", "batch", "sequence", "dynamic", "threads"]
T = TypeVar("T")


class Varied(Protocol):
    """The options that vary the variants of a session; empty or None means the model's own and all cores."""

    @property
    def input_size(self) -> Sequence[str | int]:
        """Sizes of images as texts or numbers (see ``parse_size``)."""

    @property
    def batch(self) -> Sequence[int]:
        """Numbers of items in one inference."""

    @property
    def sequence(self) -> Sequence[int]:
        """Lengths of texts in tokens."""

    @property
    def threads(self) -> Sequence[int]:
        """Numbers of threads."""

    @property
    def dynamic(self) -> bool:
        """Whether one program for all shapes is measured too."""


class ShapeError(UsageError):
    """The option ``name`` is invalid, or the model does not have what it varies."""

    def __init__(self, name: Name, message: str, hint: str = "", *, screen_hint: str | None = None) -> None:
        super().__init__(message, hint, screen_hint=screen_hint)
        self.name: Name = name


def parse_size(value: str | int) -> InputSize:
    """Return height and width in pixels from ``224`` or ``160x320`` (height x width). Raises ShapeError."""
    found = _SIZE.fullmatch(str(value))
    if found is None:
        raise ShapeError(
            "input_size", f"{str(value)[:30]!r} is not an image size", "write 224, or 160x320: HEIGHTxWIDTH"
        )
    height = int(found[1])
    size = height, int(found[2] or height)
    if not all(1 <= side <= MOST_PIXELS for side in size):
        raise ShapeError(
            "input_size", f"an image size of {size_text(size)} is out of range", f"use 1 to {MOST_PIXELS} pixels"
        )
    return size


def single_threads(values: Sequence[int]) -> int | None:
    """Return the number of threads that all variants have; None if there are several or the session decides."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def shapes_of(varied: Varied) -> list[Shape]:
    """Return every combination of the sizes, batches and sequence lengths, each once. Raises ShapeError."""
    limits: tuple[tuple[Name, Sequence[int], int], ...] = (
        ("batch", varied.batch, MOST_BATCH),
        ("sequence", varied.sequence, MOST_SEQUENCE),
    )
    for name, values, most in limits:
        if wrong := [value for value in values if not 1 <= value <= most]:
            raise ShapeError(name, f"a {name} of {wrong[0]} is out of range", f"use 1 to {most}")
    sizes = [parse_size(value) for value in varied.input_size]
    every = itertools.product(_each(sizes), _each(varied.batch), _each(varied.sequence))
    return [Shape(input_size=size, batch=batch, sequence=sequence) for size, batch, sequence in every]


def expanded(model: Model, variants: Iterable[Variant], varied: Varied) -> tuple[Variant, ...]:
    """Return each variant at every shape and number of threads, with the dynamic program after the static ones.

    Raises:
        ShapeError: the model does not have what an option varies, as far as its catalog entry says; or there would be
            more than ``MOST_VARIANTS``.
    """
    shapes, threads = check_varied(model, varied), tuple(dict.fromkeys(varied.threads))
    if varied.dynamic and len(shapes) < 2:
        raise ShapeError(
            "dynamic",
            "a dynamic program needs at least two shapes",
            "give a list: --input-size 128,224 or --batch 1,8 or --sequence 16,128",
            screen_hint="enter several sizes, batches or lengths, separated by commas",
        )
    result = []
    for variant in variants:
        for is_dynamic, shape, count in itertools.product(
            (False, True) if varied.dynamic else (False,), shapes, threads if len(threads) > 1 else (None,)
        ):
            result.append(
                msgspec.structs.replace(
                    variant,
                    input_size=shape.input_size,
                    batch=shape.batch,
                    sequence=shape.sequence,
                    threads=count,
                    dynamic=is_dynamic,
                )
            )
    if len(result) > MOST_VARIANTS:
        several: tuple[Name, ...] = ("input_size", "batch", "sequence", "threads")
        raise ShapeError(
            next((name for name in several if len(getattr(varied, name)) > 1), "batch"),
            f"{len(result)} variants are more than the {MOST_VARIANTS} of one session",
            "give fewer shapes, threads, precisions or delegates, or divide them among several runs",
        )
    return tuple(result)


def check_varied(model: Model | None, varied: Varied) -> list[Shape]:
    """Return the shapes (see ``shapes_of``). Raises ShapeError if one is invalid or, as far as its catalog entry says,
    the model does not take it; None for a model that is not known."""
    shapes = shapes_of(varied)
    if model is not None:
        _check_model(model, varied, shapes)
    return shapes


def check_shape(model: Model, shape: Shape) -> None:
    """Raise ShapeError if a model does not take a shape, as far as its catalog entry says."""
    if isinstance(model, ModelEntry):
        _check_entry(model, shape)


def _each(values: Sequence[T]) -> Sequence[T | None]:
    return list(dict.fromkeys(values)) or [None]


def _check_model(model: Model, varied: Varied, shapes: Sequence[Shape]) -> None:
    every: tuple[Name, ...] = ("input_size", "batch", "sequence")
    names = [name for name in every if getattr(varied, name)]
    if not names:
        return
    if isinstance(model, UserModel) and model.kind == "pte":
        raise ShapeError(
            names[0],
            f"{model.name} is a finished program: the shapes of its inputs are fixed",
            f"omit --{names[0].replace('_', '-')}, or run its model",
            screen_hint="leave it empty, or run its model",
        )
    if isinstance(model, ModelEntry):
        for shape in shapes:
            _check_entry(model, shape)


def _check_entry(entry: ModelEntry, shape: Shape) -> None:
    if shape.input_size is not None:
        if entry.image is None:
            others = "use --batch" if entry.text is None else "use --sequence or --batch"
            raise ShapeError("input_size", f"{entry.name} takes no images", others, screen_hint="leave it empty")
        own = (entry.image.size, entry.image.size)
        if entry.fixed_size and shape.input_size != own:
            raise ShapeError(
                "input_size",
                f"{entry.name} does not take images of {size_text(shape.input_size)}: its position embeddings are for"
                f" {size_text(own)}",
                f"use --input-size {entry.image.size}",
                screen_hint="leave it empty",
            )
    if shape.sequence is not None:
        if entry.text is None:
            others = "use --batch" if entry.image is None else "use --input-size or --batch"
            raise ShapeError("sequence", f"{entry.name} takes no text", others, screen_hint="leave it empty")
        longest = entry.longest or entry.text.length
        if shape.sequence > longest:
            raise ShapeError(
                "sequence",
                f"{entry.name} does not take {shape.sequence} tokens: its position embeddings are for {longest}",
                f"use at most --sequence {longest}",
                screen_hint=f"enter at most {longest}",
            )
