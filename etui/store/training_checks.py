"""Training checks with their losses, in the table ``training_checks``."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from etui.errors import StoreError, UsageError
from etui.training_check import CheckSummary, StoredCheck

_SUMMARY = "id, created_at, model, reference, passed, error, box"


def add(connection: sqlite3.Connection, stored: StoredCheck, etui_version: str) -> None:
    """Store a check under its id."""
    connection.execute(
        "INSERT INTO training_checks (id, created_at, model, reference, passed, error, box, etui_version, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            stored.id, stored.created_at, stored.model, stored.reference,
            None if stored.check is None else stored.check.passed, stored.error, stored.box, etui_version,
            msgspec.json.encode(stored).decode(),
        ),
    )  # fmt: skip


def summaries(connection: sqlite3.Connection, reference: str | None) -> list[CheckSummary]:
    """Return the checks of a model, or of all, newest first."""
    rows = connection.execute(
        f"SELECT {_SUMMARY} FROM training_checks WHERE ?1 IS NULL OR reference = ?1"  # noqa: S608 - constants
        " ORDER BY created_at DESC, rowid DESC",
        (reference,),
    )
    return [
        CheckSummary(
            id=row["id"],
            created_at=row["created_at"],
            model=row["model"],
            reference=row["reference"],
            passed=None if row["passed"] is None else bool(row["passed"]),
            error=row["error"],
            box=row["box"],
        )
        for row in rows
    ]


def get(connection: sqlite3.Connection, check_id: str) -> StoredCheck:
    """Return a check. Raises UsageError if it does not exist, StoreError if this version cannot read it."""
    row = connection.execute("SELECT detail FROM training_checks WHERE id = ?", (check_id,)).fetchone()
    if row is None:
        raise _unknown(check_id)
    try:
        return msgspec.json.decode(row["detail"], type=StoredCheck)
    except msgspec.DecodeError as error:
        raise StoreError(f"training check {check_id} cannot be read ({error})", "update etui") from error


def resolve(connection: sqlite3.Connection, prefix: str) -> str:
    """Return the id of the only check whose id begins with ``prefix``. Raises UsageError if there is none or several
    are found."""
    rows = connection.execute(
        "SELECT id FROM training_checks WHERE id >= ? AND id < ? ORDER BY id LIMIT 2",
        (prefix, prefix + "\U0010ffff"),
    ).fetchall()
    if not rows or not prefix:
        raise _unknown(prefix)
    if len(rows) > 1 and rows[0]["id"] != prefix:
        raise UsageError(f"{prefix} matches several training checks", "use a longer prefix of the id")
    return str(rows[0]["id"])


def delete(connection: sqlite3.Connection, check_ids: Sequence[str]) -> int:
    """Delete checks and return how many there were."""
    return sum(
        connection.execute("DELETE FROM training_checks WHERE id = ?", (check_id,)).rowcount for check_id in check_ids
    )


def _unknown(prefix: str) -> UsageError:
    from etui.text import plain

    return UsageError(f"there is no training check {plain(prefix)}", "list them with `etui check-training --list`")
