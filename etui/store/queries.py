"""Queries over the runs table: summaries that match conditions, ids from prefixes, notes, deletion."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from etui.errors import UsageError
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES
from etui.store import blocks, run_pages
from etui.store.columns import SELECTED, summary_of
from etui.store.conditions import Condition, columns_of, known_column, where_clause

_MAX_INDEXED = 1_000
"""Up to this limit, runs are searched with ``run_pages`` instead of reading every match."""


def unknown_run(run_id: str) -> UsageError:
    """Return the error for a run that is not in the database."""
    return UsageError(f"there is no run {run_id}", "see etui runs", screen_hint="")


def summaries(
    connection: sqlite3.Connection,
    where: Sequence[Condition] = (),
    *,
    order_by: str = "created_at",
    descending: bool = True,
    limit: int | None = None,
    offset: int = 0,
) -> list[RunSummary]:
    """Return a page of runs. Runs without a value come last in either direction; equal values are ordered by age.

    Raises UsageError for a column or operator that does not exist.
    """
    known_column(order_by)
    if limit is not None and limit <= _MAX_INDEXED and not offset:
        return run_pages.first(connection, where, run_pages.Sorting(column=order_by, descending=descending), limit)
    clause, values = where_clause(where)
    direction = "DESC" if descending else "ASC"
    # Following the index of the sorted column costs a look-up for each row that does not match: if matches are rare, a
    # scan that keeps the best rows is five times faster. The plus disables the index, except for a condition on that
    # column itself.
    sort_key = f"+{order_by}" if where and order_by not in columns_of(where) else order_by
    rows = connection.execute(
        # Column names and operators were checked against constants; every value is a parameter.
        f"SELECT {SELECTED} FROM runs {clause}"  # noqa: S608
        f" ORDER BY {sort_key} {direction} NULLS LAST, rowid {direction} LIMIT ? OFFSET ?",
        (*values, -1 if limit is None else limit, offset),
    )
    return [summary_of(row) for row in rows]


def run_ids(connection: sqlite3.Connection, where: Sequence[Condition] = ()) -> list[str]:
    """Return the ids of the runs that match the conditions, in no particular order. Raises UsageError like
    ``summaries``."""
    matching, values = run_pages.matching(connection, where)
    return [row["id"] for row in connection.execute(f"SELECT id {matching}", values)]


def summary(connection: sqlite3.Connection, run_id: str) -> RunSummary:
    """Return the summary of one run. Raises UsageError if it does not exist."""
    row = connection.execute(f"SELECT {SELECTED} FROM runs WHERE id = ?", (run_id,)).fetchone()  # noqa: S608 - constants
    if row is None:
        raise unknown_run(run_id)
    return summary_of(row)


def resolve(connection: sqlite3.Connection, prefix: str) -> str:
    """Return the id of the only run whose id is or begins with ``prefix``. Raises UsageError if there is no run or more
    than one."""
    if not prefix:
        raise UsageError("the id of a run must not be empty", "see etui runs", screen_hint="")
    exact = connection.execute("SELECT id FROM runs WHERE id = ?", (prefix,)).fetchone()
    if exact is not None:
        return prefix
    rows = connection.execute(
        "SELECT id, model, precision, delegate FROM runs WHERE id >= ? AND id < ? ORDER BY id LIMIT 6",
        (prefix, prefix + "\U0010ffff"),
    ).fetchall()
    if not rows:
        raise unknown_run(prefix)
    if len(rows) > 1:
        names = [f"{row['id']} ({row['model']} {row['precision']}/{row['delegate']})" for row in rows[:5]]
        more = " and more" if len(rows) > 5 else ""
        raise UsageError(f"{prefix} matches several runs", f"use a longer prefix: {', '.join(names)}{more}")
    return str(rows[0]["id"])


def annotate(connection: sqlite3.Connection, run_id: str, note: str | None, tags: Sequence[str] | None) -> None:
    """Set the note or tags of a run; None leaves them unchanged. Raises UsageError if the run does not exist."""
    encoded = None if tags is None else msgspec.json.encode(list(tags)).decode()
    cursor = connection.execute(
        "UPDATE runs SET note = coalesce(?, note), tags = coalesce(?, tags) WHERE id = ?", (note, encoded, run_id)
    )
    if cursor.rowcount == 0:
        raise unknown_run(run_id)


def check_deletable(connection: sqlite3.Connection, run_id: str) -> None:
    """Raise UsageError if a run is live or being measured or analysed; a run that does not exist is not an error."""
    row = connection.execute(
        "SELECT status, claimed_by, sessions.finished_at FROM runs"
        " JOIN sessions ON sessions.id = session WHERE runs.id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        return
    if row["status"] in LIVE_STATUSES:
        raise UsageError(
            f"run {run_id} is {row['status']}",
            f"cancel it first: etui cancel {run_id}",
            screen_hint="cancel it first with x",
        )
    if row["claimed_by"] is not None and row["finished_at"] is None:
        raise UsageError(
            f"the session of run {run_id} is still being measured", "wait until it has ended, or cancel it"
        )
    if connection.execute(
        "SELECT 1 FROM passes WHERE run = ? AND status IN ('queued', 'running')", (run_id,)
    ).fetchone():
        raise UsageError(
            f"a profile or gap analysis of run {run_id} is in progress",
            f"wait until it has ended, or cancel it: etui cancel {run_id}",
            screen_hint="wait until it has ended, or cancel it with x in the run's details",
        )


def delete_run(connection: sqlite3.Connection, run_id: str) -> bool:
    """Delete a run with all data that belongs to it alone, and return whether it existed. Raises UsageError like
    ``check_deletable``."""
    check_deletable(connection, run_id)
    row = connection.execute("SELECT session, environment FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        return False
    session_id, environment_id = row["session"], row["environment"]
    block_ids = blocks.of_run(connection, session_id, run_id)
    connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
    connection.execute(
        "DELETE FROM sessions WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE session = ?)",
        (session_id, session_id),
    )
    blocks.delete_unused(connection, session_id, block_ids)
    connection.execute(
        "DELETE FROM environments WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE environment = ?)",
        (environment_id, environment_id),
    )
    return True
