"""Output to a terminal or file whose encoding is not UTF-8: signs that it does not have are written in ASCII."""

from __future__ import annotations

import codecs
from encodings import ascii as ascii_codec
from io import TextIOWrapper
from typing import TextIO

from etui.text import in_ascii

_ERRORS, _ENCODING = "etui-ascii-signs", "etui_ascii"


def prepare(stream: TextIO) -> None:
    """Let a text stream write every text: ``>=`` for a sign that its encoding does not have, ``?`` for a letter."""
    if not isinstance(stream, TextIOWrapper):
        return
    codecs.register_error(_ERRORS, _in_ascii)
    if stream.isatty() and codecs.lookup(stream.encoding).name == "ascii":
        # Click takes ASCII for a wrong setting and writes UTF-8 instead, so the encoding gets another name.
        codecs.register(_codec)
        stream.reconfigure(encoding=_ENCODING)
    stream.reconfigure(errors=_ERRORS)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return what is written for the characters of an error, and where to continue."""
    assert isinstance(error, UnicodeEncodeError)
    text = in_ascii(error.object[error.start : error.end])
    return text.encode("ascii", "replace").decode("ascii"), error.end


def _codec(name: str) -> codecs.CodecInfo | None:
    """Return the ASCII codec under another name; None for any other codec."""
    if name != _ENCODING:
        return None
    entry = ascii_codec.getregentry()
    return codecs.CodecInfo(
        entry.encode,
        entry.decode,
        name=_ENCODING,
        incrementalencoder=entry.incrementalencoder,
        incrementaldecoder=entry.incrementaldecoder,
    )
