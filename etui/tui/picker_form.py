"""The values of the picker's fields: checked one by one, and saved for the next start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from etui.catalog.find import Model
from etui.catalog.precisions import AS_IS
from etui.errors import StoreError
from etui.files.atomic import write_file
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
from etui.tui.error_text import to_text

_LARGEST_BYTES = 1 << 16

T = TypeVar("T")


class FormValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the fields. Counts and the time limit are the text as typed, so that an invalid one stays in its
    field to be corrected; empty means the preset's."""

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
    """The result of checking the form. ``problems`` holds a message per invalid field; ``spec`` is set only if there
    are none.

    ``refused`` are unsupported configurations with their reasons; they are skipped if others are possible.
    """

    model: Model | None = None
    variants: tuple[Variant, ...] = ()
    refused: dict[Variant, str] = {}
    spec: SessionSpec | None = None
    problems: dict[FieldName, str] = {}


def check(values: FormValues) -> Checked:
    """Check every field, even after an invalid one. Looks at files and at installed packages."""
    problems: dict[FieldName, str] = {}

    def tried(test: Callable[[], T]) -> T | None:
        try:
            return test()
        except FieldError as error:
            problems[error.field] = to_text(error)
            return None

    model = tried(lambda: check_model(values.model))
    preset = tried(lambda: check_preset(values.preset))
    repeat = tried(lambda: check_count("repeat", values.repeat))
    warmup = tried(lambda: check_count("warmup", values.warmup))
    threads = tried(lambda: check_threads(check_count("threads", values.threads)))
    weights = tried(lambda: check_weights(values.weights))
    timeout_s = tried(lambda: check_seconds(values.timeout))
    if model is None:
        if not values.precisions:
            problems["precision"] = "no precision is selected; select at least one"
        if not values.delegates:
            problems["delegate"] = "no delegate is selected; select at least one"
        return Checked(problems=problems)
    precisions = (AS_IS,) if is_as_is(model) else values.precisions
    delegates = (AS_IS,) if is_as_is(model) else values.delegates
    variants, refused = tried(lambda: combine(model, precisions, delegates)) or ([], {})
    if refused and not variants:
        first, reason = next(iter(refused.items()))
        problems["precision"] = f"none of these configurations is supported: {first.label}: {reason}"
    checked = Checked(model=model, variants=tuple(variants), refused=refused, problems=problems)
    if problems or preset is None or weights is None:
        return checked
    options = Options(
        preset=preset, repeat=repeat, warmup=warmup, threads=threads, weights=weights, timeout_s=timeout_s
    )
    return msgspec.structs.replace(checked, spec=specification(model, variants, options))


def recall() -> FormValues:
    """Return the values saved last; the defaults if there are none or they cannot be read."""
    try:
        with _path().open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST_BYTES), type=FormValues)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return FormValues()


def remember(values: FormValues) -> None:
    """Save the values for the next start; does nothing if the folder cannot be written."""
    with contextlib.suppress(StoreError):
        write_file(_path(), msgspec.json.format(msgspec.json.encode(values)), force=True, private=True)


def _path() -> Path:
    return state_dir() / "last-choice.json"
