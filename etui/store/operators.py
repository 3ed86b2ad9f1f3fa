"""The operators of a run's profile as rows, with their origins."""

from __future__ import annotations

import sqlite3
from typing import Literal, overload

import msgspec

from etui.errors import UsageError
from etui.insight import Operator, Origin, Profile

Side = Literal["program", "eager"]

OPERATOR_COLUMNS = (
    "position", "name", "calls", "median_ms", "p90_ms", "share", "delegate", "subgraph", "module",
)  # fmt: skip
"""What operators can be sorted by."""

_UNKNOWN = Origin()


class OperatorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some operators of one side. ``total`` is how many meet the filter, ``share`` and ``median_ms`` their sums over
    all pages; ``positions`` are the operators' places in the order they ran."""

    total: int
    share: float
    median_ms: float
    operators: list[Operator]
    positions: list[int]


@overload
def without_operators(profile: Profile) -> Profile: ...
@overload
def without_operators(profile: None) -> None: ...
def without_operators(profile: Profile | None) -> Profile | None:
    """Return the part of a profile that is not stored as rows."""
    if profile is None:
        return None
    eager = msgspec.structs.replace(profile.eager, operators=[]) if profile.eager else None
    program = msgspec.structs.replace(profile.program, operators=[])
    return msgspec.structs.replace(profile, program=program, eager=eager)


def save_operators(connection: sqlite3.Connection, run_id: str, profile: Profile | None) -> None:
    """Store the operators of both sides, replacing those of the run."""
    connection.execute("DELETE FROM operators WHERE run = ?", (run_id,))
    connection.execute("DELETE FROM origins WHERE run = ?", (run_id,))
    if profile is None:
        return
    numbers: dict[bytes, int] = {}
    origins: list[Origin] = []
    for side, operators in _sides(profile):
        rows = []
        for position, operator in enumerate(operators):
            origin = operator.origin
            key = msgspec.json.encode(origin)
            number = numbers.setdefault(key, len(numbers))
            if number == len(origins):
                origins.append(origin)
            rows.append(
                (
                    run_id, side, position, operator.name, operator.calls, operator.median_ms, operator.p90_ms,
                    operator.share, operator.delegate, operator.subgraph, origin.module, number,
                )
            )  # fmt: skip
        connection.executemany("INSERT INTO operators VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO origins VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                run_id, number, origin.module, origin.module_type, msgspec.json.encode(origin.operators).decode(),
                msgspec.json.encode(origin.stack).decode(),
            )
            for number, origin in enumerate(origins)
        ),
    )  # fmt: skip


def with_operators_of(connection: sqlite3.Connection, run_id: str, profile: Profile) -> Profile:
    """Return a stored profile of a run with the operators of both sides."""
    origins = _origins(connection, run_id)
    operators: dict[str, list[Operator]] = {"program": [], "eager": []}
    for row in connection.execute("SELECT * FROM operators WHERE run = ? ORDER BY side, position", (run_id,)):
        operators[row["side"]].append(_operator(row, origins[row["origin"]]))
    eager = msgspec.structs.replace(profile.eager, operators=operators["eager"]) if profile.eager else None
    program = msgspec.structs.replace(profile.program, operators=operators["program"])
    return msgspec.structs.replace(profile, program=program, eager=eager)


def page(
    connection: sqlite3.Connection,
    run_id: str,
    side: Side,
    *,
    module: str | None,
    words: str,
    delegated: bool | None,
    order_by: str,
    descending: bool,
    limit: int | None,
    offset: int,
) -> OperatorPage:
    """A page of one side's operators; see ``Store.operators``. Raises UsageError for an unknown column."""
    if order_by not in OPERATOR_COLUMNS:
        raise UsageError(f"operators have no column {order_by!r}", f"there are {', '.join(OPERATOR_COLUMNS)}")
    clauses, values = ["run = ?", "side = ?"], [run_id, str(side)]
    if module:
        clauses.append("(module = ? OR substr(module, 1, ?) = ?)")
        values += [module, len(module) + 1, f"{module}."]  # type: ignore[list-item]
    elif module is not None:
        clauses.append("module = ''")
    for word in words.lower().split():
        clauses.append("instr(lower(name || ' ' || module || ' ' || coalesce(delegate, '')), ?)")
        values.append(word)
    if delegated is not None:
        clauses.append(f"delegate IS {'NOT ' if delegated else ''}NULL")
    where = " AND ".join(clauses)
    totals = connection.execute(
        f"SELECT count(*), coalesce(sum(share), 0.0), coalesce(sum(median_ms), 0.0) FROM operators WHERE {where}",  # noqa: S608
        values,
    ).fetchone()
    direction = "DESC" if descending else "ASC"
    rows = connection.execute(
        # The column was checked against this code's own list; every value is a parameter.
        f"SELECT * FROM operators WHERE {where} ORDER BY {order_by} {direction} NULLS LAST, position"  # noqa: S608
        " LIMIT ? OFFSET ?",
        (*values, -1 if limit is None else limit, offset),
    ).fetchall()
    origins = _origins(connection, run_id, {row["origin"] for row in rows})
    return OperatorPage(
        total=totals[0],
        share=totals[1],
        median_ms=totals[2],
        operators=[_operator(row, origins[row["origin"]]) for row in rows],
        positions=[row["position"] for row in rows],
    )


def module_sums(connection: sqlite3.Connection, run_id: str, side: Side) -> list[tuple[str, int, float, float]]:
    """For each module with operators of its own: its path, how many they are, and the sums of their medians and shares.

    In the order in which the modules first ran; the empty path stands for what is not known.
    """
    rows = connection.execute(
        "SELECT module, count(*), sum(median_ms), sum(share) FROM operators WHERE run = ? AND side = ?"
        " GROUP BY module ORDER BY min(position)",
        (run_id, side),
    )
    return [tuple(row) for row in rows]


def _sides(profile: Profile) -> list[tuple[Side, list[Operator]]]:
    return [("program", profile.program.operators), ("eager", profile.eager.operators if profile.eager else [])]


def _origins(connection: sqlite3.Connection, run_id: str, wanted: set[int] | None = None) -> dict[int, Origin]:
    """The run's origins by number; only the wanted ones, where those are few."""
    if wanted is not None and len(wanted) <= 500:
        marks = ", ".join("?" * len(wanted))
        rows = connection.execute(
            f"SELECT * FROM origins WHERE run = ? AND number IN ({marks})",  # noqa: S608 - marks alone
            (run_id, *wanted),
        )
    else:
        rows = connection.execute("SELECT * FROM origins WHERE run = ?", (run_id,))
    return {row["number"]: _origin(row) for row in rows}


def _origin(row: sqlite3.Row) -> Origin:
    operators = msgspec.json.decode(row["operators"], type=list[str])
    stack = msgspec.json.decode(row["stack"], type=list[str])
    if not (row["module"] or row["module_type"] or operators or stack):
        return _UNKNOWN
    return Origin(module=row["module"], module_type=row["module_type"], operators=operators, stack=stack)


def _operator(row: sqlite3.Row, origin: Origin) -> Operator:
    return Operator(
        name=row["name"],
        calls=row["calls"],
        median_ms=row["median_ms"],
        p90_ms=row["p90_ms"],
        share=row["share"],
        delegate=row["delegate"],
        subgraph=row["subgraph"],
        origin=origin,
    )
