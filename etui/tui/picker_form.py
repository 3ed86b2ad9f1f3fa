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
from etui.catalog.models import ModelEntry
from etui.catalog.precisions import AS_IS
from etui.errors import StoreError, UsageError
from etui.files.atomic import write_file
from etui.paths import state_dir
from etui.services.methods import choose_methods, methods_of, with_methods
from etui.services.request import (
    FieldError,
    FieldName,
    check_data,
    check_model,
    check_preset,
    check_shapes,
    check_threads,
    check_weights,
    combine,
    from_text,
    is_as_is,
    specification,
    with_baselines,
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
    methods: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32", "int8")
    delegates: tuple[str, ...] = ("xnnpack",)
    baseline: tuple[str, ...] = ()
    weights: str = "auto"
    preset: str = "default"
    input_size: str = ""
    sequence: str = ""
    batch: str = ""
    dynamic: bool = False
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
    "input_size",
    "sequence",
    "batch",
    "threads",
    "keep_fp32",
    "calibration",
    "inputs",
    "data",
    "seed",
    "repeat",
    "warmup",
    "timeout",
)
"""The options that are typed into a text field, in the order of the fields."""

_SHAPES: tuple[FieldName, ...] = ("input_size", "sequence", "batch")
_KEYS = frozenset(
    ("models", "methods", "precisions", "delegates", "baseline", "preset", "dynamic", "weights", "priority")
)
"""The keys of session files that have a field, in addition to those of ``TYPED``."""


def as_config(values: FormValues) -> SessionConfig:
    """Return the session configuration of valid values."""
    typed: dict[str, object] = {
        name: value for name in TYPED if (value := from_text(name, getattr(values, name))) is not None
    }
    given: dict[str, object] = {
        **typed,
        "models": [values.model],
        "methods": list(values.methods),
        "precisions": list(values.precisions),
        "delegates": list(values.delegates),
        "baseline": list(values.baseline),
        "preset": values.preset,
        "dynamic": values.dynamic,
        "priority": values.priority,
        "weights": values.weights.strip() or "auto",
        **values.others,
    }
    return from_values(given)


def from_config(config: SessionConfig) -> FormValues:
    """Return the values of the fields for a session configuration; of several models, the first."""
    default = FormValues()
    given, defaults = values_of(config), values_of(SessionConfig())
    changed = {key: value for key, value in given.items() if value != defaults.get(key)}
    return FormValues(
        model=config.models[0] if config.models else default.model,
        methods=config.methods,
        precisions=config.precisions or ("fp32",),
        delegates=config.delegates or ("xnnpack",),
        baseline=config.baselines,
        dynamic=config.dynamic,
        weights=config.weights,
        preset=config.preset,
        priority=config.priority,
        others={key: value for key, value in changed.items() if key not in _KEYS.union(TYPED)},
        **{name: _typed(changed[name]) for name in TYPED if name in changed},
    )


