"""The values of the picker's fields: checked one by one, converted to and from session configurations, and the last
ones saved for the next start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from etui.catalog.find import Model
from etui.catalog.precisions import AS_IS
from etui.errors import StoreError
from etui.files.atomic import write_file
from etui.paths import state_dir
from etui.services.request import (
    FieldError,
    FieldName,
    check_data,
    check_model,
    check_preset,
    check_threads,
    check_weights,
    combine,
    from_text,
    is_as_is,
    specification,
)
from etui.services.session_config import SessionConfig, from_values, values_of
from etui.spec import Priority, SessionSpec, Variant
from etui.tui.error_text import to_text

MOST_RECENT = 5
_LARGEST_BYTES = 1 << 16

T = TypeVar("T")


class FormValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the fields, under the names of the options. What is typed is kept as text, so that an invalid value
    stays in its field to be corrected; empty means the default. ``others`` are options of a session file that the
    picker has no field for."""

    model: str = "resnet18"
    precisions: tuple[str, ...] = ("fp32", "int8")
    delegates: tuple[str, ...] = ("xnnpack",)
    weights: str = "auto"
    preset: str = "default"
    keep_fp32: str = ""
    calibration: str = ""
    inputs: str = ""
    data: str = ""
    seed: str = ""
    repeat: str = ""
    warmup: str = ""
    threads: str = ""
    timeout: str = ""
    priority: Priority = "normal"
    others: dict[str, Any] = {}


TYPED: tuple[FieldName, ...] = (
    "keep_fp32",
    "calibration",
    "inputs",
    "data",
    "seed",
    "repeat",
    "warmup",
    "threads",
    "timeout",
)
"""The options that are typed into a text field, in the order of the fields."""


def as_config(values: FormValues) -> SessionConfig:
    """Return the session configuration of valid values."""
    typed: dict[str, object] = {
        name: value for name in TYPED if (value := from_text(name, getattr(values, name))) is not None
    }
    given: dict[str, object] = {
        **values.others,
        **typed,
        "models": [values.model],
        "precisions": list(values.precisions),
        "delegates": list(values.delegates),
        "preset": values.preset,
        "priority": values.priority,
        "weights": values.weights.strip() or "auto",
    }
    return from_values(given)


def from_config(config: SessionConfig) -> FormValues:
    """Return the values of the fields for a session configuration; of several models, the first."""
    default = FormValues()
    given, defaults = values_of(config), values_of(SessionConfig())
    changed = {key: value for key, value in given.items() if value != defaults.get(key)}
    fields = {"models", "precisions", "delegates", "preset", "weights", "priority", *TYPED}
    return FormValues(
        model=config.models[0] if config.models else default.model,
        precisions=config.precisions or ("fp32",),
        delegates=config.delegates or ("xnnpack",),
        weights=config.weights,
        preset=config.preset,
        priority=config.priority,
        others={key: value for key, value in changed.items() if key not in fields},
        **{name: _typed(changed[name]) for name in TYPED if name in changed},
    )


def _typed(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_typed, value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


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


class _Recent(msgspec.Struct, frozen=True, kw_only=True):
    """The file of the last values."""

    recent: list[FormValues] = []


def check(values: FormValues) -> Checked:
    """Check every field, even after an invalid one. Looks at files and at installed packages."""
    problems: dict[FieldName, str] = {}

    def tried(test: Callable[[], T]) -> T | None:
        try:
            return test()
        except FieldError as error:
            problems[error.field] = to_text(error)
            return None

    model = tried(lambda: check_model(values.model, allow_pickle=values.others.get("allow_pickle") is True))
    tried(lambda: check_preset(values.preset))
    tried(lambda: check_weights(values.weights))
    tried(lambda: check_data(values.data))
    for name in TYPED:
        tried(partial(from_text, name, getattr(values, name)))
    if "threads" not in problems:
        for count in from_text("threads", values.threads) or ():
            tried(partial(check_threads, count))
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
    if problems:
        return checked
    spec = tried(lambda: specification(model, variants, as_config(values)))
    return msgspec.structs.replace(checked, spec=spec, problems=problems)


def recall() -> FormValues:
    """Return the values saved last; the defaults if there are none or they cannot be read."""
    return next(iter(recall_recent()), FormValues())


def recall_recent() -> list[FormValues]:
    """Return the last values that were run, newest first, at most ``MOST_RECENT``."""
    try:
        with _path().open("rb") as file:
            recent = msgspec.json.decode(file.read(_LARGEST_BYTES), type=_Recent).recent
        for values in recent:
            from_values(values.others)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []
    return recent[:MOST_RECENT]


def remember(values: FormValues) -> None:
    """Save the values as the last ones; does nothing if the folder cannot be written."""
    others = [one for one in recall_recent() if one != values]
    recent = _Recent(recent=[values, *others][:MOST_RECENT])
    with contextlib.suppress(StoreError):
        write_file(_path(), msgspec.json.format(msgspec.json.encode(recent)), force=True, private=True)


def _path() -> Path:
    return state_dir() / "last-choices.json"
