"""JSON that can be shown on a terminal: control characters that JSON allows within texts, written as escapes."""

from __future__ import annotations

import re

# DEL and the C1 controls, in UTF-8; JSON escapes the others by itself.
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def harmless(data: bytes) -> bytes:
    """The same JSON, in which no character is one that a terminal acts on."""
    return _CONTROLS.sub(lambda found: b"\\u%04x" % found[0][-1], data)
