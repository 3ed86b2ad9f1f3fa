"""Conditions on runs and their translation to SQL: column names are checked, and every value is a parameter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from etui.errors import UsageError
from etui.store.columns import SCANNED, SUMMARY_COLUMNS

Operator = Literal[
    "=", "!=", "<", "<=", ">", ">=", "in", "contains", "glob", "between", "within", "of newest", "is missing", "any",
    "all",
]  # fmt: skip
_SYMBOLS: dict[str, str] = {"=": "IS", "!=": "IS NOT", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

ANY_TEXT = "words"
"""Column of a Condition that searches all text columns of a run, in lower case."""

GROUP = ""
"""Column of a Condition that consists of other conditions."""

SCAN = "runs INDEXED BY runs_page"
"""FROM clause for scanning all rows: an index that contains little more than the searched columns."""

EMPTY = {"note": "''", "tags": "'[]'", "flags": "'[]'"}
"""How columns store that there is nothing, other than as NULL."""


class Condition(msgspec.Struct, frozen=True):
    """One condition on a column of ``SUMMARY_COLUMNS``, such as ``Condition("latency_median_ms", "<", 10.0)``.

    ``in`` takes a sequence of values; ``contains`` searches for text in the column, ignoring case, and ``glob`` for a
    pattern with ``*``; ``between`` takes two values and excludes the second, ``within`` includes both; ``of newest``
    takes no value and matches runs with the same value as the newest run. NULL matches only ``!=`` and ``is missing``,
    which an empty note or list of tags or flags also matches.
    ``negated`` matches the runs that do not match otherwise. A condition on the column ``GROUP`` has the operator
    ``any`` or ``all`` and a tuple of conditions as its value.
    """

    column: str
    operator: Operator
    value: object = None
    negated: bool = False


def where_clause(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    """Return the conditions as a WHERE clause, empty if there are none, and its values. Raises UsageError for an
    unknown column or operator."""
    parts, values = [], []
    for condition in conditions:
        part, bound = predicate(condition)
        parts.append(part)
        values += bound
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def predicate(condition: Condition, column: str | None = None) -> tuple[str, list[object]]:
    """Return a condition as an SQL expression and its values. ``column`` is an SQL name that replaces the column of the
    condition. Raises UsageError for an unknown column or operator."""
    if condition.operator in ("any", "all"):
        part, values = _group(condition)
    else:
        default = ANY_TEXT if condition.column == ANY_TEXT else known_column(condition.column)
        part, values = _comparison(column or default, condition)
    # NOT NULL is NULL, which would not match.
    return (f"NOT coalesce({part}, 0)" if condition.negated else part), values


def members(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions of a group."""
    assert isinstance(condition.value, tuple)
    return condition.value


def columns_of(conditions: Sequence[Condition]) -> list[str]:
    """Return the columns of conditions and of their groups, each once."""
    columns: dict[str, None] = {}
    for condition in conditions:
        if condition.column == GROUP:
            columns.update(dict.fromkeys(columns_of(members(condition))))
        else:
            columns[condition.column] = None
    return list(columns)


def negation(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that matches the runs that do not match all of these conditions. Groups are resolved, so
    that an index can answer their members."""
    opposites = tuple(_opposite(condition) for condition in conditions)
    return opposites[0] if len(opposites) == 1 else Condition(GROUP, "any", opposites)


def _opposite(condition: Condition) -> Condition:
    if condition.column != GROUP or condition.negated:
        return msgspec.structs.replace(condition, negated=not condition.negated)
    opposites = tuple(_opposite(member) for member in members(condition))
    return Condition(GROUP, "all" if condition.operator == "any" else "any", opposites)


def _group(condition: Condition) -> tuple[str, list[object]]:
    parts, values = [], []
    for member in members(condition):
        part, bound = predicate(member)
        parts.append(part)
        values += bound
    joined = (" OR " if condition.operator == "any" else " AND ").join(parts)
    return f"({joined or int(condition.operator == 'all')})", values


def _comparison(column: str, condition: Condition) -> tuple[str, list[object]]:
    operator, value = condition.operator, condition.value
    if operator == "is missing":
        empty = EMPTY.get(column)
        return (f"({column} IS NULL OR {column} = {empty})" if empty else f"{column} IS NULL"), []
    if operator == "contains" and condition.column == ANY_TEXT:
        return f"instr({column}, lower(?)) > 0", [value]
    if operator == "contains":
        return f"instr(lower({column}), lower(?)) > 0", [value]
    if operator == "glob":
        # Only the star is a wildcard; brackets and question marks are literal.
        return f"lower({column}) GLOB lower(?)", [re.sub(r"([\[?])", r"[\1]", str(value))]
    if operator == "in":
        options = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        return f"{column} IN ({', '.join('?' * len(options))})", options
    if operator in ("between", "within"):
        begins, ends = value if isinstance(value, (list, tuple)) else (value, value)
        return f"({column} >= ? AND {column} {'<' if operator == 'between' else '<='} ?)", [begins, ends]
    if operator == "of newest":
        newest = (
            f"SELECT newest.{column} FROM runs AS newest ORDER BY newest.created_at DESC, newest.rowid DESC LIMIT 1"  # noqa: S608
        )
        return f"{column} = ({newest})", []
    if operator == "=" and value is not None:
        return f"{column} = ?", [value]
    if operator in _SYMBOLS:
        return f"{column} {_SYMBOLS[operator]} ?", [value]
    raise UsageError(f"{operator} is not a comparison", f"one of {', '.join(get_args(Operator))}")


def is_scannable(where: Sequence[Condition], *columns: str) -> bool:
    """Whether ``SCAN`` contains the columns of the conditions and these other columns."""
    return {*columns, *columns_of(where)} <= SCANNED


def known_column(name: str) -> str:
    """Return the name if runs have such a column, else raise UsageError."""
    if name not in SUMMARY_COLUMNS:
        raise UsageError(f"runs have no column {name}", f"one of {', '.join(SUMMARY_COLUMNS)}")
    return name
