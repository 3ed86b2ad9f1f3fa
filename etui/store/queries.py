"""Reading and deleting runs: filtered and sorted pages of summaries, counts, ids from prefixes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from etui.errors import UsageError
from etui.results import LIVE_STATUSES, RunSummary
from etui.store import blocks
from etui.store.columns import SUMMARY_COLUMNS, summary_of
from etui.store.schema import SCANNED

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "glob", "between", "is missing"]
_SYMBOLS: dict[str, str] = {"=": "IS", "!=": "IS NOT", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SELECT = ", ".join(SUMMARY_COLUMNS)

ANY_TEXT = "words"
"""Stands for a column in a Condition: everything of a run that a user would search for as words, in lower case."""
_FEW = 2_000
_NEAR = 5_000


class Condition(msgspec.Struct, frozen=True):
    """One condition on a column of ``SUMMARY_COLUMNS``, such as ``Condition("latency_median_ms", "<", 10.0)``.

    ``in`` wants a sequence of values; ``contains`` looks for text in the column, in upper or lower case, and ``glob``
    for a pattern with ``*``; ``between`` wants two values and leaves the second out; a column that is NULL meets no
    comparison but ``!=`` and ``is missing``. ``negated`` asks for the runs that do not meet it.
    """

    column: str
    operator: Operator
    value: object = None
    negated: bool = False


def summaries(
    connection: sqlite3.Connection,
    where: Sequence[Condition] = (),
    *,
    order_by: str = "created_at",
    descending: bool = True,
    limit: int | None = None,
    offset: int = 0,
) -> list[RunSummary]:
    """A page of runs. Runs without a value come last in either direction; equal values are ordered by age.

    Raises UsageError for a column or operator that does not exist.
    """
    _known_column(order_by)
    clause, values = _where(where)
    direction = "DESC" if descending else "ASC"
    # Following the sorted column's index past rows that do not match costs a look-up each: where they are rare, a scan
    # that keeps the best few is five times faster. The plus forbids the index; a limit on that column itself wants it.
    sort_key = f"+{order_by}" if where and all(condition.column != order_by for condition in where) else order_by
    rows = connection.execute(
        # Column names and operators were checked against this code's own lists; every value is a parameter.
        f"SELECT {_SELECT} FROM runs {clause}"  # noqa: S608
        f" ORDER BY {sort_key} {direction} NULLS LAST, rowid {direction} LIMIT ? OFFSET ?",
        (*values, -1 if limit is None else limit, offset),
    )
    return [summary_of(row) for row in rows]


def count(connection: sqlite3.Connection, where: Sequence[Condition] = ()) -> int:
    """How many runs meet the conditions. Raises UsageError as ``summaries`` does."""
    clause, values = _where(where)
    # Equality on one column is answered by its index; everything else by a scan, the shorter the better.
    source = "runs INDEXED BY runs_page" if where and not _indexed(where) and _scannable(where) else "runs"
    row = connection.execute(f"SELECT count(*) FROM {source} {clause}", values).fetchone()  # noqa: S608 - as above
    return int(row[0])


def page(
    connection: sqlite3.Connection,
    where: Sequence[Condition] = (),
    *,
    order_by: str,
    descending: bool,
    limit: int,
    offset: int,
    around: str | None,
    before: int,
) -> tuple[int, int, int | None, list[RunSummary]]:
    """A page for a table: how many runs there are in all, the place of the page's first and of the run ``around``,
    and the runs. Raises UsageError as ``summaries`` does."""
    few = _few(connection, where, order_by=order_by, descending=descending)
    if few is not None:
        total, place = len(few), few.index(around) if around in few else None
        first = max(0, min(offset if place is None else place - before, total - limit))
        return total, first, place, _rows(connection, "id", few[first : first + limit])
    total, place = count(connection, where), None
    if around is not None:
        place = position(connection, around, where, order_by=order_by, descending=descending)
    first = max(0, min(offset if place is None else place - before, total - limit))
    clause, values = _where(where)
    # What lies beyond the middle is nearer from the end.
    from_end = first > total // 2
    size = min(limit, total - first)
    skipped = total - first - size if from_end else first
    direction = "DESC" if descending != from_end else "ASC"
    rows = connection.execute(
        f"SELECT rowid AS number FROM runs {clause} ORDER BY {order_by} {direction}"  # noqa: S608 - as above
        f" NULLS {'FIRST' if from_end else 'LAST'}, rowid {direction} LIMIT ? OFFSET ?",
        (*values, size, skipped),
    )
    numbers = [row["number"] for row in rows]
    if from_end:
        numbers.reverse()
    return total, first, place, _rows(connection, "rowid", numbers)


def _few(
    connection: sqlite3.Connection, where: Sequence[Condition], *, order_by: str, descending: bool
) -> list[str] | None:
    """The ids in order where only few runs meet the conditions, found in one scan; None where there are more.

    Following the order's own index instead would meet those few only after most of the others.
    """
    if not where or (_indexed(where) and count(connection, where) > _FEW):
        return None
    _known_column(order_by)
    clause, values = _where(where)
    source = "runs INDEXED BY runs_page" if _scannable(where, order_by) else "runs"
    rows = connection.execute(
        f"SELECT id, rowid AS number, {order_by} AS value FROM {source} {clause} LIMIT ?",  # noqa: S608 - as above
        (*values, _FEW + 1),
    ).fetchall()
    if len(rows) > _FEW:
        return None
    known = sorted(
        (row for row in rows if row["value"] is not None),
        key=lambda row: (row["value"], row["number"]),
        reverse=descending,
    )
    missing = sorted((row for row in rows if row["value"] is None), key=lambda row: row["number"], reverse=descending)
    return [row["id"] for row in (*known, *missing)]


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


def position(
    connection: sqlite3.Connection,
    run_id: str,
    where: Sequence[Condition] = (),
    *,
    order_by: str = "created_at",
    descending: bool = True,
) -> int | None:
    """How many runs come before this one in ``summaries`` with the same arguments; None where it is not among them."""
    _known_column(order_by)
    clause, values = _where(where)
    conditions = f"{clause} AND" if clause else "WHERE"
    row = connection.execute(
        f"SELECT rowid AS number, {order_by} AS value FROM runs {conditions} id = ?",  # noqa: S608 - as above
        (*values, run_id),
    ).fetchone()
    if row is None:
        return None
    before = ">" if descending else "<"
    value, number = row["value"], row["number"]
    # Two counts, for an index answers each; joined by OR they would be a scan.
    if value is None:
        earlier = [(f"{order_by} IS NOT NULL", []), (f"{order_by} IS NULL AND rowid {before} ?", [number])]
    else:
        earlier = [(f"{order_by} {before} ?", [value]), (f"{order_by} = ? AND rowid {before} ?", [value, number])]
    unfiltered = sum(
        int(connection.execute(f"SELECT count(*) FROM runs WHERE {one}", bounds).fetchone()[0])  # noqa: S608
        for one, bounds in earlier
    )
    if not where:
        return unfiltered
    scan = unfiltered > _NEAR and _scannable(where, order_by)
    source = "runs INDEXED BY runs_page" if scan else "runs"
    if scan:
        sql = " OR ".join(f"({one})" for one, _ in earlier)
        earlier = [(f"({sql})", [bound for _, bounds in earlier for bound in bounds])]
    return sum(
        int(
            connection.execute(
                f"SELECT count(*) FROM {source} {conditions} {one}",  # noqa: S608 - as above
                (*values, *bounds),
            ).fetchone()[0]
        )
        for one, bounds in earlier
    )


def run_ids(connection: sqlite3.Connection, where: Sequence[Condition] = ()) -> list[str]:
    """The ids of the runs that meet the conditions, in no order. Raises UsageError as ``summaries`` does."""
    clause, values = _where(where)
    return [row["id"] for row in connection.execute(f"SELECT id FROM runs {clause}", values)]  # noqa: S608 - as above


def distinct(connection: sqlite3.Connection, column: str, limit: int) -> list[str]:
    """The texts that stand in a column, in order, at most ``limit``. Raises UsageError for an unknown column."""
    _known_column(column)
    rows = connection.execute(
        f"SELECT DISTINCT {column} AS value FROM runs WHERE {column} IS NOT NULL ORDER BY 1 LIMIT ?",  # noqa: S608
        (limit,),
    )
    return [str(row["value"]) for row in rows]


def summary(connection: sqlite3.Connection, run_id: str) -> RunSummary:
    """One run's summary. Raises UsageError where there is none."""
    row = connection.execute(f"SELECT {_SELECT} FROM runs WHERE id = ?", (run_id,)).fetchone()  # noqa: S608 - as above
    if row is None:
        raise UsageError(f"there is no run {run_id}", "see etui runs")
    return summary_of(row)


