"""Pages of runs for a table: the runs around a run or from an offset, their position, and the total number.

The work of every strategy is bounded, so that the screen reacts at once with a million runs. If an index shows that few
runs can match the filter, those are read. Otherwise the index of the sorted column is followed, which costs a look-up
for each row and is stopped after some thousand. As a last resort every run from the filter's most selective index is
read, or all runs in the covering index over the columns that filters use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec

from etui.facts import RunSummary
from etui.store.columns import IN_ORDER, SELECTED, summary_of
from etui.store.conditions import SCAN, Condition, columns_of, is_scannable, known_column, where_clause
from etui.store.index_search import INDEXES, Source, exact_size, held, size_up_to, source, values_with_word

_FEW = 1_500
"""Up to this number of runs are looked up and sorted at once."""
_HELD = 4_000
"""A list of up to this number of rows is kept, so that an index that has to be searched for it is searched once."""
_MANY = 4_000
"""Up to this number of runs a scan of all of them is as fast as any other strategy."""
_SOON_COUNTED = 200_000
"""Up to this number of runs, counting the position of one run does not delay the screen noticeably."""
_PATIENCE = 4_000
"""How many rows of an index are followed before another strategy is faster."""
_MORE_PATIENCE = 4
"""By which factor more rows are followed if matches were found among the first ones."""
_PASSED = 100_000
"""How many rows of an index are passed, reading only their numbers, before another strategy is faster."""
_RARE = 64
"""If more than one run in this number matches, following an index finds a screen of them."""
_SEEN = 60
"""How many rows fill a screen; a glimpse does not wait for more."""
_SHORTER = 8
"""How many rows can be scanned in the time of one row look-up."""
_MUCH_SHORTER = 40
"""How many entries of the sorted column's index can be passed in the time of one row look-up."""


class Piece(NamedTuple):
    """A part of the sort order as an SQL condition and its values. If it ``is_level``, all its rows have the same value
    in the sorted column, or none."""

    condition: str
    values: list[object]
    is_level: bool = False


class _Shown(msgspec.Struct, frozen=True):
    """What a table shows for a column that has no value: an SQL expression, its index, and the columns that it
    reads."""

    expression: str
    index: str
    columns: tuple[str, ...]


_SHOWN = {
    "verdict": _Shown(
        "CASE WHEN status = 'done' THEN coalesce(verdict, 'done') ELSE status END",
        "runs_by_shown_verdict",
        ("verdict", "status"),
    ),
    "note": _Shown("coalesce(nullif(note, ''), error)", "runs_by_shown_note", ("note", "error")),
}


class Sorting(msgspec.Struct, frozen=True, kw_only=True):
    """A column and a direction. Runs without a value come last in either direction; equal values are ordered by age.
    With ``as_shown`` by what the table shows instead: how a run without a verdict ended, and its error without a
    note."""

    column: str
    descending: bool
    as_shown: bool = False

    @property
    def key(self) -> str:
        """What is sorted by, as SQL."""
        return _SHOWN[self.column].expression if self._is_computed else self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the key reads."""
        return _SHOWN[self.column].columns if self._is_computed else (self.column,)

    @property
    def is_indexed(self) -> bool:
        """Whether an index has the rows in this order."""
        return self.column in IN_ORDER or self._is_computed

    @property
    def index(self) -> str:
        """The index that has the rows in this order, if one does."""
        return _SHOWN[self.column].index if self._is_computed else INDEXES[self.column]

    @property
    def _is_computed(self) -> bool:
        return self.as_shown and self.column in _SHOWN

    def clause(self, *, backwards: bool = False) -> str:
        """Return the order as SQL, reversed if ``backwards``."""
        direction = self._direction(backwards=backwards)
        nulls = "NULLS FIRST" if backwards else "NULLS LAST"
        return f"ORDER BY {self.key} {direction} {nulls}, rowid {direction}"

    def along(self, piece: Piece, *, backwards: bool) -> str:
        """Return the order within a part as SQL. SQLite would sort rows with the same value of an expression, although
        its index has them in order."""
        direction = self._direction(backwards=backwards)
        return f"ORDER BY {'' if piece.is_level else f'{self.key} {direction}, '}rowid {direction}"

    def _direction(self, *, backwards: bool) -> str:
        return "DESC" if self.descending != backwards else "ASC"

    def pieces(self, place: Place | None, *, backwards: bool = False) -> list[Piece]:
        """Return the rows after a row (before it if ``backwards``) as conditions, the nearest first; without a row all
        rows. They are separate because an index answers each of them; joined by OR they would be a scan."""
        column = self.key
        known, missing = Piece(f"{column} IS NOT NULL", []), Piece(f"{column} IS NULL", [], is_level=True)
        if place is None:
            return [missing, known] if backwards else [known, missing]
        value, number = place
        beyond = "<" if self.descending != backwards else ">"
        if value is None:
            rest = Piece(f"{column} IS NULL AND rowid {beyond} ?", [number], is_level=True)
            return [rest, known] if backwards else [rest]
        equal = Piece(f"{column} = ? AND rowid {beyond} ?", [value, number], is_level=True)
        others = Piece(f"{column} {beyond} ?", [value])
        return [equal, others] if backwards else [equal, others, missing]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which page: it begins at ``offset``, or ``before`` runs before the run ``around`` if that matches the
    conditions."""

    limit: int
    offset: int = 0
    around: str | None = None
    before: int = 0


