"""Conditions on runs, and the SQL they become: names checked against lists, every value a parameter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from etui.errors import UsageError
from etui.store.columns import SUMMARY_COLUMNS
from etui.store.schema import SCANNED

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "glob", "between", "is missing"]
_SYMBOLS: dict[str, str] = {"=": "IS", "!=": "IS NOT", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

ANY_TEXT = "words"
"""Stands for a column in a Condition: everything of a run that a user would search for as words, in lower case."""

SCAN = "runs INDEXED BY runs_page"
"""What to select from where every row is to be looked at: an index that holds the searched columns and little else."""


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


def where_clause(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    """The conditions as a WHERE clause, empty without any, and its values. Raises UsageError for a column or operator
    that does not exist."""
    parts, values = [], []
    for condition in conditions:
        part, bound = predicate(condition)
        parts.append(part)
        values += bound
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def predicate(condition: Condition, column: str | None = None) -> tuple[str, list[object]]:
    """A condition as an SQL expression and its values; asked of ``column`` (an SQL name) instead of the condition's own
    column if that is given. Raises UsageError for a column or operator that does not exist."""
    own = ANY_TEXT if condition.column == ANY_TEXT else known_column(condition.column)
    part, values = _comparison(column or own, condition)
    # Under NOT what is NULL would stay NULL and so be neither found nor left out.
    return (f"NOT coalesce({part}, 0)" if condition.negated else part), values


def _comparison(column: str, condition: Condition) -> tuple[str, list[object]]:
    operator, value = condition.operator, condition.value
    if operator == "is missing":
        return f"{column} IS NULL", []
    if operator == "contains" and condition.column == ANY_TEXT:
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
    if operator == "=" and value is not None:
        return f"{column} = ?", [value]
    if operator in _SYMBOLS:
        return f"{column} {_SYMBOLS[operator]} ?", [value]
    raise UsageError(f"{operator} is no comparison", f"one of {', '.join(get_args(Operator))}")


def is_scannable(where: Sequence[Condition], *columns: str) -> bool:
    """Whether ``SCAN`` holds the columns of these conditions and these other columns."""
    return {*columns, *(condition.column for condition in where)} <= set(SCANNED)


def known_column(name: str) -> str:
    """The name, where runs have such a column. Raises UsageError."""
    if name not in SUMMARY_COLUMNS:
        raise UsageError(f"runs have no column {name}", f"one of {', '.join(SUMMARY_COLUMNS)}")
    return name
