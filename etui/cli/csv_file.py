"""Tables as CSV that a spreadsheet opens without harm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from etui import text


def csv_bytes(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A heading and rows; None is an empty cell. Text has no control characters and is never taken for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    words = text.plain(value)
    return f"'{words}" if words.startswith(("=", "+", "-", "@")) else words