Place = tuple[object, int]
"""The position of a row in an order: its value of the sorted column, and its row number."""

Page = tuple[int, int, int | None, list[RunSummary]]
"""The total number of runs, the index of the first run of the page and of the run ``around``, and the runs."""

Glimpse = tuple[None, int | None, list[RunSummary]]
"""A page without a total: None, the index in the page of the run ``around``, and its runs."""

NEWEST_FIRST = Sorting(column="created_at", descending=True)


class _Search:
    """A filter and an order, with intermediate results for one page. Raises UsageError for an unknown column or
    operator."""

    def __init__(self, connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting) -> None:
        known_column(sorting.column)
        self.connection = connection
        self.where = where
        self.sorting = sorting
        self.clause, self.values = where_clause(where)
        # An upper bound: deleted runs are included.
        self.runs = int(connection.execute("SELECT coalesce(max(rowid), 0) FROM runs").fetchone()[0])
        self._sources: list[Source] | None = None
        self._known: tuple[list[Source], list[Condition]] | None = None
        self._scanned: tuple[str, list[object]] | None = None

    @property
    def many(self) -> bool:
        """Whether there are too many runs to read all of them quickly."""
        return self.runs > _MANY

    def narrow(self, most: int) -> Source | None:
        """Return the smallest source that contains all matching runs; None if each has more than ``most`` rows or no
        index has one."""
        if self._sources is None:
            self._sources = self._find_sources()
        smallest = None
        for candidate in self._sources:
            size = size_up_to(self.connection, candidate, most)
            if size <= most:
                most, smallest = size, candidate
        return smallest

    @cached_property
    def _by_condition(self) -> list[Source | None]:
        return [source(self.connection, condition) for condition in self.where]

    @cached_property
    def narrowing(self) -> tuple[str, list[object]]:
        """The conditions on the sorted column itself, which its index evaluates without looking up rows, and those on
        any text if only this column has it."""
        on_column = [condition for condition in self.where if condition.column == self.sorting.key]
        if self.many:
            with_word = (values_with_word(self.connection, condition, self.sorting.key) for condition in self.where)
            on_column += [condition for condition in with_word if condition is not None]
        clause, values = where_clause(on_column)
        return clause.replace("WHERE", " AND", 1), values

    def _find_sources(self) -> list[Source]:
        """Return the sources from indexes for the conditions, or one source of a few rows with all matching runs."""
        sources = [candidate for candidate in self._by_condition if candidate is not None]
        for candidate in sources:
            if (few := held(self.connection, [candidate], _HELD)) is not None:
                return [few]
        if len(sources) > 1:
            most = self.runs // _MUCH_SHORTER
            small = [candidate for candidate in sources if size_up_to(self.connection, candidate, most) <= most]
            if len(small) > 1 and (few := held(self.connection, small, _HELD)) is not None:
                return [few]
        return sources

    def known(self) -> tuple[list[Source], list[Condition]]:
        """Return the sources from indexes for the conditions, and the remaining conditions: those whose source would
        have most of the runs, or that no index answers."""
        if self._known is None:
            sources, rest, half = [], [], self.runs // 2
            for condition, candidate in zip(self.where, self._by_condition, strict=True):
                if candidate is not None and size_up_to(self.connection, candidate, half) <= half:
                    sources.append(candidate)
                else:
                    rest.append(condition)
            self._known = sources, rest
        return self._known

    def row_filter(self) -> tuple[str, list[object]] | None:
        """Return an SQL condition that selects the matching runs by row number as far as possible, so that an index can
        be scanned without looking up each row, and its values. None if no index helps."""
        sources, rest = self.known()
        if not sources or not self.sorting.is_indexed:
            return None
        parts = [known.condition() for known in sources]
        clause, values = where_clause(rest)
        expression = " AND ".join([*(part for part, _ in parts), *([clause.removeprefix("WHERE ")] if rest else [])])
        return expression, [*(value for _, bound in parts for value in bound), *values]

    def matching(self) -> tuple[str, list[object]]:
        """Return ``FROM`` and ``WHERE`` of all matching runs by the fastest strategy, and the values."""
        if self._scanned is None:
            narrow = self.narrow(self.runs // _SHORTER) if self.many and self.where else None
            if narrow is not None:
                among, numbers = narrow.condition()
                # Without statistics SQLite would prefer any equality.
                self._scanned = f"FROM runs NOT INDEXED {self.clause} AND {among}", [*self.values, *numbers]
            else:
                table = SCAN if is_scannable(self.where, *self.sorting.columns) else "runs"
                self._scanned = f"FROM {table} {self.clause or 'WHERE 1'}", self.values
        return self._scanned


def page(connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, window: Window) -> Page:
    """Return a page for a table. Raises UsageError for an unknown column or operator."""
    search = _Search(connection, where, sorting)
    few = _few(search)
    return _counted_page(search, window) if few is None else _page_of_few(search, few, window)


def glimpse(
    connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, window: Window
) -> Page | Glimpse:
    """Return the page, or if counting would take long, only its runs: those around the run ``around`` if that matches
    the conditions, else the first. Raises UsageError like ``page``."""
    search = _Search(connection, where, sorting)
    few = _few(search)
    if few is not None:
        return _page_of_few(search, few, window)
    row = _row(search, window.around)
    if not search.many or (not where and (row is None or search.runs <= _SOON_COUNTED)):
        return _counted_page(search, window)
    if row is None:
        return None, None, _rows(connection, _walk(search, None, window.limit, at_least=_SEEN))
    earlier = _walk(search, row, window.before, at_least=_SEEN, backwards=True)
    later = _walk(search, row, window.limit - window.before - 1, at_least=_SEEN)
    return None, len(earlier), _rows(connection, [*earlier, row[1], *later])


def first(connection: sqlite3.Connection, where: Sequence[Condition], sorting: Sorting, limit: int) -> list[RunSummary]:
    """Return the first runs that match the conditions. Raises UsageError like ``page``."""
    search = _Search(connection, where, sorting)
    few = _few(search)
    return _rows(connection, few[:limit] if few is not None else _walk(search, None, limit))


def newest_after(
    connection: sqlite3.Connection, where: Sequence[Condition], place: Place | None, most: int
) -> tuple[list[RunSummary], Place | None]:
    """Return the matching runs, newest first, among the ``most`` runs after a position, and the position to continue
    from; None if those were the last. Raises UsageError like ``page``."""
    search = _Search(connection, where, NEWEST_FIRST)
    if place is None and (few := _few(search)) is not None:
        return _rows(connection, few), None
    rows: list[sqlite3.Row] = []
    for piece in NEWEST_FIRST.pieces(place):
        rows += connection.execute(
            "SELECT rowid AS number, created_at AS value FROM runs INDEXED BY runs_by_created_at"  # noqa: S608
            f" WHERE {piece.condition} {NEWEST_FIRST.along(piece, backwards=False)} LIMIT ?",
            (*piece.values, most - len(rows)),
        ).fetchall()
    numbers = [row["number"] for row in rows]
    last = (rows[-1]["value"], rows[-1]["number"]) if len(rows) == most else None
    return _rows(connection, numbers, search), last


def count(connection: sqlite3.Connection, where: Sequence[Condition] = ()) -> int:
    """Return the number of runs that match the conditions. Raises UsageError for an unknown column or operator."""
    search = _Search(connection, where, NEWEST_FIRST)
    if not where:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    if search.many:
        if len(where) == 1 and (total := _count_single(connection, where[0])) is not None:
            return total
        sources, rest = search.known()
        if not rest:
            select, bound = sources[0].union()
            others = [other.condition() for other in sources[1:]]
            among = " AND ".join(other.replace("rowid IN", "number IN", 1) for other, _ in others)
            row = connection.execute(
                f"SELECT count(*) FROM ({select}) WHERE {among}",  # noqa: S608
                (*bound, *(value for _, values in others for value in values)),
            ).fetchone()
            return int(row[0])
    matching, values = search.matching()
    return int(connection.execute(f"SELECT count(*) {matching}", values).fetchone()[0])


def _count_single(connection: sqlite3.Connection, condition: Condition) -> int | None:
    """Return the number of runs that match a condition; None if no index answers it or its negation."""
    direct = source(connection, condition)
    if direct is not None:
        return exact_size(connection, direct)
    opposite = source(connection, msgspec.structs.replace(condition, negated=not condition.negated))
    return None if opposite is None else count(connection) - exact_size(connection, opposite)


def matching(connection: sqlite3.Connection, where: Sequence[Condition]) -> tuple[str, list[object]]:
    """Return ``FROM`` and ``WHERE`` of the matching runs by the fastest strategy, and the values. Raises UsageError
    like ``page``."""
    return _Search(connection, where, NEWEST_FIRST).matching()


def is_soon_counted(where: Sequence[Condition]) -> bool:
    """Whether ``count`` is fast for any number of runs."""
    return len(where) < 2


def _counted_page(search: _Search, window: Window) -> Page:
    row = _row(search, window.around)
    total, place = _count(search, row)
    begin = max(0, min(window.offset if place is None else place - window.before, total - window.limit))
    size = min(window.limit, total - begin)
    if row is not None and place is not None:
        earlier = _walk(search, row, place - begin, backwards=True)
        later = _walk(search, row, begin + size - place - 1)
        numbers = [*earlier, row[1], *later]
    else:
        numbers = _slice(search, begin, size, total)
    return total, begin, place, _rows(search.connection, numbers)


def _page_of_few(search: _Search, few: Sequence[int], window: Window) -> Page:
    row = _row(search, window.around)
    total, place = len(few), None if row is None else few.index(row[1])
    begin = max(0, min(window.offset if place is None else place - window.before, total - window.limit))
    return total, begin, place, _rows(search.connection, few[begin : begin + window.limit])


def _few(search: _Search) -> list[int] | None:
    """Return the row numbers in order if few runs match the conditions; None if there are more, or if finding out would
    need a scan of many runs."""
    if not search.where or (search.many and search.narrow(_FEW) is None):
        return None
    matching, values = search.matching()
    rows = search.connection.execute(
        f"SELECT rowid AS number, {search.sorting.key} AS value {matching} LIMIT ?",
        (*values, _FEW + 1),
    ).fetchall()
    if len(rows) > _FEW:
        return None
    known = sorted(
        (row for row in rows if row["value"] is not None),
        key=lambda row: (row["value"], row["number"]),
        reverse=search.sorting.descending,
    )
    missing = sorted(
        (row for row in rows if row["value"] is None),
        key=lambda row: row["number"],
        reverse=search.sorting.descending,
    )
    return [row["number"] for row in (*known, *missing)]


def _row(search: _Search, run_id: str | None) -> Place | None:
    """Return the position of a run in the order; None if it does not match the conditions."""
    if run_id is None:
        return None
    clause, values = where_clause((*search.where, Condition("id", "=", run_id)))
    row = search.connection.execute(
        f"SELECT {search.sorting.key} AS value, rowid AS number FROM runs"  # noqa: S608
        f" INDEXED BY sqlite_autoindex_runs_1 {clause}",
        values,
    ).fetchone()
    return None if row is None else (row["value"], row["number"])


def _count(search: _Search, row: Place | None) -> tuple[int, int | None]:
    """Return the number of runs and how many of them come before a row, from one scan if they are filtered."""
    if row is None:
        return count(search.connection, search.where), None
    pieces = search.sorting.pieces(row, backwards=True)
    if not search.where:
        earlier = sum(
            int(search.connection.execute(f"SELECT count(*) FROM runs WHERE {piece}", bounds).fetchone()[0])  # noqa: S608
            for piece, bounds, _ in pieces
        )
        return count(search.connection), earlier
    row_filter = search.row_filter() if search.many else None
    if row_filter is not None and not search.known()[1]:
        by = f"INDEXED BY {search.sorting.index}"
        earlier = sum(
            search.connection.execute(
                f"SELECT count(*) FROM runs {by} WHERE {piece} AND {row_filter[0]}",  # noqa: S608
                (*bounds, *row_filter[1]),
            ).fetchone()[0]
            for piece, bounds, _ in pieces
        )
        return count(search.connection, search.where), int(earlier)
    matching, values = search.matching()
    either = " OR ".join(f"({piece})" for piece, *_ in pieces)
    total, earlier = search.connection.execute(
        f"SELECT count(*), total({either}) {matching}",
        (*(bound for _, bounds, _ in pieces for bound in bounds), *values),
    ).fetchone()
    return int(total), int(earlier)


def _walk(
    search: _Search, row: Place | None, wanted: int, *, at_least: int | None = None, backwards: bool = False
) -> list[int]:
    """Return the numbers of the next ``wanted`` matching rows after a row, or before it (``backwards``), in the order
    of the table; without a row from its start or end. With ``at_least`` it may stop after that number of rows if more
    would take long."""
    at_least = wanted if at_least is None else min(at_least, wanted)
    pieces = search.sorting.pieces(row, backwards=backwards)
    index, among, fixed = _path(search)
    # In an index that is entered with conditions, few runs do not match.
    is_wide = bool(search.where) and search.many and index != "" and among == ""
    rare = search.narrow(search.runs // _RARE) if is_wide else None
    numbers = None
    if rare is not None:
        numbers = _scan_index(search, rare, pieces, wanted, at_least, backwards=backwards)
    elif index:
        numbers = _follow_index(search, (index, among, fixed), pieces, wanted, at_least, backwards=backwards)
    if numbers is None:
        numbers = _sort_matches(search, pieces, wanted, backwards=backwards)
    return numbers[::-1] if backwards else numbers


def _scan_index(
    search: _Search, rare: Source, pieces: Sequence[Piece], wanted: int, at_least: int, *, backwards: bool
) -> list[int] | None:
    """Return the rows of ``_walk`` by a scan of the sorted column's index for the rows of a source; None if these are
    far apart in it."""
    narrowing, narrow = search.narrowing
    among, source_values = rare.condition()
    among = among.replace("rowid IN", "passed.number IN", 1)
    numbers: list[int] = []
    for part in pieces:
        piece, bounds = f"FROM runs INDEXED BY {search.sorting.index} WHERE {part.condition}{narrowing}", part.values
        along = search.sorting.along(part, backwards=backwards)
        # The columns are read only for rows of the source.
        rows = search.connection.execute(
            f"SELECT passed.number AS number FROM (SELECT rowid AS number {piece} {along} LIMIT ?) AS passed"  # noqa: S608
            f" CROSS JOIN runs ON runs.rowid = passed.number {search.clause} AND {among} LIMIT ?",
            (*bounds, *narrow, _PASSED, *search.values, *source_values, wanted - len(numbers)),
        ).fetchall()
        numbers += [row["number"] for row in rows]
        if len(numbers) >= at_least:
            break
        if _is_longer(search, piece, (*bounds, *narrow), _PASSED):
            return None
    return numbers


def _follow_index(
    search: _Search,
    path: tuple[str, str, list[object]],
    pieces: Sequence[Piece],
    wanted: int,
    at_least: int,
    *,
    backwards: bool,
) -> list[int] | None:
    """Return the rows of ``_walk`` by looking up each row of an index in turn; None if matches are far apart in it."""
    sorting, where = search.sorting, search.where
    used = ", ".join(["rowid AS number", *columns_of(where)])
    narrowing, narrow = search.narrowing
    index, among, fixed = path
    numbers: list[int] = []
    for part in pieces:
        piece = f"FROM runs {index} WHERE {among}{part.condition}{narrowing}"
        values, along = (*fixed, *part.values, *narrow), sorting.along(part, backwards=backwards)
        for patience in (_PATIENCE, _MORE_PATIENCE * _PATIENCE) if where else (wanted,):
            within = f"SELECT {used} {piece} {along} LIMIT ?"
            rows = search.connection.execute(
                f"SELECT number FROM ({within}) {search.clause} LIMIT ?",  # noqa: S608
                (*values, patience, *search.values, wanted - len(numbers)),
            ).fetchall()
            enough = len(numbers) + len(rows) >= at_least
            if enough or not where or not _is_longer(search, piece, values, patience):
                break
            # At the rate of this piece: earlier ones, such as the runs with the same value, may have had many more.
            if len(rows) * _MORE_PATIENCE < at_least - len(numbers):
                return None
        else:
            return None
        numbers += [row["number"] for row in rows]
        if len(numbers) >= at_least:
            break
    return numbers


def _sort_matches(search: _Search, pieces: Sequence[Piece], wanted: int, *, backwards: bool) -> list[int]:
    """Return the rows of ``_walk`` by sorting all matching rows, or by a scan of the whole index of the sorted
    column."""
    sorting = search.sorting
    row_filter = search.row_filter() if search.where and search.narrow(search.runs // _MUCH_SHORTER) is None else None
    if row_filter is None:
        either = " OR ".join(f"({piece})" for piece, *_ in pieces)
        matching, values = search.matching()
        rows = search.connection.execute(
            f"SELECT rowid AS number {matching} AND ({either}) {sorting.clause(backwards=backwards)} LIMIT ?",
            (*values, *(bound for _, bounds, _ in pieces for bound in bounds), wanted),
        ).fetchall()
        return [row["number"] for row in rows]
    numbers: list[int] = []
    for part in pieces:
        rows = search.connection.execute(
            f"SELECT rowid AS number FROM runs INDEXED BY {sorting.index}"  # noqa: S608
            f" WHERE {part.condition} AND {row_filter[0]} {sorting.along(part, backwards=backwards)} LIMIT ?",
            (*part.values, *row_filter[1], wanted - len(numbers)),
        ).fetchall()
        numbers += [row["number"] for row in rows]
    return numbers


def _path(search: _Search) -> tuple[str, str, list[object]]:
    """Return the index to follow, the conditions with which it is entered, and their values: the index of the sorted
    column, or the one with the runs of one model, precision and delegate in order of age. Empty if there is none."""
    if not search.sorting.is_indexed:
        return "", "", []
    if search.sorting.column == "created_at":
        equal = {
            condition.column: condition.value
            for condition in search.where
            if condition.operator == "=" and not condition.negated and condition.value is not None
        }
        if equal.keys() >= set(_CONFIGURATION):
            among = " AND ".join(f"{column} = ?" for column in _CONFIGURATION)
            return "INDEXED BY runs_choice", f"{among} AND ", [equal[column] for column in _CONFIGURATION]
    return f"INDEXED BY {search.sorting.index}", "", []


_CONFIGURATION = ("model", "precision", "delegate")


def _is_longer(search: _Search, piece: str, bounds: Sequence[object], patience: int) -> bool:
    """Whether a part has more rows than ``patience``."""
    row = search.connection.execute(
        f"SELECT count(*) FROM (SELECT 1 {piece} LIMIT ?)",  # noqa: S608
        (*bounds, patience + 1),
    ).fetchone()
    return int(row[0]) > patience


def _slice(search: _Search, begin: int, size: int, total: int) -> list[int]:
    """Return the numbers of ``size`` rows from an index on, counted from the end if that is nearer."""
    from_end = begin > total // 2
    skipped = total - begin - size if from_end else begin
    if search.where and skipped == 0:
        return _walk(search, None, size, backwards=from_end)
    matching, values = search.matching() if search.where else ("FROM runs", [])
    rows = search.connection.execute(
        f"SELECT rowid AS number {matching} {search.sorting.clause(backwards=from_end)} LIMIT ? OFFSET ?",
        (*values, size, skipped),
    )
    numbers = [row["number"] for row in rows]
    return numbers[::-1] if from_end else numbers


def _rows(connection: sqlite3.Connection, numbers: Sequence[int], search: _Search | None = None) -> list[RunSummary]:
    """Return the summaries of the rows with these numbers in this order, without those that do not match ``search``."""
    clause, values = (search.clause.replace("WHERE", " AND", 1), search.values) if search is not None else ("", [])
    summaries = {
        row["wanted"]: summary_of(row)
        for row in connection.execute(
            f"SELECT {SELECTED}, rowid AS wanted FROM runs NOT INDEXED"  # noqa: S608
            f" WHERE rowid IN ({', '.join('?' * len(numbers))}){clause}",
            [*numbers, *values],
        )
    }
    return [summaries[number] for number in numbers if number in summaries]
