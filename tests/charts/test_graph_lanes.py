"""The lines beside a list of nodes connect exactly the rows that the edges connect."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from etui.charts.graph_lanes import ASCII_LANES, MOST_LANES, LaneGlyphs, lanes

GLYPHS = LaneGlyphs()


def read_back(rows: list[str], glyphs: LaneGlyphs) -> set[frozenset[int]]:
    """Return the groups of rows that are connected with each other by a line."""
    connecting = {*glyphs.begin, *glyphs.end, *glyphs.tap}
    groups: set[frozenset[int]] = set()
    for column in range(len(rows[0])):
        line: set[int] = set()
        for number, row in enumerate(rows):
            character = row[column]
            if character in connecting and column > 0:
                assert all(each != " " for each in row[:column])
                line.add(number)
                if character in glyphs.end:
                    groups.add(frozenset(line))
                    line = set()
    return groups


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 9), st.data())
def test_lines_connect_what_the_edges_connect(count: int, data: st.DataObject) -> None:
    pairs = [(source, target) for source in range(count) for target in range(source + 1, count)]
    edges = data.draw(st.sets(st.sampled_from(pairs)))
    drawn = lanes(count, edges, GLYPHS)
    assert drawn.missing == 0
    assert len({len(row) for row in drawn.rows}) == 1
    assert [row[0] == GLYPHS.after for row in drawn.rows] == [(row - 1, row) in edges for row in range(count)]
    wanted = {
        frozenset({source, *(target for start, target in edges if start == source and target > source + 1)})
        for source in range(count)
        if any(start == source and target > source + 1 for start, target in edges)
    }
    assert read_back(drawn.rows, GLYPHS) == wanted


def test_a_skip_connection_in_ascii() -> None:
    drawn = lanes(4, [(0, 1), (1, 2), (2, 3), (0, 3)], ASCII_LANES)
    assert drawn.rows == ["o-.", "* |", "* |", "*-'"]


def test_edges_without_room_are_counted() -> None:
    count = 2 * (MOST_LANES + 3)
    drawn = lanes(count, [(row, count - 1) for row in range(MOST_LANES + 3)], GLYPHS)
    assert drawn.missing == 3
    assert len(drawn.rows[0]) == 1 + 2 * MOST_LANES
