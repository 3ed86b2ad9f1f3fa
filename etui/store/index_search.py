"""Find the rows that match a condition in an index, so that a filter does not have to read every run.

A condition on text is evaluated on the distinct values of its column, which are few even with many runs: part of a
model name is translated to the models that contain it, and an index has the runs of those.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Sequence

import msgspec

from etui.store.columns import IN_ORDER
from etui.store.conditions import (
    ANY_TEXT,
    EMPTY,
    GROUP,
    Condition,
    known_column,
    members,
    negation,
    predicate,
    where_clause,
)
from etui.store.schema import UNUSUAL_ID

WORDS = ("id", "model", "precision", "delegate", "status", "weights", "box", "verdict", "note", "tags", "flags")
"""The columns that ``words`` consists of, separated by spaces."""

_FEW_VALUES = 300
"""If a column has more distinct values than this, its index is searched instead of the values."""

INDEXES = {"id": "sqlite_autoindex_runs_1", "session": "runs_session", "error": "runs_by_error"} | {
    column: f"runs_by_{column}" for column in IN_ORDER - {"id"}
}
"""The index of each column that has one; that of ``error`` contains only runs with an error."""

_RANGES = ("=", "in", "<", "<=", ">", ">=", "between", "within", "of newest", "is missing")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_LAST = "\U0010ffff"
_MAX_PARTS = 60
"""How many parts the rows of a group may have; SQLite allows 500 in one SELECT."""
_FEW_OF_ALL = 4_000
"""A group of conditions that must all hold is answered by an index if one of them has at most this number of rows."""
_MAX_TRIGRAMS = 16
"""How many trigrams a query uses; more would hardly reduce the matches."""
_ASCII_PREFIX = re.compile(r"[\x01-)+-\x7f]{0,3}")
"""The start of a pattern before its first ``*``, limited in length because of its upper- and lower-case spellings."""

Part = tuple[str, tuple[object, ...]]
"""A SELECT of row numbers (``number``) that reads one index and at most few rows, and its values."""


class Source(msgspec.Struct, frozen=True):
    """The numbers of the rows that match a condition, from one or several indexes. If the parts ``overlap``, a row can
    be in more than one."""

    parts: tuple[Part, ...]
    overlap: bool = False

    def union(self) -> Part:
        """Return all parts as one SELECT without duplicates."""
        if not self.parts:
            return "SELECT 0 AS number WHERE 0", ()
        operator = " UNION " if self.overlap else " UNION ALL "
        return operator.join(select for select, _ in self.parts), self._values()

    def condition(self) -> Part:
        """Return an SQL expression that is true for these rows."""
        select = " UNION ALL ".join(select for select, _ in self.parts) or "SELECT 0 AS number WHERE 0"
        return f"rowid IN ({select})", self._values()

    def _values(self) -> tuple[object, ...]:
        return tuple(value for _, values in self.parts for value in values)


NOTHING = Source(())


def source(connection: sqlite3.Connection, condition: Condition) -> Source | None:
    """Return the rows that match a condition; None if no index answers it. Raises UsageError for an unknown column or
    operator."""
    if condition.column == ANY_TEXT:
        return _anywhere(connection, condition)
    if condition.column == GROUP:
        if condition.negated:
            return source(connection, negation([msgspec.structs.replace(condition, negated=False)]))
        return _OF_GROUPS[condition.operator](connection, members(condition))
    column = known_column(condition.column)
    if column not in INDEXES:
        return None
    if column == "error" and _matches_missing(connection, condition):
        # The index contains only runs with an error.
        return None
    if condition.operator == "is missing" and condition.negated:
        return _present(column)
    if condition.operator in _RANGES and not condition.negated:
        if condition.operator == "in" and not condition.value:
            return NOTHING
        return Source((_part(column, *predicate(condition)),))
    if column in ("id", "session"):
        return None if condition.negated or condition.operator == "!=" else _OF_IDS[column](condition)
    return _by_values(connection, column, condition)


def values_with_word(connection: sqlite3.Connection, condition: Condition, column: str) -> Condition | None:
    """Return the condition on a text column to which a search in all text columns is equal, because no other column has
    the word; None if another column has it, or if the column has too many values."""
    if condition.column != ANY_TEXT or condition.negated or column not in WORDS or " " in str(condition.value):
        return None
    for other in WORDS:
        if other != column:
            rows = source(connection, Condition(other, "contains", condition.value))
            if rows is None or size_up_to(connection, rows, 0):
                return None
    found = _matching_values(connection, column, Condition(column, "contains", condition.value))
    return None if found is None else Condition(column, "in", found[0])


def exact_size(connection: sqlite3.Connection, rows: Source) -> int:
    """Return the number of rows of a source."""
    if rows.overlap:
        select, values = rows.union()
        return _count(connection, select, values)
    return sum(_count(connection, *part) for part in rows.parts)


def size_up_to(connection: sqlite3.Connection, rows: Source, most: int) -> int:
    """Return the number of rows of a source, counting a row in two parts twice, but at most ``most`` + 1."""
    size = 0
    for select, values in rows.parts:
        if size <= most:
            size += _count(connection, f"{select} LIMIT ?", (*values, most + 1 - size))
    return size


def held(connection: sqlite3.Connection, sources: Sequence[Source], most: int) -> Source | None:
    """Return the rows that are in all of these sources as a source with a list of numbers, so that they are searched
    only once; None if they are more than ``most``, counting a row in two parts of the first source twice."""
    first, *others = (rows.condition() for rows in sources)
    select, values = first[0].removeprefix("rowid IN "), first[1]
    among = " AND ".join(other.replace("rowid IN", "number IN", 1) for other, _ in others) or "1"
    count, rows = connection.execute(
        f"SELECT count(*), json_group_array(number) FROM (SELECT number FROM {select} WHERE {among} LIMIT ?)",  # noqa: S608
        (*values, *(value for _, bound in others for value in bound), most + 1),
    ).fetchone()
    return None if count > most else Source((("SELECT value AS number FROM json_each(?)", (rows,)),))


def distinct(connection: sqlite3.Connection, column: str, limit: int) -> list[str]:
    """Return the distinct texts in a column, in order, at most ``limit``. Raises UsageError for an unknown column."""
    present = _present_values(known_column(column))
    rows = connection.execute(f"{present} SELECT value FROM present LIMIT ?", (limit,))  # noqa: S608 - a known name
    return [str(row["value"]) for row in rows if row["value"] is not None]


def _count(connection: sqlite3.Connection, select: str, values: Sequence[object]) -> int:
    return int(connection.execute(f"SELECT count(*) FROM ({select})", tuple(values)).fetchone()[0])  # noqa: S608


def _part(column: str, expression: str, values: Sequence[object]) -> Part:
    known = " AND error IS NOT NULL" if column == "error" else ""
    return (
        f"SELECT rowid AS number FROM runs INDEXED BY {INDEXES[column]} WHERE {expression}{known}",  # noqa: S608
        tuple(values),
    )


def _present(column: str) -> Source:
    """Return the rows with a value, as two ranges: IS NOT NULL would read the whole index."""
    if column == "error":
        return Source((_part(column, "1", ()),))
    if column in EMPTY:
        return Source(
            (_part(column, f"{column} < {EMPTY[column]}", ()), _part(column, f"{column} > {EMPTY[column]}", ()))
        )
    return Source((_part(column, f"{column} < ''", ()), _part(column, f"{column} >= ''", ())))


def _matches_missing(connection: sqlite3.Connection, condition: Condition) -> bool:
    expression, values = predicate(condition, "NULL")
    return bool(connection.execute(f"SELECT {expression}", values).fetchone()[0])


def _present_values(column: str) -> str:
    """Return SQL for a table ``present`` of the distinct values of a column, each found in the index after the previous
    one; the last ``value`` is NULL."""
    known = " WHERE error IS NOT NULL" if column == "error" else ""
    return (
        f"WITH RECURSIVE present(value) AS (SELECT min({column}) FROM runs{known} UNION ALL"  # noqa: S608
        f" SELECT (SELECT min({column}) FROM runs WHERE {column} > present.value) FROM present"
        f" WHERE present.value IS NOT NULL)"
    )


def _by_values(connection: sqlite3.Connection, column: str, condition: Condition) -> Source | None:
    """Return the rows with those values of a column that match the condition; None if the column has too many
    values."""
    found = _matching_values(connection, column, condition)
    if found is None:
        return None if condition.negated or condition.operator == "!=" else _by_scan(connection, column, condition)
    matching, missing_matches = found
    parts = []
    if matching:
        parts.append(_part(column, f"{column} IN ({', '.join('?' * len(matching))})", matching))
    if missing_matches:
        parts.append(_part(column, f"{column} IS NULL", ()))
    return Source(tuple(parts))


def _matching_values(
    connection: sqlite3.Connection, column: str, condition: Condition
) -> tuple[list[object], bool] | None:
    """Return the values of a column that match a condition, and whether a missing value does; None if the column has
    too many values."""
    expression, values = predicate(condition, "value")
    rows = connection.execute(
        f"{_present_values(column)} SELECT value, {expression} AS matches FROM present LIMIT ?",  # noqa: S608
        (*values, _FEW_VALUES + 2),
    ).fetchall()
    if rows[-1]["value"] is not None:
        return None
    missing = rows.pop()
    return [row["value"] for row in rows if row["matches"]], bool(missing["matches"])


def _by_scan(connection: sqlite3.Connection, column: str, condition: Condition) -> Source:
    """Return the rows that match a condition on text, by a scan of the column's index without its empty texts."""
    expression, values = predicate(condition)
    for_empty, empty_values = predicate(condition, "''")
    if not connection.execute(f"SELECT {for_empty}", empty_values).fetchone()[0]:
        expression = f"{column} > '' AND {expression}"
    return Source((_part(column, expression, values),))


