"""Text for a terminal: untrusted text made safe to print, and uniform formats for numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

MISSING = "-"

# Escape sequences first (CSI, OSC and similar up to their end, two-character ones), then the remaining controls (C0,
# DEL, C1) and default-ignorable characters of Unicode: direction marks, zero-width characters, tags, fillers and
# variation selectors, which are invisible and can hide or disguise text. Emoji stay readable without their selectors
# and joiners, whose width differs between terminals.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_BREAKS = re.compile(r"\r\n|[\r\n\t\v\f\x85\u2028\u2029]")
_INVISIBLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_CONTROLS = re.compile(rf"[\x00-\x1f\x7f-\x9f{_INVISIBLE}]")
_LINE_CONTROLS = re.compile(rf"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}]")

LINE_CELLS, WHOLE_CELLS = 120, 1000
"""The maximum width of a name in a line with other text, and in a separate title."""

_FACTOR_FROM = 100.05
"""From this change in percent on, the factor is printed: 340x is easier to read than +33,900 %."""

_FRACTION_BELOW = 0.1
"""Below this ratio its reciprocal is printed."""

_ELLIPSIS = "…"
_MARKS_PER_CELL = 4

_IN_ASCII = str.maketrans(
    {
        "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "±": "+-", "×": "x", "µ": "u", "μ": "u", "−": "-", "–": "-",
        "—": "-", "…": "...", "→": "->", "·": "|", "•": "*", "“": "'", "”": "'", "„": "'", "‘": "'", "’": "'",
        "\xa0": " ",
    }
)  # fmt: skip
"""Signs of stored messages, of etui and of libraries, and what they are without Unicode."""


def plain(text: str, *, keep_lines: bool = False) -> str:
    """Return ``text`` without escape sequences, control and invisible characters; on one line unless ``keep_lines``."""
    text = _SEQUENCES.sub("", text)
    if keep_lines:
        text = _LINE_CONTROLS.sub("", text.replace("\r\n", "\n").replace("\t", "    "))
    else:
        text = _CONTROLS.sub("", _BREAKS.sub(" ", text))
    # Bytes of a log that are not UTF-8 arrive as lone surrogates, which cannot be encoded for a terminal.
    return text.encode("utf-8", "replace").decode("utf-8")


def in_ascii(text: str) -> str:
    """Return ``text`` with the common signs that are not ASCII written in ASCII, such as ``>=``. Letters stay."""
    return text if text.isascii() else text.translate(_IN_ASCII)


def shortened(text: str, cells: int, ellipsis: str = _ELLIPSIS) -> str:
    """Return ``text`` made plain, cut with an ellipsis if it is wider than ``cells`` terminal cells."""
    # Only the beginning of a long text is processed; combining marks take no cell.
    most = _MARKS_PER_CELL * cells
    if len(text) > (cut := 4 * most + 256):
        text = text[:cut] + ellipsis
    text = plain(text)
    if len(text) <= most and width(text) <= cells:
        return text
    left, end = cells - width(ellipsis), 0
    for end, character in enumerate(text[:most]):
        left -= width(character)
        if left < 0:
            return text[:end] + ellipsis
    return text[: end + 1] + ellipsis


def shortened_start(text: str, cells: int, ellipsis: str = _ELLIPSIS) -> str:
    """Return ``text`` made plain, without its beginning if it is wider than ``cells``: names of runs differ at the
    end."""
    text = plain(text)
    if width(text) <= cells:
        return text
    while text and width(text) > cells - width(ellipsis):
        text = text[1:]
    return ellipsis + text


def wrapped(text: str, cells: int) -> list[str]:
    """Return the text in lines of at most ``cells`` terminal cells; a word longer than a line is split."""
    rows: list[str] = []
    for paragraph in plain(text, keep_lines=True).split("\n"):
        row = ""
        for word in paragraph.split(" "):
            while width(word) > cells:
                room = cells - width(row) - (1 if row else 0)
                if room < 4:
                    rows.append(row)
                    row, room = "", cells
                row = f"{row} {word[:room]}" if row else word[:room]
                word = word[room:]
                rows.append(row)
                row = ""
            if row and width(row) + 1 + width(word) > cells:
                rows.append(row)
                row = word
            else:
                row = f"{row} {word}" if row else word
        rows.append(row)
    return rows


def width(text: str) -> int:
    """Return the width of a plain text in terminal cells: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with ``digits`` significant digits, without exponent from 1e-4 to 1e9; ``-`` for None."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits - 1}e}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{float(f'{mantissa}e{exponent}'):.{max(0, digits - 1 - int(exponent))}f}"


def percent(share: float, places: int = 0) -> str:
    """Format a share, where 1 is all, such as ``12 %``."""
    return f"{100 * share:.{places}f} %"


