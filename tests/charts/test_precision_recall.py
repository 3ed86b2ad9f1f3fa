"""Precision over recall: both series by glyph, readable without colours and in ASCII."""

from __future__ import annotations

import pytest

from etui.charts.grid import Canvas
from etui.charts.palette import palette
from etui.charts.precision_recall import precision_recall


def drawn(program: list[float], eager: list[float], *, unicode: bool = True, height: int = 13) -> list[str]:
    canvas = Canvas(width=60, height=height, palette=palette("none", unicode=unicode))
    return precision_recall(program, eager, canvas).plain.splitlines()


@pytest.mark.parametrize("unicode", [True, False])
def test_the_program_is_below_eager_if_its_precisions_are(unicode: bool) -> None:
    glyphs = palette("none", unicode=unicode).glyphs
    lines = drawn([0.5] * 5, [1.0] * 5, unicode=unicode)
    assert "program" in lines[0] and "eager" in lines[0] and "recall" in lines[-1]
    rows = {
        glyph: [at for at, line in enumerate(lines) if line.count(glyph) == 5]
        for glyph in (glyphs.program, glyphs.eager)
    }
    assert rows == {glyphs.program: [6], glyphs.eager: [1]}
    assert unicode or "".join(lines).isascii()


def test_the_program_is_drawn_if_both_coincide() -> None:
    glyphs = palette("none", unicode=True).glyphs
    body = "".join(drawn([1.0, 0.5, 0.2], [1.0, 0.5, 0.2])[1:])
    assert body.count(glyphs.program) == 3 and glyphs.eager not in body


def test_without_room_or_values_nothing_fails() -> None:
    assert drawn([1.0], [1.0], height=3) == []
    assert drawn([], [])