def _ids(condition: Condition) -> Source:
    """Return the rows whose id matches the condition."""
    expression, values = predicate(condition)
    unusual: Part = (
        f"SELECT rowid AS number FROM runs INDEXED BY runs_unusual_id WHERE {UNUSUAL_ID} AND {expression}",  # noqa: S608
        tuple(values),
    )
    text = str(condition.value)
    if not _HEXADECIMAL.issuperset(text.replace("*", "") if condition.operator == "glob" else text):
        return Source((unusual,))
    if condition.operator == "contains":
        return Source((_ids_with(text.lower()), unusual), overlap=True)
    prefix = text.split("*")[0].lower()
    if not prefix:
        return Source((_part("id", expression, values),))
    within = f"id >= ? AND id < ? AND NOT ({UNUSUAL_ID})"
    return Source((_part("id", f"{within} AND {expression}", (prefix, prefix + _LAST, *values)), unusual))


def _ids_with(word: str) -> Part:
    """Return the rows whose id contains a lower-case hexadecimal word."""
    trigrams = {word[start : start + 3] for start in range(min(len(word) - 2, _MAX_TRIGRAMS))}
    if not trigrams:
        return _part("id", "instr(id, ?) > 0", (word,))
    candidates = "SELECT rowid AS number FROM id_parts WHERE id_parts MATCH ?"
    query = " AND ".join(f'"{trigram}"' for trigram in sorted(trigrams))
    if len(word) == 3:
        return candidates, (query,)
    return f"SELECT rowid AS number FROM runs WHERE rowid IN ({candidates}) AND instr(id, ?) > 0", (query, word)  # noqa: S608