def session_run_ids(connection: sqlite3.Connection, session_id: str) -> list[str]:
    """The ids of a session's runs, in their order."""
    rows = connection.execute("SELECT id FROM runs WHERE session = ? ORDER BY rowid", (session_id,))
    return [row["id"] for row in rows]


def resolve(connection: sqlite3.Connection, prefix: str) -> str:
    """The one run whose id is or begins with ``prefix``. Raises UsageError where there is none or more than one."""
    if not prefix:
        raise UsageError("an empty text is no run's id", "see etui runs")
    exact = connection.execute("SELECT id FROM runs WHERE id = ?", (prefix,)).fetchone()
    if exact is not None:
        return prefix
    rows = connection.execute(
        "SELECT id, model, precision, delegate FROM runs WHERE id >= ? AND id < ? ORDER BY id LIMIT 6",
        (prefix, prefix + "\U0010ffff"),
    ).fetchall()
    if not rows:
        raise UsageError(f"there is no run {prefix}", "see etui runs")
    if len(rows) > 1:
        names = [f"{row['id']} ({row['model']} {row['precision']}/{row['delegate']})" for row in rows[:5]]
        more = " and more" if len(rows) > 5 else ""
        raise UsageError(f"{prefix} stands for several runs", f"give more of the id: {', '.join(names)}{more}")
    return str(rows[0]["id"])


