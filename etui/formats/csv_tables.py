"""Tables as CSV that is safe to open in a spreadsheet, among them operator profiles."""

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
    """Return a header and rows as CSV; None is an empty cell. Control characters are removed from text, and text that a
    spreadsheet would evaluate as a formula is quoted."""
    return csv_lines([head]) + csv_lines(rows)


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as ``csv_bytes`` does, without a header."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_cell(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def profile_csv(profile: Profile) -> bytes:
    """Return every operator of both sides as CSV, one row per operator."""
    sides = [("program", profile.program), *([("eager", profile.eager)] if profile.eager else [])]
    return csv_bytes(
        PROFILE_HEAD,
        (
            (
                name, order, operator.name, operator.calls, operator.median_ms, operator.p90_ms, operator.share,
                operator.delegate, operator.subgraph, operator.origin.module, operator.origin.module_type,
                " ".join(operator.origin.operators), operator.origin.stack[-1] if operator.origin.stack else "",
            )
            for name, side in sides
            for order, operator in enumerate(side.operators)
        ),
    )  # fmt: skip


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    plain = text.plain(value)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain
