"""A session configuration: what ``etui run``, a session file and a saved configuration specify, for one or several
models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from etui.catalog.find import Model, model_file
from etui.errors import UsageError
from etui.paths import expanded
from etui.services.methods import choose_methods, with_methods
from etui.services.request import (
    FieldError,
    Options,
    check_model,
    combine,
    default_configuration,
    is_as_is,
    path_keywords,
    specification,
)
from etui.spec import SessionSpec, Variant


class SessionConfig(Options, frozen=True, kw_only=True):
    """What to measure: every model in one session, in every precision on every delegate, with the same options.

    An empty list of precisions or delegates means the default of the model. ``methods`` are those of finished programs.
    """

    models: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


LISTS = ("models", "precisions", "delegates", "methods")
KEYS: tuple[str, ...] = (*LISTS, *Options.__struct_encode_fields__)
"""The keys of a session file, in the order in which they are written."""

_KEYS_BY_FIELD = {"model": "models", "precision": "precisions", "delegate": "delegates"}


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session of a configuration. ``refused`` are its unsupported variants with the reason, which are not part of
    the specification."""

    spec: SessionSpec
    model: Model
    refused: dict[Variant, str] = {}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions of a configuration, per skipped variant a line with the reason, and other lines for the user."""

    sessions: tuple[Session, ...]
    skipped: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def key_of(error: FieldError) -> str:
    """Return the key of a session file that an invalid field belongs to."""
    return _KEYS_BY_FIELD.get(error.field, error.field)


def from_values(values: Mapping[str, object]) -> SessionConfig:
    """Return the configuration with these values by key. Raises msgspec.ValidationError for invalid ones."""
    return msgspec.convert(dict(values), SessionConfig)


def values_of(config: SessionConfig) -> dict[str, object]:
    """Return the values by key, without those that are left to the model or to the preset."""
    encoded: dict[str, object] = msgspec.to_builtins(config)
    return {key: encoded[key] for key in KEYS if encoded[key] not in (None, [], ())}


def with_absolute_paths(values: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Return values with the relative paths of models and options taken as relative to ``folder``."""
    absolute = dict(values)
    for key, value in values.items():
        if key == "models" and isinstance(value, (list, tuple)):
            absolute[key] = [_absolute_model(str(text), folder) for text in value]
        elif key not in LISTS and isinstance(value, str):
            keywords = path_keywords(key)
            if keywords is not None and value not in keywords:
                absolute[key] = str(folder / expanded(value))
    return absolute


def _absolute_model(text: str, folder: Path) -> str:
    return text if model_file(text) is None else str(folder / expanded(text))


def plan(config: SessionConfig, *, skip: bool, measure: bool = True, export_only_dir: str | None = None) -> Planned:
    """Return the sessions of a configuration, one per model, without loading anything. ``measure=False`` plans to
    export only.

    Unsupported variants are skipped if ``skip`` is set and others remain.

    Raises:
        UsageError: there is no model, a value is invalid or not possible on this machine, or a variant is not
            supported.
    """
    if not config.models:
        raise FieldError("model", "no model is given", "name one, see `etui models`", screen_hint="select one")
    sessions: list[Session] = []
    skipped: list[str] = []
    notices: list[str] = []
    for text in dict.fromkeys(config.models):
        model = check_model(text, allow_pickle=config.allow_pickle)
        precision, delegate = default_configuration(model)
        precisions, delegates = config.precisions or (precision,), config.delegates or (delegate,)
        if skip and is_as_is(model):
            precisions, delegates = (precision,), (delegate,)
        variants, refused = combine(model, precisions, delegates, measure=measure)
        for variant, reason in refused.items():
            if not skip or (not variants and len(config.models) == 1):
                raise UsageError(f"{model.name} cannot be run as {variant.label}: {reason}")
            skipped.append(f"skipping {model.name} {variant.label}: {reason}")
        if variants:
            chosen = choose_methods(model, config.methods)
            notices += [chosen.notice] if chosen.notice else []
            spec = specification(model, with_methods(variants, chosen.methods), config, export_only_dir=export_only_dir)
            sessions.append(Session(spec=spec, model=model, refused=refused))
    if not sessions:
        raise UsageError("no supported combination to measure", "see `etui models` and `etui delegates`")
    return Planned(sessions=tuple(sessions), skipped=tuple(skipped), notices=tuple(notices))
