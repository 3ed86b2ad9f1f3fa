"""The forest plot: where a ratio, its interval and the margin are on the common axis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etui.charts.forest import forest
from etui.charts.palette import palette

UNICODE, ASCII = palette().glyphs, palette(unicode=False).glyphs
Estimate = tuple[float, tuple[float, float] | None]


def drawn(estimates: list[Estimate], *, width: int = 41, margin: float = 0.02, unicode: bool = True) -> list[str]:
    """The lines of a plot."""
    plot = forest(estimates, margin=margin, width=width, glyphs=UNICODE if unicode else ASCII)
    return ["".join(text for text, _ in plot.line(estimate)) for estimate in estimates]


def test_a_faster_run_is_right_of_the_baseline_and_a_slower_one_left() -> None:
    base, faster, slower = (line.index("●") for line in drawn([(1.0, None), (4.0, (3.0, 5.0)), (0.25, (0.2, 0.3))]))
    assert slower < base < faster
    assert abs((faster - base) - (base - slower)) <= 1, "the axis is logarithmic"


def test_the_interval_is_drawn_with_its_ends() -> None:
    _, line = drawn([(1.0, None), (2.0, (1.5, 2.6))])
    assert line.index("├") < line.index("●") < line.index("┤")
    _, narrow = drawn([(1.0, None), (2.0, (1.999, 2.001))])
    assert "├" not in narrow and "●" in narrow


def test_the_margin_is_marked_on_both_sides_of_one() -> None:
    _, line = drawn([(1.0, None), (1.5, None)], margin=0.1)
    marks = [place for place, character in enumerate(line) if character == "┊"]
    (base, _) = drawn([(1.0, None), (1.5, None)], margin=0.1)
    assert len(marks) == 2 and marks[0] < base.index("●") < marks[1] < line.index("●")


def test_a_very_wide_interval_is_cut_with_arrows_and_keeps_the_ratios_apart() -> None:
    estimates: list[Estimate] = [(1.0, None), (1.1, None), (1.3, (0.0, 1e9))]
    base, near, wide = drawn(estimates)
    assert "‹" in wide and "›" in wide
    assert len({line.index("●") for line in (base, near, wide)}) == 3


def test_in_ascii_all_is_ascii() -> None:
    estimates: list[Estimate] = [(1.0, None), (2.0, (1.5, 2.6)), (1.3, (0.0, 1e9))]
    lines = drawn(estimates, unicode=False)
    assert all(line.isascii() for line in lines) and "[" in lines[1] and "<" in lines[2]


def test_the_axis_labels_one_above_the_baseline() -> None:
    estimates: list[Estimate] = [(1.0, None), (340.0, (200.0, 500.0))]
    plot = forest(estimates, margin=0.02, width=40, glyphs=UNICODE)
    base = drawn(estimates, width=40)[0]
    assert plot.axis()[base.index("●")] == "1" and "100" in plot.axis().split()


positive = st.floats(min_value=0, max_value=1e300)


@given(
    st.lists(st.tuples(positive, st.none() | st.tuples(positive, positive).map(sorted).map(tuple)), max_size=4),
    st.integers(0, 80),
    st.sampled_from([0.0, 0.02, 1.0]),
)
def test_any_ratios_fit_the_width(estimates: list[Estimate], width: int, margin: float) -> None:
    plot = forest(estimates, margin=margin, width=width, glyphs=UNICODE)
    assert len(plot.axis()) == plot.width
    for estimate in estimates:
        assert sum(len(text) for text, _ in plot.line(estimate)) == plot.width


@pytest.mark.parametrize("unicode", [True, False])
def test_what_each_part_is(unicode: bool) -> None:
    estimates: list[Estimate] = [(2.0, (1.5, 2.6))]
    plot = forest(estimates, margin=0.02, width=40, glyphs=UNICODE if unicode else ASCII)
    assert {role for _, role in plot.line(estimates[0])} == {"", "margin", "interval", "point"}