def annotate(connection: sqlite3.Connection, run_id: str, note: str | None, tags: Sequence[str] | None) -> None:
    """Set a run's note or tags, leaving what is None as it is. Raises UsageError where there is no such run."""
    encoded = None if tags is None else msgspec.json.encode(list(tags)).decode()
    cursor = connection.execute(
        "UPDATE runs SET note = coalesce(?, note), tags = coalesce(?, tags) WHERE id = ?", (note, encoded, run_id)
    )
    if cursor.rowcount == 0:
        raise UsageError(f"there is no run {run_id}", "see etui runs")


def delete_runs(connection: sqlite3.Connection, run_ids: Sequence[str]) -> int:
    """Delete runs with all that is theirs alone, and return how many were there.

    Raises UsageError, deleting nothing, where one is live or its session is still being worked on.
    """
    session_ids = set()
    deleted = 0
    for run_id in dict.fromkeys(run_ids):
        row = connection.execute(
            "SELECT status, session, claimed_by, sessions.finished_at FROM runs"
            " JOIN sessions ON sessions.id = session WHERE runs.id = ?",
            (run_id,),
        ).fetchone()
        if row is None:
            continue
        if row["status"] in LIVE_STATUSES:
            raise UsageError(f"run {run_id} is {row['status']}", f"cancel it first: etui cancel {run_id}")
        if row["claimed_by"] is not None and row["finished_at"] is None:
            raise UsageError(f"the session of run {run_id} is still being measured", "wait for its end or cancel it")
        session_ids.add(row["session"])
        deleted += connection.execute("DELETE FROM runs WHERE id = ?", (run_id,)).rowcount
    for session_id in session_ids:
        connection.execute(
            "DELETE FROM sessions WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE session = ?)",
            (session_id, session_id),
        )
    blocks.delete_unused(connection, session_ids)
    connection.execute(
        "DELETE FROM environments WHERE NOT EXISTS (SELECT 1 FROM runs WHERE environment = environments.id)"
    )
    return deleted


def _where(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    parts, values = [], []
    for condition in conditions:
        part, bound = _condition(condition)
        # Under NOT what is NULL would stay NULL and so be neither found nor left out.
        parts.append(f"NOT coalesce({part}, 0)" if condition.negated else part)
        values += bound
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def _condition(condition: Condition) -> tuple[str, list[object]]:
    operator, value = condition.operator, condition.value
    column = ANY_TEXT if condition.column == ANY_TEXT else _known_column(condition.column)
    if operator == "is missing":
        return f"{column} IS NULL", []
    if operator == "contains" and column == ANY_TEXT:
        return f"instr({column}, lower(?)) > 0", [value]
    if operator == "contains":
        return f"instr(lower({column}), lower(?)) > 0", [value]
    if operator == "glob":
        # Only the star is a wildcard; brackets and question marks in a name stand for themselves.
        return f"lower({column}) GLOB lower(?)", [re.sub(r"([\[?])", r"[\1]", str(value))]
    if operator == "in":
        options = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        return f"{column} IN ({', '.join('?' * len(options))})", options
    if operator == "between":
        begins, ends = value if isinstance(value, (list, tuple)) else (value, value)
        return f"({column} >= ? AND {column} < ?)", [begins, ends]
    if operator in _SYMBOLS:
        return f"{column} {_SYMBOLS[operator]} ?", [value]
    raise UsageError(f"{operator} is no comparison", f"one of {', '.join(get_args(Operator))}")


def _indexed(where: Sequence[Condition]) -> bool:
    """Whether an index of one column answers these conditions."""
    operators = ("=", "in", "<", "<=", ">", ">=", "between")
    return len(where) == 1 and where[0].operator in operators and not where[0].negated


def _scannable(where: Sequence[Condition], *columns: str) -> bool:
    return {*columns, *(condition.column for condition in where)} <= set(SCANNED)


def _known_column(name: str) -> str:
    if name not in SUMMARY_COLUMNS:
        raise UsageError(f"runs have no column {name}", f"one of {', '.join(SUMMARY_COLUMNS)}")
    return name
