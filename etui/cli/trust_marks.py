"""Marks before figures in text tables for the trust in them, so that wide intervals are not read as results."""

from __future__ import annotations

from etui import text
from etui.analysis.trust import Trust

LEGEND = (
    "`!` before a figure: its 95 % interval is wide (5 % or more to each side), or the run has warning flags. `?`: do"
    " not rely on it, because the interval is very wide (25 % or more) or most blocks were disturbed."
)
"""What the marks mean, for the help of commands."""


def marked(cell: str, trust: Trust) -> str:
    """Return a table cell with the mark for the trust in its figure. The mark comes first, so that right-aligned
    figures remain aligned."""
    mark = {"good": "", "caution": "! ", "poor": "? "}[trust]
    return cell if cell in ("", text.MISSING) else mark + cell
