"""Tables as CSV that a spreadsheet opens without harm, a profile's among them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from etui import text
from etui.insight import Profile

PROFILE_HEAD = (
    "side", "order", "name", "calls", "median_ms", "p90_ms", "share", "delegate", "subgraph", "module", "module_type",
    "aten", "source",
)  # fmt: skip


def csv_bytes(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A heading and rows; None is an empty cell. Text has no control characters and is never taken for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def profile_csv(profile: Profile) -> bytes:
    """Every operator of both sides, a line each."""
    sides = [("program", profile.program), *([("eager", profile.eager)] if profile.eager else [])]
    return csv_bytes(
        PROFILE_HEAD,
        (
            (
                name, order, one.name, one.calls, one.median_ms, one.p90_ms, one.share, one.delegate, one.subgraph,
                one.origin.module, one.origin.module_type, " ".join(one.origin.operators),
                one.origin.stack[-1] if one.origin.stack else "",
            )
            for name, side in sides
            for order, one in enumerate(side.operators)
        ),
    )  # fmt: skip


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    words = text.plain(value)
    return f"'{words}" if words.startswith(("=", "+", "-", "@")) else words
