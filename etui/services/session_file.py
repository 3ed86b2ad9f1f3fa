"""Session files: a session configuration as TOML, in a file of the user's or saved under a name.

The keys are those of ``session_config.KEYS``. Saved configurations are the files of one folder next to the
configuration file of etui.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect

from etui.config import config_path
from etui.errors import EtuiError, StoreError, UsageError
from etui.files.atomic import write_file
from etui.formats.toml_text import read_table, table_text
from etui.paths import absolute
from etui.services.request import FieldError, item_type, option_types
from etui.services.session_config import (
    KEYS,
    LISTS,
    SessionConfig,
    from_values,
    key_of,
    values_of,
    with_absolute_paths,
)
from etui.text import plain

SUFFIX = ".toml"
_MOST_SHOWN = 60
_MOST_SAVED = 200
_NAME = re.compile(r"\w[\w.-]{0,39}")


def read_session_file(path: Path) -> dict[str, object]:
    """Return the valid values of a session file by key, with absolute paths. Raises UsageError in one line, with the
    file and the key, if it cannot be read or has a key or value that is not valid."""
    try:
        table = read_table(path)
    except FileNotFoundError:
        raise UsageError(f"session file not found: {path}", _saved_hint()) from None
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror or error})", "check the path") from error
    except ValueError as error:
        raise UsageError(
            f"{path} is not TOML: {_shown(str(error), 200)}", "`etui run MODEL --print-config` prints a valid file"
        ) from error
    values = {name: _valid(path, name, value) for name, value in table.items()}
    try:
        return with_absolute_paths(values, path.absolute().parent)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error


def _valid(path: Path, key: str, value: Any) -> object:
    """Return the value of a key, a single one of a list as a list. Raises UsageError."""
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"use {', '.join(KEYS)}"
        raise UsageError(f"{path}: unknown key {_shown(repr(key))}", hint)
    is_list = key in LISTS or item_type(key) is not None
    if isinstance(value, (str, int, float)) and is_list:
        value = [value]
    try:
        config = from_values({key: value})
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"{path}: {key} = {_written(value)} is not valid", _expected(key, value, error)) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{path}: {key} = {_written(value)} is not valid", "write a finite number")
    encoded: dict[str, object] = msgspec.to_builtins(config)
    if is_list and not all(str(part).strip() for part in value):
        raise UsageError(f"{path}: {key} = {_written(value)} is not valid", "remove the empty texts")
    return encoded[key]


def _expected(key: str, value: object, error: Exception) -> str:
    """Return what a valid value is."""
    described = None if key in LISTS else option_types()[key]
    if isinstance(described, msgspec.inspect.LiteralType):
        choices = [str(choice) for choice in described.values]
        near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
        return f"did you mean {near[0]}?" if near else f"use one of {', '.join(choices)}"
    return plain(str(error).partition(" - at ")[0]).replace("`", "").replace("Expected", "expected")


def as_toml(config: SessionConfig) -> str:
    """Return a configuration as a session file. What is left to the model or to the preset is not written."""
    return table_text(values_of(config))


def locate(error: UsageError, path: Path, keys: Collection[str]) -> UsageError:
    """Return an error about a value with the file and the key that it comes from, if it is one of ``keys``, those of
    the file that no option replaces."""
    if not isinstance(error, FieldError) or key_of(error) not in keys:
        return error
    return UsageError(f"{path}: {key_of(error)}: {error.message}", error.hint, screen_hint=error.screen_hint)


# Saved configurations


def saved_names() -> list[str]:
    """Return the names of the saved configurations; empty if their folder cannot be read. Raises UsageError if
    ETUI_CONFIG is not a valid path."""
    try:
        files = list(_folder().iterdir())
    except OSError:
        return []
    return sorted(file.stem for file in files if file.suffix == SUFFIX and _NAME.fullmatch(file.stem))


def find_session_file(text: str) -> Path:
    """Return the session file that a text names: a path, or the name of a saved configuration. A text without a slash
    and without the suffix .toml is a name, unless there is only a file with it.

    Raises UsageError if it cannot name a file.
    """
    path = absolute(text, "--config")
    if "/" in text or text.endswith(SUFFIX) or not _NAME.fullmatch(text):
        return path
    saved = _folder() / f"{text}{SUFFIX}"
    if saved.exists() or path.exists():
        return saved if saved.exists() else path
    near = difflib.get_close_matches(text, saved_names(), n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown saved configuration {text!r}", guess + _saved_hint())


def read_saved(name: str) -> SessionConfig:
    """Return the configuration saved under a name. Raises UsageError if it cannot be read."""
    return from_values(read_session_file(_path(name)))


def save(name: str, config: SessionConfig, *, force: bool) -> None:
    """Save a configuration under a name. Raises UsageError for a name that is not valid, or, unless ``force``, is
    taken; StoreError if the file cannot be written."""
    path = _path(name)
    if not force and path.exists():
        raise UsageError(f"{name} is saved already", "use another name")
    if not path.exists() and len(saved_names()) >= _MOST_SAVED:
        raise UsageError(f"{_MOST_SAVED} configurations are saved already", "remove one first")
    write_file(path, as_toml(config).encode(), force=True, private=True)


def is_saved(name: str) -> bool:
    """Whether a configuration is saved under a name. Raises UsageError for a name that is not valid."""
    return _path(name).exists()


def remove_saved(name: str) -> None:
    """Remove a saved configuration; does nothing if there is none of this name. Raises UsageError, StoreError."""
    path = _path(name)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {path} ({error.strerror or error})", "check its permissions") from error


def _folder() -> Path:
    return config_path().parent / "configurations"


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{plain(name)!r} is not a name for a configuration",
            "use up to 40 letters, digits, dots, dashes and underscores",
        )
    return _folder() / f"{name}{SUFFIX}"


def _saved_hint() -> str:
    try:
        names = saved_names()
    except EtuiError:
        names = []
    return f"saved configurations: {', '.join(names[:10])}" if names else "give the path of a TOML file"


def _written(value: object) -> str:
    try:
        return _shown(repr(value))
    except (RecursionError, ValueError):
        return "a value nested too deeply, or of too many digits,"


def _shown(words: str, most: int = _MOST_SHOWN) -> str:
    """Return untrusted text on one line and shortened."""
    words = plain(words)
    return words if len(words) <= most else f"{words[:most]}…"
