"""TOML files: reading a bounded one, and writing values that are texts, numbers, truth values and lists of them."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 1_000_000
"""A larger file is not read."""


def quoted(text: str) -> str:
    """Return a text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    # TOML accepts control characters only as escapes.
    escaped = "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in escaped)
    return f'"{escaped}"'


def value_text(value: object) -> str:
    """Return a text, number, truth value, or list of them as TOML. Raises TypeError for any other value."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_text, value))}]"
    raise TypeError(f"{type(value).__name__} cannot be written as TOML")


def table_text(values: Mapping[str, object]) -> str:
    """Return the lines of a table without a heading, one per key."""
    return "".join(f"{name} = {value_text(value)}\n" for name, value in values.items())


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``MOST_BYTES``, not UTF-8 or not TOML; the message is the reason.
    """
    # Imported here to keep it out of the start of the screen without a configuration file.
    import tomllib

    if stat.S_ISFIFO(path.stat().st_mode):
        raise OSError(None, "it is a pipe")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
    try:
        # A number of thousands of digits and an invalid date raise plain ValueErrors.
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
