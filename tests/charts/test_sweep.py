"""The chart of latency over shapes or threads."""

from __future__ import annotations

import pytest

from etui.charts.drawing import Canvas, Line, palette, sweep_lines
from etui.charts.sweep import Step

LINES = [
    Line(
        name=name,
        steps=[
            Step(at=at, label=f"{at:g}", value=factor * at**2 / 1000, interval=None) for at in (128.0, 224.0, 320.0)
        ],
    )
    for name, factor in (("fp32/xnnpack", 1.0), ("int8/xnnpack", 0.4), ("eager", 3.0))
]


def drawn(width: int, height: int, *, unicode: bool = True, lines: list[Line] = LINES, log: bool = False) -> str:
    """The chart as plain text."""
    canvas = Canvas(width=width, height=height, palette=palette("none", unicode=unicode))
    return sweep_lines(lines, canvas, axis="input size", log=log).plain


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("log", [True, False])
def test_every_line_has_a_glyph_in_legend_and_plot_and_every_value_a_label(unicode: bool, log: bool) -> None:
    text = drawn(90, 20, unicode=unicode, log=log)
    glyphs = palette("none", unicode=unicode).glyphs.series
    for slot, line in enumerate(LINES):
        assert f"{glyphs[slot]} {line.name}" in text
        assert text.count(glyphs[slot]) >= 1 + 2
    axis = text.splitlines()[-1]
    assert axis.split() == ["128", "224", "320"] and "input size" in text.splitlines()[0]
    assert max(map(len, text.splitlines())) <= 90 and len(text.splitlines()) <= 20


def test_larger_values_are_higher() -> None:
    rows = drawn(90, 20, lines=LINES[:1]).splitlines()[1:]
    glyph = palette("none").glyphs.series[0]
    places = sorted((row.index(glyph), number) for number, row in enumerate(rows) if glyph in row)
    assert [number for _, number in places] == sorted((number for _, number in places), reverse=True)


@pytest.mark.parametrize("log", [True, False])
def test_an_interval_that_ends_far_above_the_values_is_drawn_to_its_end(log: bool) -> None:
    steps = [Step(at=1.0, label="1", value=1.0, interval=(0.5, 8.0)), Step(at=2.0, label="2", value=2.0)]
    rows = drawn(60, 20, lines=[Line(name="fp32/xnnpack", steps=steps)], log=log).splitlines()[1:-2]
    glyphs = palette("none").glyphs
    assert sum(glyphs.whisker in row for row in rows[:6]) >= 5
    assert not any(glyphs.series[0] in row for row in rows[:6])


def test_no_line_is_drawn_without_its_name() -> None:
    lines = [Line(name=f"{line.name} dynamic 160x320 batch 128", steps=line.steps) for line in LINES]
    text, glyphs = drawn(70, 8, lines=lines), palette("none").glyphs.series
    assert lines[0].name in text and "and 2 other lines" in text
    assert [slot for slot in range(3) if glyphs[slot] in text] == [0]
    assert any(character.isdigit() for row in text.splitlines()[2:-2] for character in row), "the axis has values"


@pytest.mark.parametrize("size", [(10, 3), (24, 6), (40, 7), (60, 9)])
def test_small_charts_stay_within_their_size(size: tuple[int, int]) -> None:
    lines = drawn(*size).splitlines()
    assert len(lines) <= size[1] and all(len(line) <= size[0] for line in lines)


def test_more_lines_than_glyphs_are_counted() -> None:
    many = [Line(name=f"line {number}", steps=LINES[0].steps) for number in range(9)]
    assert "3 other lines" in drawn(120, 24, lines=many)


def test_nothing_to_draw_is_explained() -> None:
    assert "differ" in drawn(60, 10, lines=[])