def agreement(share: float | None) -> str:
    """Format a share of agreeing classes such as ``87.5 %``, never rounded up to 100 %; ``-`` for None."""
    if share is None:
        return MISSING
    return "100 %" if share == 1 else f"{min(99.9, 100 * share):.3g} %"


def counted(count: int, what: str) -> str:
    """Format a count with its noun, such as ``1 node`` and ``1,200 nodes``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def members(names: Sequence[str], everyone: Sequence[str]) -> str:
    """Format some of ``everyone``, in that order: ``all 4``, ``both``, or their names."""
    some = [name for name in everyone if name in names]
    if len(some) == len(everyone) > 1:
        return "both" if len(some) == 2 else f"all {len(some)}"
    return ", ".join(some)


def shapes(shapes: Iterable[Sequence[int]]) -> str:
    """Return shapes of tensors as text, such as ``1x3x224x224``; those of several tensors are separated by commas."""
    return ", ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


def ranges(numbers: Iterable[int]) -> str:
    """Format whole numbers as the kernel writes CPU lists: ``0-3,8``."""
    runs: list[list[int]] = []
    for one in sorted(set(numbers)):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or MISSING


def ratio(value: float | None) -> str:
    """Format a speed-up such as ``1.85x``; one below a tenth as a fraction such as ``1/662x``."""
    return MISSING if value is None else f"{bare_ratio(value)}x"


def bare_ratio(value: float, digits: int = 3) -> str:
    """Format a ratio such as ``1.85``; one below a tenth as a fraction such as ``1/662``, which is easier to read than
    ``0.00151``."""
    return f"1/{number(1 / value, digits)}" if 0 < value < _FRACTION_BELOW else number(value, digits)


def speedup(value: float | None, verdict: str | None) -> str:
    """Format a speed-up such as ``5.08x``, followed by ``unreliable`` if that is the verdict."""
    return f"{ratio(value)} unreliable" if verdict == "unreliable" else ratio(value)


def as_fast(value: float) -> str:
    """Format a speed-up for a sentence: ``1.85x as fast`` or ``1/662 as fast``."""
    return f"{ratio(value).removesuffix('x') if value < _FRACTION_BELOW else ratio(value)} as fast"


def ratio_interval(bounds: tuple[float, float] | None) -> str:
    """Format the interval of a ratio such as ``1.71 to 1.99`` or ``1/303 to 1/278``."""
    return MISSING if bounds is None else f"{bare_ratio(bounds[0])} to {bare_ratio(bounds[1])}"


def interval(bounds: tuple[float, float] | None) -> str:
    """Format an interval such as ``16.1 to 16.5``."""
    return MISSING if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def size(count: int | None) -> str:
    """Format bytes in decimal units, such as ``46.7 MB``."""
    if count is None:
        return MISSING
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{number(value)} {unit}"
        value /= 1000
    return f"{number(value)} TB"


def clock(value_s: float) -> str:
    """Format a duration as ``m:ss``, or ``h:mm:ss`` from an hour on."""
    whole = round(value_s)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def about_seconds(seconds: float) -> str:
    """Return a rounded duration such as ``50 s``, ``4 min`` or ``1 h 20 min``."""
    if seconds < 95:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    minutes = round(minutes / 10) * 10
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes % 60 else f"{minutes // 60} h"


def seconds(value: float | None) -> str:
    """Format a duration, such as ``0.35 s``, ``12.4 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if value is None:
        return MISSING
    if value < 60:
        return f"{number(value)} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(at: str) -> datetime | None:
    """Return an ISO 8601 time as local time; UTC is assumed if it has no zone. None if it is not a time."""
    try:
        read = datetime.fromisoformat(at)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone()
    except (ValueError, OverflowError):
        return None


def local_time(at: str | None) -> str:
    """Format an ISO 8601 time as local date and minute; unchanged if it is not a time."""
    if at is None:
        return MISSING
    local = moment(at)
    return f"{local:%Y-%m-%d %H:%M}" if local else plain(at)


def signed(percent: float) -> str:
    """Format a change such as ``-70.1 %`` or ``+5.3 %``; beyond +100 %, the factor, such as ``3.40x``."""
    if abs(percent) < 0.05:
        return "0.0 %"
    return ratio(1 + percent / 100) if percent >= _FACTOR_FROM else f"{percent:+,.1f} %"


def change_size(percent: float) -> str:
    """Format the size of a change without its direction, such as ``5.3 %`` or, beyond +100 %, ``a factor of 3.40``."""
    return f"a factor of {number(1 + percent / 100)}" if percent >= _FACTOR_FROM else f"{abs(percent):.1f} %"
