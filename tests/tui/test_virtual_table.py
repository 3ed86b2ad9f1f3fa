"""The table that every screen uses: it asks only for the rows that are seen, and its cursor stays on its row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from rich.text import Text
from textual.pilot import Pilot

from etui.tui.widgets.row_painter import Cell, Placed
from etui.tui.widgets.virtual_table import RowList, VirtualTable
from tests.tui.hosts import Host, drawn_lines

pytestmark = pytest.mark.asyncio

SIZE = (40, 10)
MILLION = 1_000_000


class Numbers:
    """A million rows, of which the first ten thousand were read; it counts how many are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        return MILLION

    def at(self, index: int) -> int | None:
        self.asked += 1
        return index if index < 10_000 else None

    def key(self, row: int) -> str:
        return str(row)

    def index_of(self, key: str) -> int | None:
        return int(key)


class NumberTable(VirtualTable[int]):
    """Numbers, what was sorted by, and the rows on which the cursor came to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.sorted_by: list[str] = []
        self.visited: list[int | None] = []

    @property
    def sorting(self) -> tuple[str, bool]:
        return "double", False

    def place_columns(self, width: int) -> Sequence[Placed[int]]:
        def double(row: int) -> Cell:
            return str(2 * row), "good"

        def number(row: int) -> Cell:
            return [(f"no {row}", "")]

        return [
            Placed(width=10, cell=number, title="number", name="number", sorts=True),
            Placed(width=8, cell=double, title="double", name="double", sorts=True, right=True),
        ]

    def cursor_moved(self) -> None:
        self.visited.append(self.row)

    def sort_by(self, name: str) -> None:
        self.sorted_by.append(name)

    def action_sort_direction(self) -> None:
        self.sorted_by.append("reversed")


def table_of(pilot: Pilot[Any]) -> NumberTable:
    """The table under the pilot."""
    return pilot.app.query_one(NumberTable)


async def show(pilot: Pilot[Any], rows: Sequence[int], above: int = 0, below: int = 0) -> NumberTable:
    """The table with these rows between two texts."""
    table = table_of(pilot)
    table.source = RowList(rows)
    table.above = [Text(f"above {line}") for line in range(above)]
    table.below = [Text(f"below {line}") for line in range(below)]
    table.lay_out()
    table.rows_changed()
    table.focus()
    await pilot.pause()
    return table


async def test_only_the_rows_that_are_seen_are_asked_for() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table, source = table_of(pilot), Numbers()
        table.source = source
        table.lay_out()
        await pilot.pause()
        source.asked = 0
        assert [line.split() for line in drawn_lines(table)[:3]] == [
            ["number", "double▲"], ["▌", "no", "0", "0"], ["no", "1", "2"],
        ]  # fmt: skip
        table.move_to(MILLION - 1)
        await pilot.pause()
        assert drawn_lines(table)[-1].strip() == "…", "a row that was not read has a mark"
        assert source.asked < 100


async def test_rows_that_come_before_the_first_layout_begin_with_the_first_one() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = table_of(pilot)
        table.display = False
        await pilot.pause()
        await show(pilot, range(50))
        table.scroll_to_cursor()
        table.display = True
        await pilot.pause()
        assert drawn_lines(table)[1].split() == ["▌", "no", "0", "0"]


async def test_the_cursor_stays_on_its_row_or_goes_to_the_first() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = await show(pilot, range(50))
        table.move_to(30)
        table.source = RowList(range(49, -1, -1))
        table.rows_changed()
        assert (table.row, table.cursor) == (30, 19)
        table.source = RowList([7, 8])
        table.rows_changed()
        assert (table.row, table.cursor) == (7, 0)
        assert table.visited == [0, 30, 7]


@pytest.mark.slow
async def test_the_keys_go_over_the_rows_and_then_through_the_texts() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = await show(pilot, range(5), above=12, below=30)
        assert drawn_lines(table)[0].strip() == "above 0"
        await pilot.press("G")
        assert table.cursor == 4 and drawn_lines(table)[-1].strip() == "below 29"
        await pilot.press("k")
        assert "no 3" in "".join(drawn_lines(table)), "the cursor is visible again"
        await pilot.press("j")
        for _ in range(9):
            await pilot.press("ctrl+d")
        assert table.cursor == 4 and drawn_lines(table)[-1].strip() == "below 29"
        await pilot.press("g")
        assert table.cursor == 0 and drawn_lines(table)[0].strip() == "above 0"


@pytest.mark.slow
async def test_the_headings_stay_while_their_rows_are_seen() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = await show(pilot, range(50), above=2, below=20)
        await pilot.press(*["j"] * 20)
        assert drawn_lines(table)[0].split() == ["number", "double▲"]
        await pilot.press("G")
        assert "number" not in "".join(drawn_lines(table))


async def test_the_mouse_moves_the_cursor_scrolls_and_sorts() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = await show(pilot, range(50))
        await pilot.click(table, offset=(3, 4))
        assert table.row == 3
        await pilot.click(table, offset=(3, 0))
        await pilot.click(table, offset=(15, 0))
        assert table.sorted_by == ["number", "reversed"]
        table.scroll_down(animate=False)
        await pilot.pause()
        assert table.row == 3 and drawn_lines(table)[1].split() == ["no", "1", "2"]
        await pilot.click(table, offset=(3, 4))
        assert table.row == 4


async def test_s_goes_from_column_to_column() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = await show(pilot, range(3))
        table.action_sort()
        assert table.sorted_by == ["number"], "the column after the last is the first"


async def test_an_empty_table_says_why() -> None:
    async with Host(NumberTable).run_test(size=SIZE) as pilot:
        table = table_of(pilot)
        table.empty_words = ["nothing here"]
        await show(pilot, [])
        assert "nothing here" in "\n".join(line.strip() for line in drawn_lines(table))
        await pilot.press("j", "G", "ctrl+u", "g")
        assert (table.cursor, table.row) == (0, None)
