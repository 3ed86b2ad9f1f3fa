"""Selects the columns of a table that fit a width."""

from __future__ import annotations

from collections.abc import Sequence


def fitting_columns(widths: Sequence[int], drop_order: Sequence[int], available: int, *, gap: int) -> list[int]:
    """Return the indices of the columns that fit ``available`` cells with ``gap`` cells between them.

    The column with the highest ``drop_order`` is dropped first, of equal ones the leftmost; columns with 0 are never
    dropped, even if they do not fit.
    """
    shown = list(range(len(widths)))
    while shown and sum(widths[index] for index in shown) + gap * (len(shown) - 1) > available:
        last = max(shown, key=lambda index: drop_order[index])
        if drop_order[last] == 0:
            break
        shown.remove(last)
    return shown