def _typed(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_typed, value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking the form. ``problems`` holds a message per invalid field; ``spec`` is set only if there
    are none.

    ``refused`` are unsupported configurations with their reasons; they are skipped if others are possible. ``fields``
    are those of ``OPTIONAL`` that apply, or have a value.
    """

    model: Model | None = None
    variants: tuple[Variant, ...] = ()
    refused: dict[Variant, str] = {}
    spec: SessionSpec | None = None
    problems: dict[FieldName, str] = {}
    fields: frozenset[FieldName] = frozenset()


_PREPARING: tuple[FieldName, ...] = ("weights", "keep_fp32", "calibration")
"""The fields about how a program is prepared."""

OPTIONAL: tuple[FieldName, ...] = ("methods", "baseline", *_SHAPES, "dynamic", *_PREPARING)
"""The fields that do not apply to every model."""


def fields_of(model: Model | None) -> frozenset[FieldName]:
    """Return those of ``OPTIONAL`` that apply to a model: to a finished program its methods, if it has several; to any
    other model sizes of images, unless it takes only its own, and lengths of texts, of one that is not known, or whose
    inputs are only known when it is loaded, both. A dynamic program depends on the shapes too, see ``check``."""
    if model is not None and is_as_is(model):
        return frozenset({"methods"} if len(methods_of(model)) > 1 else ())
    if not isinstance(model, ModelEntry):
        return frozenset({"baseline", *_SHAPES, *_PREPARING})
    fields: set[FieldName] = {"baseline", "batch", *_PREPARING}
    if model.image is not None and not model.fixed_size:
        fields.add("input_size")
    if model.text is not None:
        fields.add("sequence")
    return frozenset(fields)


def own_shape(model: Model) -> dict[FieldName, int]:
    """Return the parts of the shape that a catalog model has by itself, by field."""
    if not isinstance(model, ModelEntry):
        return {}
    shape: dict[FieldName, int] = {"batch": 1 if model.text is None else model.text.count}
    if model.image is not None:
        shape["input_size"] = model.image.size
    if model.text is not None:
        shape["sequence"] = model.text.length
    return shape


def without_others(values: FormValues, model: Model) -> FormValues:
    """Return values without those of the fields that do not apply to a model."""
    applies, default = fields_of(model), FormValues()
    unused = {name for name in OPTIONAL if name not in applies and name != "dynamic"}
    values = msgspec.structs.replace(values, **{name: getattr(default, name) for name in unused})
    return values if _has_several_shapes(values) else msgspec.structs.replace(values, dynamic=False)


def _has_several_shapes(values: FormValues) -> bool:
    return any(len(set(filter(None, map(str.strip, getattr(values, name).split(","))))) > 1 for name in _SHAPES)


def _shown(model: Model | None, values: FormValues) -> frozenset[FieldName]:
    default = FormValues()
    given = {name for name in OPTIONAL if getattr(values, name) != getattr(default, name)}
    several: set[FieldName] = {"dynamic"} if _has_several_shapes(values) else set()
    return fields_of(model) | given | several


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
    typed = {name: tried(partial(from_text, name, getattr(values, name))) for name in TYPED}
    for count in typed["threads"] or ():
        tried(partial(check_threads, count))
    for name in _SHAPES:
        if typed[name]:
            tried(partial(check_shapes, model, from_values({name: typed[name]})))
    fields = _shown(model, values)
    if model is None:
        if not values.precisions:
            problems["precision"] = "no precision is selected; select at least one"
        if not values.delegates:
            problems["delegate"] = "no delegate is selected; select at least one"
        return Checked(problems=problems, fields=fields)
    precisions = (AS_IS,) if is_as_is(model) else values.precisions
    delegates = (AS_IS,) if is_as_is(model) else values.delegates
    variants, refused = tried(lambda: combine(model, precisions, delegates)) or ([], {})
    if refused and not variants:
        first, reason = next(iter(refused.items()))
        problems["precision"] = f"none of these configurations is supported: {first.label}: {reason}"
    try:
        variants = list(with_methods(variants, choose_methods(model, values.methods).methods))
    except FieldError as error:
        problems["methods"] = to_text(error)
    tried(lambda: with_baselines(model, variants, values.baseline))
    checked = Checked(model=model, variants=tuple(variants), refused=refused, problems=problems, fields=fields)
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
        recent = [_with_fields(values) for values in recent]
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, UsageError):
        return []
    return recent[:MOST_RECENT]


def _with_fields(values: FormValues) -> FormValues:
    """Return values of a version that had no field for some options, with these in their fields. Raises UsageError,
    msgspec.ValidationError."""
    return from_config(as_config(values)) if values.others.keys() & _KEYS.union(TYPED) else values


def remember(values: FormValues) -> None:
    """Save the values as the last ones; does nothing if the folder cannot be written."""
    others = [one for one in recall_recent() if one != values]
    recent = _Recent(recent=[values, *others][:MOST_RECENT])
    with contextlib.suppress(StoreError):
        write_file(_path(), msgspec.json.format(msgspec.json.encode(recent)), force=True, private=True)


def _path() -> Path:
    return state_dir() / "last-choices.json"
