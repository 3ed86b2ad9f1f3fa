"""Which columns of a table fit a width."""

from __future__ import annotations

import pytest

from etui.table_columns import fitting_columns


@pytest.mark.parametrize(
    ("available", "shown"),
    [(100, [0, 1, 2, 3]), (29, [0, 1, 2, 3]), (28, [0, 1, 3]), (19, [0, 3]), (13, [0]), (1, [0])],
)
def test_column_with_the_highest_drop_order_is_dropped_first(available: int, shown: list[int]) -> None:
    assert fitting_columns([8, 4, 6, 5], [0, 2, 3, 1], available, gap=2) == shown


def test_leftmost_of_equal_columns_is_dropped_first() -> None:
    assert fitting_columns([5, 5, 5], [1, 1, 0], 11, gap=1) == [1, 2]


def test_no_columns_fit_any_width() -> None:
    assert fitting_columns([], [], 0, gap=1) == []
