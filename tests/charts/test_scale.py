"""Positions on an axis and the tick labels along it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etui.charts.scale import Scale, scale_over, tick_label


def test_linear_axis_is_proportional() -> None:
    scale = Scale(low=10.0, high=20.0)
    assert [scale.place(value) for value in (10.0, 15.0, 20.0, 25.0)] == [0.0, 0.5, 1.0, 1.5]


def test_logarithmic_axis_has_equidistant_decades() -> None:
    scale = Scale(low=1e-6, high=1.0, log=True)
    assert scale.place(1e-3) == pytest.approx(0.5)
    assert scale.place(0.0) == -math.inf


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 25.0, ["0", "10", "20"]),
        (4.88, 5.32, ["5.0", "5.2"]),
        (13.1, 13.9, ["13.2", "13.4", "13.6", "13.8"]),
        (0.0, 60_000.0, ["0", "20,000", "40,000", "60,000"]),
        (1e-7, 9e-7, ["2e-7", "4e-7", "6e-7", "8e-7"]),
    ],
)
def test_ticks_are_round_and_distinct(low: float, high: float, expected: list[str]) -> None:
    ticks = Scale(low=low, high=high).ticks(4)
    assert [tick_label(tick, ticks) for tick in ticks] == expected


def test_ticks_over_decades_are_powers_of_ten() -> None:
    ticks = Scale(low=1e-7, high=1e-2, log=True).ticks(6)
    assert [tick_label(tick, ticks) for tick in ticks] == ["1e-7", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2"]


@given(
    st.floats(1e-9, 1e9),
    st.floats(1.0001, 1e6),
    st.integers(2, 20),
    st.booleans(),
)
def test_every_axis_has_ticks_within_it(low: float, ratio: float, most: int, log: bool) -> None:
    scale = Scale(low=low, high=low * ratio, log=log)
    ticks = scale.ticks(most)
    assert ticks == sorted(ticks)
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in ticks)
    labels = [tick_label(tick, ticks) for tick in ticks]
    assert len(set(labels)) == len(labels)


@given(st.lists(st.just(0.0) | st.floats(1e-12, 1e6), min_size=1, max_size=20), st.booleans())
def test_scale_of_values_covers_all_of_them(values: list[float], log: bool) -> None:
    scale = scale_over(values, log=log)
    assert scale.high > scale.low
    assert all(0 <= scale.place(value) <= 1 for value in values if value > 0 or not log)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8), st.booleans())
def test_any_float_has_a_position_and_every_axis_has_ticks(values: list[float], log: bool) -> None:
    scale = scale_over(values, log=log)
    assert scale.high > scale.low
    assert all(not math.isnan(scale.place(value)) for value in values)
    ticks = scale.ticks(6)
    labels = [tick_label(tick, ticks) for tick in ticks]
    assert ticks and len(set(labels)) == len(labels)


def test_axis_without_space_has_one_tick() -> None:
    scale = Scale(low=0.0, high=-1.0)
    assert (scale.place(5.0), scale.ticks(5)) == (0.5, [0.0])
