"""The kinds of values that a fact of a run can have: SQL type, units, formats, and conversion to and from a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from etui import text
from etui.spec import size_text

Value = float | int | str | None
"""A value in a comparison of runs."""

BYTES_IN_MB = 1e6


class Format(msgspec.Struct, frozen=True):
    """How a value is presented: the function that converts it, and the unit of the result, which headings show."""

    of: Callable[[Any], Any]
    unit: str = ""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of values. Its functions are never called with None, which stands for what was not measured.

    ``sql`` is the type of its columns in the database. ``filter`` is how a filter compares it, ``units`` the factors of
    the units that may follow a number. ``text`` formats it for text tables, ``cell`` as short as possible for the
    screen's runs table, and ``compared`` converts it for a comparison of runs, in which a change in percent is
    meaningful if ``relative``. ``cells`` is the usual width of a ``cell``, of which ``tail`` follow the integer part of
    a number.

    ``encode`` returns the values of its columns, ``decode`` is the inverse; both are None if the column has the value.
    """

    sql: Literal["TEXT", "INTEGER", "REAL"]
    text: Format
    cell: Format
    compared: Format
    filter: Literal["text", "number", "list", "time"] = "number"
    units: Mapping[str, float] = {}
    cells: int = 8
    tail: int = 0
    relative: bool = True
    encode: Callable[[Any], tuple[object, ...]] | None = None
    decode: Callable[..., Any] | None = None

    @property
    def is_number(self) -> bool:
        """Whether values are numbers, which tables align to the right."""
        return self.filter == "number"

    @property
    def table(self) -> Format:
        """The format for tables with the units in the headings: that of the screen's cells, with the sign of a
        ratio."""
        return self.cell if self.is_number and self.cell.unit != "x" else self.text


def _unchanged(value: Any) -> Any:
    return value


def _megabytes(count: int) -> float:
    return count / BYTES_IN_MB


def _error(value: float) -> str:
    """Two significant digits and the exponent, as short as possible: errors span many decades."""
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _decode_interval(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _decode_list(encoded: str) -> list[str]:
    return msgspec.json.decode(encoded, type=list[str])


TEXT = Kind(
    sql="TEXT", filter="text", text=Format(_unchanged), cell=Format(text.plain), compared=Format(_unchanged), cells=10
)
LIST = Kind(
    sql="TEXT",
    filter="list",
    text=Format(", ".join),
    cell=Format(lambda names: text.plain(", ".join(names))),
    compared=Format(lambda names: ", ".join(names) or "none"),
    cells=14,
    encode=lambda names: (msgspec.json.encode(names).decode(),),
    decode=_decode_list,
)
"""A list of texts, in the database a JSON array."""

TIME = Kind(
    sql="TEXT",
    filter="time",
    text=Format(text.local_time),
    cell=Format(text.local_time),
    compared=Format(text.local_time),
    cells=16,
)
"""A time in ISO 8601, shown as local time."""

YES_NO = Kind(
    sql="INTEGER",
    text=Format(lambda value: "yes" if value else "no"),
    cell=Format(lambda value: "yes" if value else "no"),
    compared=Format(lambda value: "yes" if value else "no"),
    cells=3,
    encode=lambda value: (int(value),),
    decode=bool,
)
SIZE = Kind(
    sql="INTEGER",
    text=Format(size_text),
    cell=Format(size_text),
    compared=Format(size_text),
    cells=9,
    relative=False,
    encode=tuple,
    decode=lambda height, width: None if height is None or width is None else (height, width),
)
"""Height and width of images in pixels, in two columns; filters compare the height."""

COUNT = Kind(
    sql="INTEGER", text=Format(lambda count: f"{count:,}"), cell=Format(lambda count: f"{count:,}"),
    compared=Format(_unchanged), relative=False,
)  # fmt: skip
NUMBER = Kind(sql="REAL", text=Format(text.number), cell=Format(text.number), compared=Format(_unchanged))
SIMILARITY = Kind(
    sql="REAL",
    text=Format(lambda value: text.number(value, 5)),
    cell=Format(lambda value: text.number(value, 5)),
    compared=Format(_unchanged),
    relative=False,
)
"""A number up to 1 whose distance from 1 is of interest, such as a cosine."""

ERROR = Kind(sql="REAL", text=Format(text.number), cell=Format(_error), compared=Format(_unchanged), cells=7)
"""An absolute error in the unit of the output; errors span many decades."""

MILLISECONDS = Kind(
    sql="REAL",
    text=Format(text.number, "ms"),
    cell=Format(text.number, "ms"),
    compared=Format(_unchanged, "ms"),
    units={"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
    tail=3,
)
MILLISECONDS_INTERVAL = Kind(
    sql="REAL",
    text=Format(text.interval),
    cell=Format(text.interval, "ms"),
    compared=Format(text.interval, "ms"),
    units={"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
    cells=14,
    relative=False,
    encode=tuple,
    decode=_decode_interval,
)
"""The bounds of an interval in milliseconds, in two columns."""

PERCENT = Kind(
    sql="REAL",
    text=Format(text.number, "%"),
    cell=Format(text.number, "%"),
    compared=Format(_unchanged, "%"),
    units={"%": 1.0},
    cells=6,
    relative=False,
    tail=3,
)

POINTS = Kind(
    sql="REAL",
    text=Format(text.number, "points"),
    cell=Format(text.number, "points"),
    compared=Format(_unchanged, "points"),
    cells=6,
    relative=False,
    tail=3,
)
"""A difference of percentages."""

RATIO = Kind(
    sql="REAL",
    text=Format(text.ratio),
    cell=Format(text.bare_ratio, "x"),
    compared=Format(_unchanged),
    units={"x": 1.0, "×": 1.0},
    cells=6,
    tail=4,
)
RATIO_INTERVAL = Kind(
    sql="REAL",
    text=Format(text.ratio_interval),
    cell=Format(text.ratio_interval, "x"),
    compared=Format(text.ratio_interval),
    units={"x": 1.0, "×": 1.0},
    cells=14,
    relative=False,
    encode=tuple,
    decode=_decode_interval,
)
DECIBELS = Kind(
    sql="REAL",
    text=Format(text.number, "dB"),
    cell=Format(text.number, "dB"),
    compared=Format(_unchanged, "dB"),
    units={"db": 1.0},
    cells=7,
    relative=False,
    tail=3,
)
SHARE = Kind(
    sql="REAL",
    text=Format(text.agreement),
    cell=Format(lambda share: text.agreement(share).removesuffix(" %"), "%"),
    compared=Format(_unchanged),
    cells=7,
    relative=False,
    tail=2,
)
"""A share of agreeing classes from 0 to 1, shown in percent, but compared as it is stored."""

BYTES = Kind(
    sql="INTEGER",
    text=Format(text.size),
    cell=Format(lambda count: text.number(_megabytes(count)), "MB"),
    compared=Format(_megabytes, "MB"),
    units={"": BYTES_IN_MB, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9},
    cells=7,
    tail=3,
)
