"""The sparkline: one character per value."""

from __future__ import annotations

import pytest

from etui.charts.sparkline import sparkline

LEVELS = "▁▂▃▄▅▆▇█"


def test_lowest_and_highest_value_have_the_lowest_and_highest_level() -> None:
    drawn = sparkline([10.0, 12.0, 15.0, 20.0], LEVELS, 10)
    assert len(drawn) == 4
    assert drawn[0] == "▁" and drawn[-1] == "█"
    assert [LEVELS.index(each) for each in drawn] == sorted(LEVELS.index(each) for each in drawn)


def test_newest_values_are_shown_if_there_are_too_few_cells() -> None:
    assert sparkline([1.0, 1.0, 1.0, 5.0, 9.0], LEVELS, 2) == sparkline([5.0, 9.0], LEVELS, 2)
    assert sparkline([1.0, 2.0], LEVELS, 0) == sparkline([], LEVELS, 5) == ""


def test_small_differences_have_adjacent_levels() -> None:
    levels = {LEVELS.index(each) for each in sparkline([10.0, 10.05, 9.98], LEVELS, 8)}
    assert max(levels) - min(levels) <= 1


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_values_are_in_the_middle(value: float) -> None:
    assert set(sparkline([value] * 3, LEVELS, 8)) == {"▅"}


def test_other_levels_can_be_used() -> None:
    assert sparkline([1.0, 2.0], "_-=#", 8) == "_#"