def _sessions(condition: Condition) -> Source:
    """Return the runs of the sessions whose id matches the condition; of a prefix, by ranges of its spellings."""
    expression, values = predicate(condition, "sessions.id")
    ranges: list[Part] = [("1", ())]
    if condition.operator == "glob" and (prefix := _ASCII_PREFIX.match(str(condition.value))[0]):  # type: ignore[index]
        starts = {"".join(letters) for letters in itertools.product(*zip(prefix.lower(), prefix.upper(), strict=True))}
        ranges = [
            ("sessions.id >= ? AND sessions.id < ?", (start, start[:-1] + chr(ord(start[-1]) + 1)))
            for start in sorted(starts)
        ]
    among = " UNION ALL ".join(
        f"SELECT sessions.id FROM sessions WHERE {within} AND {expression}"  # noqa: S608
        for within, _ in ranges
    )
    bound = [value for _, ends in ranges for value in (*ends, *values)]
    return Source((_part("session", f"session IN ({among})", bound),))


_OF_IDS = {"id": _ids, "session": _sessions}


def _any_of(connection: sqlite3.Connection, conditions: Sequence[Condition]) -> Source | None:
    """Return the rows that match one of the conditions; None if an index is missing for one of them."""
    parts: list[Part] = []
    for condition in conditions:
        rows = source(connection, condition)
        if rows is None or len(parts) + len(rows.parts) > _MAX_PARTS:
            return None
        parts += rows.parts
    return Source(tuple(parts), overlap=len(parts) > 1)


def _all_of(connection: sqlite3.Connection, conditions: Sequence[Condition]) -> Source | None:
    """Return the rows that match all conditions, which are looked up in those of one; None if none of them has few."""
    least, fewest = _FEW_OF_ALL + 1, None
    for condition in conditions:
        rows = source(connection, condition)
        if rows is not None and (size := size_up_to(connection, rows, least - 1)) < least:
            least, fewest = size, rows
    if fewest is None:
        return None
    among, numbers = fewest.condition()
    clause, values = where_clause(conditions)
    select = f"SELECT rowid AS number FROM runs NOT INDEXED {clause} AND {among}"  # noqa: S608 - checked names
    return Source(((select, (*values, *numbers)),))


_OF_GROUPS = {"any": _any_of, "all": _all_of}


def _anywhere(connection: sqlite3.Connection, condition: Condition) -> Source | None:
    """Return the rows with a word in any of their columns. None for text with a space, which can span two columns."""
    word = str(condition.value)
    if condition.negated or not word or " " in word:
        return None
    parts: list[Part] = []
    for column in WORDS:
        rows = source(connection, Condition(column, "contains", word))
        if rows is None:
            return None
        parts += rows.parts
    return Source(tuple(parts), overlap=len(parts) > 1)
