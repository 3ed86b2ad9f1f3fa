"""The picker's choice as it stands in its fields: checked field by field, and remembered between two starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from etui.catalog.find import Model
from etui.catalog.precisions import AS_IS
from etui.errors import StoreError
from etui.paths import state_dir
from etui.services.request import (
    FieldError,
    FieldName,
    Options,
    check_count,
    check_model,
    check_preset,
    check_seconds,
    check_threads,
    check_weights,
    combine,
    is_as_is,
    specification,
)
from etui.spec import SessionSpec, Variant
from etui.store.transfer import write_file
from etui.tui.error_text import to_text

_LARGEST_BYTES = 1 << 16

T = TypeVar("T")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the fields say. The counts and the time-out are texts, empty where the preset decides: a wrong one stays in
    its field to be mended."""

    model: str = "resnet18"
    precisions: tuple[str, ...] = ("fp32", "int8")
    delegates: tuple[str, ...] = ("xnnpack",)
    weights: str = "auto"
    preset: str = "default"
    repeat: str = ""
    warmup: str = ""
    threads: str = ""
    timeout: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice comes to. ``problems`` says at which field what is wrong; only without any is there a ``spec``.

    ``refused`` are combinations that cannot be, with their reasons; they are left out where others are possible.
    """

    model: Model | None = None
    variants: tuple[Variant, ...] = ()
    refused: dict[Variant, str] = {}
    spec: SessionSpec | None = None
    problems: dict[FieldName, str] = {}


def check(choice: Choice) -> Checked:
    """Check every field, not only up to the first that is wrong. Looks at files and at what is installed."""
    problems: dict[FieldName, str] = {}

    def tried(test: Callable[[], T]) -> T | None:
        try:
            return test()
        except FieldError as error:
            problems[error.field] = to_text(error)
            return None

    model = tried(lambda: check_model(choice.model))
    preset = tried(lambda: check_preset(choice.preset))
    repeat = tried(lambda: check_count("repeat", choice.repeat))
    warmup = tried(lambda: check_count("warmup", choice.warmup))
    threads = tried(lambda: check_threads(check_count("threads", choice.threads)))
    weights = tried(lambda: check_weights(choice.weights))
    timeout_s = tried(lambda: check_seconds(choice.timeout))
    if model is None:
        if not choice.precisions:
            problems["precision"] = "no precision is chosen; choose at least one"
        if not choice.delegates:
            problems["delegate"] = "no delegate is chosen; choose at least one"
        return Checked(problems=problems)
    precisions = (AS_IS,) if is_as_is(model) else choice.precisions
    delegates = (AS_IS,) if is_as_is(model) else choice.delegates
    variants, refused = tried(lambda: combine(model, precisions, delegates)) or ([], {})
    if refused and not variants:
        first, reason = next(iter(refused.items()))
        problems["precision"] = f"none of these can be run: {first.label}: {reason}"
    found = Checked(model=model, variants=tuple(variants), refused=refused, problems=problems)
    if problems or preset is None or weights is None:
        return found
    options = Options(
        preset=preset, repeat=repeat, warmup=warmup, threads=threads, weights=weights, timeout_s=timeout_s
    )
    return msgspec.structs.replace(found, spec=specification(model, variants, options))


def recall() -> Choice:
    """The choice that was remembered last; the default one where there is none or it cannot be read."""
    try:
        with _path().open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST_BYTES), type=Choice)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Choice()


def remember(choice: Choice) -> None:
    """Keep a choice for the next start. A folder that cannot be written costs only the memory."""
    with contextlib.suppress(StoreError):
        write_file(_path(), msgspec.json.format(msgspec.json.encode(choice)), force=True, private=True)


def _path() -> Path:
    return state_dir() / "last-choice.json"
