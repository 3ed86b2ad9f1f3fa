"""Tables of text: aligned numbers, and what happens on a narrow terminal."""

from __future__ import annotations

import pytest

from etui.cli.number_alignment import aligned
from etui.cli.table import Column, table, table_lines, wrapped_to_terminal

LONG = "all of these words do not fit next to a number on a terminal of sixty columns"


@pytest.mark.parametrize(
    "cells",
    [
        ["6,718", "10.5", "4.25", "0.000123", "-", "failed"],
        ["! 8.48 to 12.2", "105 to 123", "-", "? 5,412 to 9,012"],
        ["12.2x", "? 0.00345x", "340x", "! 3.06x unreliable"],
        ["+7.6 %", "-61.1 % ", "2.57x", ""],
        ["(-64.8 % to -57.0 %)", "(493x to 892x)"],
        ["5.18e-07", "0.0183", "(16.5)"],
    ],
)
def test_decimal_points_are_below_each_other(cells: list[str]) -> None:
    drawn = aligned(cells)
    assert [" ".join(cell.split()) for cell in drawn] == [" ".join(cell.split()) for cell in cells]
    assert len({len(cell) for cell in drawn}) == 1
    points = set()
    for cell, text in zip(cells, drawn, strict=True):
        if any(character.isdigit() for character in cell):
            first = text.split(" to ")[0]
            digits = [place for place, character in enumerate(first) if character.isdigit()]
            points.add(first.index(".") if "." in first else digits[-1] + 1)
    assert len(points) == 1


def test_marks_are_below_each_other() -> None:
    assert [cell.index("!") for cell in aligned(["! 8.48", "! 105", "! 0.1"])] == [0, 0, 0]


def test_what_only_begins_with_digits_is_not_a_number() -> None:
    assert aligned(["2026-11-21 16:09", "3.5"])[0] == "2026-11-21 16:09"


def test_a_table_fits_a_narrow_terminal() -> None:
    columns = [
        Column("run", most=8, cut="clean"), Column("name", most=12), Column("ms", right=True),
        Column("spare", spare=1), Column("reason", wraps=True),
    ]  # fmt: skip
    rows = [["0123456789ab", "a name of some length", "10.5", "omitted " * 5, LONG], ["1", "b", "123", "", "short"]]
    lines = table(columns, rows, 60).splitlines()
    assert max(map(len, lines)) <= 60
    assert "spare" not in lines[0] and lines[1].startswith("0123456789ab  a name of so…")
    assert " ".join(" ".join(line[lines[0].index("reason") :] for line in lines[1:-1]).split()) == LONG
    widths = {len(line[: line.index(".")]) for line in lines if "10.5" in line}
    assert widths == {lines[-1].index("123") + 3}


def test_a_name_is_whole_if_there_is_room() -> None:
    columns, rows = [Column("name", most=6), Column("ms", right=True)], [["twelve cells", "1"]]
    assert "twelve cells" in table(columns, rows, 40)
    assert "twelve cells" not in table(columns, rows, 12)
    assert table([Column("name", most=6, cut="start")], rows := [["twelve cells"]], 6).splitlines()[1] == "…cells"
    assert rows[0][0] in table([Column("name", most=6)], rows)


def test_nothing_is_cut_or_omitted_without_a_terminal() -> None:
    columns = [Column("name", most=4), Column("spare", spare=9), Column("reason", wraps=True)]
    (_, row) = table(columns, [["x" * 150, "kept", LONG * 3]]).splitlines()
    assert row == f"{'x' * 150}  kept   {LONG * 3}"


def test_a_row_of_a_later_part_is_aligned_too() -> None:
    lines = list(table_lines([Column("ms", right=True)], ([cell] for cell in ("1.5", "2", "1,000.25")), part=2))
    assert [line.strip() for line in lines] == ["ms", "1.5", "2", "1,000.25"]


def test_lines_are_wrapped_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrapped_to_terminal(LONG) == LONG
    monkeypatch.setattr("etui.cli.table.terminal_width", lambda: 50)
    wrapped = wrapped_to_terminal(LONG)
    assert max(map(len, wrapped.splitlines())) <= 50 and " ".join(wrapped.split()) == LONG
