"""A page of runs for a table: found around a run or from an offset, with how many runs there are and where it lies.

Every way here is bounded, so that a key pressed over 100,000 runs is answered at once. Following the sorted column's
index costs a look-up for each row it passes, and is given up after some thousands; a scan of the narrow index over all
the columns that filters use costs the same whatever it finds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from etui.store.columns import SUMMARY_COLUMNS, summary_of
from etui.store.conditions import SCAN, Condition, count, is_indexed, is_scannable, known_column, where_clause
from etui.store.schema import IN_ORDER
from etui.summary import RunSummary

_SELECT = ", ".join(SUMMARY_COLUMNS)
_FEW = 2_000
_MANY = 10_000
"""With more runs than this a scan of all of them takes longer than to draw what is found first."""
_PATIENCE = 4_000
"""So many rows of an index are followed before a scan is the shorter way."""

Bounds = tuple[str, list[object]]
"""A piece of the table's order as a condition, and its values."""


class Sorting(msgspec.Struct, frozen=True, kw_only=True):
    """A column and a direction. Runs without a value come last in either; equal values are ordered by age."""

    column: str
    descending: bool

    def clause(self, *, backwards: bool = False, in_piece: bool = False) -> str:
        """The order as SQL, from its end where ``backwards``. In a piece either all values are missing or none."""
        direction = "DESC" if self.descending != backwards else "ASC"
        nulls = "" if in_piece else " NULLS FIRST" if backwards else " NULLS LAST"
        return f"ORDER BY {self.column} {direction}{nulls}, rowid {direction}"

    def pieces(self, place: sqlite3.Row | None, *, backwards: bool = False) -> list[Bounds]:
        """What follows a row (what comes before it, where ``backwards``) in pieces, the nearest first; without a row
        all there is. Apart, for an index answers each; joined by OR they would be a scan."""
        column = self.column
        known, missing = f"{column} IS NOT NULL", f"{column} IS NULL"
        if place is None:
            return [(missing, []), (known, [])] if backwards else [(known, []), (missing, [])]
        value, number = place["value"], place["number"]
        beyond = "<" if self.descending != backwards else ">"
        if value is None:
            equal: list[Bounds] = [(f"{missing} AND rowid {beyond} ?", [number])]
            return [*equal, (known, [])] if backwards else equal
        equal = [(f"{column} = ? AND rowid {beyond} ?", [value, number]), (f"{column} {beyond} ?", [value])]
        return equal if backwards else [*equal, (missing, [])]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which page: it begins at ``offset``, or so that ``before`` runs stand before the run ``around``, where that meets
    the conditions."""

    limit: int
    offset: int = 0
    around: str | None = None
    before: int = 0


Page = tuple[int, int, int | None, list[RunSummary]]
"""How many runs there are in all, the place of the page's first, that of the run it is ``around``, and the runs."""

Glimpse = tuple[None, int | None, list[RunSummary]]
"""A page that was not counted: None, the place in it of the run it is ``around``, and its runs."""


def page(connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, window: Window) -> Page:
    """A page for a table. Raises UsageError for a column or operator that does not exist."""
    known_column(sorting.column)
    few = _few(connection, where, sorting)
    if few is not None:
        return _page_of_few(connection, few, window)
    row = _row(connection, window.around, where, sorting)
    total, place = _count(connection, where, sorting, row)
    first = max(0, min(window.offset if place is None else place - window.before, total - window.limit))
    size = min(window.limit, total - first)
    if row is not None and place is not None:
        earlier = _walk(connection, where, sorting, row, place - first, backwards=True)
        later = _walk(connection, where, sorting, row, first + size - place - 1)
        numbers = [*earlier, row["number"], *later]
    else:
        numbers = _slice(connection, where, sorting, first, size, total)
    return total, first, place, _rows(connection, "rowid", numbers)


def glimpse(
    connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, window: Window
) -> Page | Glimpse:
    """The page; or, where it would take a while to count, what can be seen at once: the runs around the run ``around``
    where that meets the conditions, else the first of all. Raises UsageError as ``page`` does."""
    many = connection.execute("SELECT coalesce(max(rowid), 0) > ? FROM runs", (_MANY,)).fetchone()[0]
    if not many or not where or is_indexed(where):
        return page(connection, where, sorting, window)
    known_column(sorting.column)
    few = _few(connection, where, sorting)
    if few is not None:
        return _page_of_few(connection, few, window)
    row = _row(connection, window.around, where, sorting)
    if row is None:
        numbers = _walk(connection, where, sorting, None, window.limit)
        return None, None, _rows(connection, "rowid", numbers)
    earlier = _walk(connection, where, sorting, row, window.before, backwards=True)
    later = _walk(connection, where, sorting, row, window.limit - window.before - 1)
    return None, len(earlier), _rows(connection, "rowid", [*earlier, row["number"], *later])


def _page_of_few(connection: sqlite3.Connection, few: Sequence[str], window: Window) -> Page:
    total, place = len(few), few.index(window.around) if window.around in few else None
    first = max(0, min(window.offset if place is None else place - window.before, total - window.limit))
    return total, first, place, _rows(connection, "id", few[first : first + window.limit])


def _few(connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting) -> list[str] | None:
    """The ids in order where only few runs meet the conditions, found in one scan; None where there are more."""
    by_index = is_indexed(where)
    if not where or (by_index and count(connection, where) > _FEW):
        return None
    clause, values = where_clause(where)
    source = SCAN if not by_index and is_scannable(where, sorting.column) else "runs"
    rows = connection.execute(
        f"SELECT id, rowid AS number, {sorting.column} AS value FROM {source} {clause} LIMIT ?",  # noqa: S608
        (*values, _FEW + 1),
    ).fetchall()
    if len(rows) > _FEW:
        return None
    known = sorted(
        (row for row in rows if row["value"] is not None),
        key=lambda row: (row["value"], row["number"]),
        reverse=sorting.descending,
    )
    missing = sorted(
        (row for row in rows if row["value"] is None), key=lambda row: row["number"], reverse=sorting.descending
    )
    return [row["id"] for row in (*known, *missing)]


