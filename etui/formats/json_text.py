"""JSON that is safe to print on a terminal: control characters that JSON allows in strings are escaped."""

from __future__ import annotations

import re

# DEL and the C1 controls, in UTF-8; JSON escapes the others by itself.
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def harmless(data: bytes) -> bytes:
    """Return the same JSON with its control characters escaped."""
    return _CONTROLS.sub(lambda match: b"\\u%04x" % match[0][-1], data)


def printable_json(value: object) -> bytes:
    """Return a value as JSON for the output of a command: indented, and harmless on a terminal."""
    import msgspec  # commands that print a table do without it

    return harmless(msgspec.json.format(msgspec.json.encode(value), indent=2))
