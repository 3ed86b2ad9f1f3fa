"""The operators of a run's profile as rows, with their origins."""

from __future__ import annotations

import sqlite3
from typing import Literal, overload

import msgspec

from etui.insight import Operator, Origin, Profile

Side = Literal["program", "eager"]

_UNKNOWN = Origin()


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


def _sides(profile: Profile) -> list[tuple[Side, list[Operator]]]:
    return [("program", profile.program.operators), ("eager", profile.eager.operators if profile.eager else [])]


def _origins(connection: sqlite3.Connection, run_id: str) -> dict[int, Origin]:
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