def _row(
    connection: sqlite3.Connection, run_id: str | None, where: Sequence[Condition], sorting: Sorting
) -> sqlite3.Row | None:
    """Where in the order a run stands: its value and row number; None where it does not meet the conditions."""
    if run_id is None:
        return None
    clause, values = where_clause((*where, Condition("id", "=", run_id)))
    found: sqlite3.Row | None = connection.execute(
        f"SELECT rowid AS number, {sorting.column} AS value FROM runs {clause}",  # noqa: S608
        values,
    ).fetchone()
    return found


def _count(
    connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, row: sqlite3.Row | None
) -> tuple[int, int | None]:
    """How many runs there are, and how many of them come before a row; both from one scan where they are filtered."""
    if row is None:
        return count(connection, where), None
    pieces = sorting.pieces(row, backwards=True)
    if not where:
        earlier = sum(
            int(connection.execute(f"SELECT count(*) FROM runs WHERE {one}", bounds).fetchone()[0])  # noqa: S608
            for one, bounds in pieces
        )
        return count(connection), earlier
    clause, values = where_clause(where)
    source = SCAN if is_scannable(where, sorting.column) else "runs"
    either = " OR ".join(f"({one})" for one, _ in pieces)
    total, earlier = connection.execute(
        f"SELECT count(*), total({either}) FROM {source} {clause}",  # noqa: S608
        (*(bound for _, bounds in pieces for bound in bounds), *values),
    ).fetchone()
    return int(total), int(earlier)


def _walk(
    connection: sqlite3.Connection,
    where: Sequence[Condition],
    sorting: Sorting,
    row: sqlite3.Row | None,
    wanted: int,
    *,
    backwards: bool = False,
) -> list[int]:
    """The numbers of the next ``wanted`` rows after a row, or before it (``backwards``), in the table's order; of all
    where there are fewer."""
    pieces = sorting.pieces(row, backwards=backwards)
    clause, values = where_clause(where)
    used = ", ".join(["rowid AS number", *dict.fromkeys(condition.column for condition in where)])
    along = sorting.clause(backwards=backwards, in_piece=True)
    # What is asked of the sorted column itself bounds what is followed, instead of being looked up row by row.
    narrowing, narrow = where_clause([condition for condition in where if condition.column == sorting.column])
    narrowing = narrowing.replace("WHERE", " AND", 1)
    numbers: list[int] = []
    given_up = sorting.column not in IN_ORDER
    for one, bounds in () if given_up else pieces:
        left = wanted - len(numbers)
        if left <= 0:
            break
        within = f"SELECT {used} FROM runs WHERE {one}{narrowing} {along} LIMIT ?"  # noqa: S608
        found = connection.execute(
            f"SELECT number FROM ({within}) {clause} LIMIT ?",  # noqa: S608
            (*bounds, *narrow, _PATIENCE, *values, left),
        ).fetchall()
        numbers += [found_row["number"] for found_row in found]
        if len(found) < left and _is_longer(connection, one, bounds):
            given_up = True
            break
    if given_up:
        either = " OR ".join(f"({one})" for one, _ in pieces)
        source = SCAN if is_scannable(where, sorting.column) else "runs"
        rows = connection.execute(
            f"SELECT rowid AS number FROM {source} {clause}{' AND' if clause else ' WHERE'} ({either})"  # noqa: S608
            f" {sorting.clause(backwards=backwards)} LIMIT ?",
            (*values, *(bound for _, bounds in pieces for bound in bounds), wanted),
        )
        numbers = [found_row["number"] for found_row in rows]
    return numbers[::-1] if backwards else numbers


def _is_longer(connection: sqlite3.Connection, piece: str, bounds: Sequence[object]) -> bool:
    """Whether a piece goes on where patience ended."""
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM runs WHERE {piece} LIMIT ?)",  # noqa: S608
        (*bounds, _PATIENCE + 1),
    ).fetchone()
    return int(row[0]) > _PATIENCE


def _slice(
    connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, first: int, size: int, total: int
) -> list[int]:
    """The numbers of ``size`` rows from a place on. What lies beyond the middle is nearer from the end."""
    from_end = first > total // 2
    skipped = total - first - size if from_end else first
    if where and skipped == 0:
        return _walk(connection, where, sorting, None, size, backwards=from_end)
    clause, values = where_clause(where)
    source = SCAN if where and is_scannable(where, sorting.column) else "runs"
    rows = connection.execute(
        f"SELECT rowid AS number FROM {source} {clause} {sorting.clause(backwards=from_end)} LIMIT ? OFFSET ?",  # noqa: S608
        (*values, size, skipped),
    )
    numbers = [row["number"] for row in rows]
    return numbers[::-1] if from_end else numbers


def _rows(connection: sqlite3.Connection, key: str, values: Sequence[object]) -> list[RunSummary]:
    """The summaries of the rows with these ids or row numbers, in their order."""
    found = {
        row["wanted"]: summary_of(row)
        for row in connection.execute(
            f"SELECT {key} AS wanted, {_SELECT} FROM runs WHERE {key} IN ({', '.join('?' * len(values))})",  # noqa: S608
            list(values),
        )
    }
    return [found[value] for value in values]
