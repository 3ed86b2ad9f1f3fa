"""Loss curves: one glyph per step and series, readable without colours and in ASCII."""

from __future__ import annotations

import pytest

from etui.charts.grid import Canvas
from etui.charts.loss_curves import loss_curves
from etui.charts.palette import palette


def drawn(series: list[tuple[str, list[float | None]]], *, unicode: bool = True, width: int = 60) -> list[str]:
    canvas = Canvas(width=width, height=14, palette=palette("none", unicode=unicode))
    return loss_curves(series, canvas).plain.splitlines()


def test_a_falling_loss_goes_down_from_left_to_right() -> None:
    lines = drawn([("adam", [4.0, 3.0, 2.0, 1.0])])
    assert "adam" in lines[0]
    places = sorted((line.index("◆"), number) for number, line in enumerate(lines) if "◆" in line and number > 0)
    assert len(places) == 4
    assert [row for _, row in places] == sorted(row for _, row in places)


@pytest.mark.parametrize("unicode", [True, False])
def test_series_differ_by_glyph(unicode: bool) -> None:
    glyphs = palette("none", unicode=unicode).glyphs
    lines = drawn([("sgd", [3.0, 2.9]), ("adam", [2.0, 0.1])], unicode=unicode)
    body = "\n".join(lines[1:-2])
    assert body.count(glyphs.series[0]) == body.count(glyphs.series[1]) == 2
    assert unicode or body.isascii()
    assert "sgd" in lines[0] and "adam" in lines[0]


def test_a_loss_that_is_not_finite_is_at_the_top() -> None:
    lines = drawn([("sgd", [1.0, 1e30, None])])
    assert "not finite" in lines[0]
    assert "✗" in lines[1]


def test_series_that_coincide_are_both_seen() -> None:
    body = "\n".join(drawn([("adam", [3.0, 2.0, 1.5, 1.0]), ("adamw", [3.0, 2.0, 1.5, 1.0])])[1:])
    assert body.count("◆") == body.count("●") == 2


@pytest.mark.parametrize("steps", [2, 3, 7])
def test_ticks_are_at_whole_steps(steps: int) -> None:
    *_, labels = drawn([("adam", [4.0] * steps)])
    *ticks, unit = labels.split()
    assert unit == "step" and ticks and all(tick.isdigit() for tick in ticks)


def test_a_chart_without_steps_says_so() -> None:
    assert "no step" in "\n".join(drawn([("sgd", [])]))
    assert drawn([("sgd", [None])])
    assert drawn([("sgd", [0.0, 0.0])], width=30)
