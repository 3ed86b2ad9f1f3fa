"""The filters that the user saved under a name, in one file for all databases."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from etui.errors import UsageError
from etui.files.atomic import write_file
from etui.paths import state_dir
from etui.store.filter_language import MOST_CHARACTERS, parse
from etui.text import plain

_LARGEST_BYTES = 1 << 20
_MOST = 200
_NAME = re.compile(r"\w[\w.-]{0,39}")


def load_filters() -> dict[str, str]:
    """Return the saved filters by name, in order of their names; empty if there are none or the file is damaged.
    Raises UsageError if ETUI_STATE is not a valid path."""
    try:
        with _path().open("rb") as file:
            saved = msgspec.json.decode(file.read(_LARGEST_BYTES), type=dict[str, str])
    except (OSError, ValueError):
        return {}
    return {
        name: saved[name] for name in sorted(saved) if _NAME.fullmatch(name) and len(saved[name]) <= MOST_CHARACTERS
    }


def save_filter(name: str, text: str) -> None:
    """Save a filter under a name, replacing one that has it. Raises UsageError for a name or a filter that is not
    valid, StoreError if the file cannot be written."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{plain(name)!r} is not a name for a filter", "use up to 40 letters, digits, dots, dashes and underscores"
        )
    others = {known: words for known, words in load_filters().items() if known != name}
    if not text.strip():
        raise UsageError("there is no filter to save", "write one first, such as model:mob p50<10")
    parse(text, saved=others)
    if len(others) >= _MOST:
        raise UsageError(f"{_MOST} filters are saved already", "remove one first")
    _write({**others, name: text.strip()})


def remove_filter(name: str) -> None:
    """Remove a saved filter; does nothing if there is none of this name. Raises StoreError."""
    _write({known: words for known, words in load_filters().items() if known != name})


def _write(filters: dict[str, str]) -> None:
    write_file(_path(), msgspec.json.format(msgspec.json.encode(filters)), force=True, private=True)


def _path() -> Path:
    return state_dir() / "filters.json"
