"""Conversion of the log lines of a document to events in the database and back."""

from __future__ import annotations

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Sequence

from etui.results import LogLine

EventRange = tuple[int, int]


def save_log(connection: sqlite3.Connection, session_id: str, run_id: str, log: Sequence[LogLine]) -> list[EventRange]:
    """Store the lines that are not events yet, and return the ids of all lines as ranges (first, last), in order.

    Runs of one session share the lines about the whole session, which are stored once.
    """
    if not log:
        return []
    known: defaultdict[LogLine, list[int]] = defaultdict(list)
    rows = connection.execute(
        "SELECT * FROM events WHERE session = ? AND (run IS NULL OR run = ?) ORDER BY id DESC", (session_id, run_id)
    )
    for row in rows:
        known[_line(row)].append(row["id"])
    ids = []
    for line in log:
        same = known[line]
        ids.append(same.pop() if same else _add_line(connection, session_id, run_id, line))
    return _ranges(ids)


def load_log(
    connection: sqlite3.Connection, session_id: str, run_id: str, ranges: Sequence[EventRange] | None
) -> list[LogLine]:
    """Return the lines of these events; without ranges, all events of the run and its session except progress."""
    if ranges is None:
        rows = connection.execute(
            "SELECT * FROM events WHERE session = ? AND (run IS NULL OR run = ?) AND kind <> 'progress' ORDER BY id",
            (session_id, run_id),
        )
        return [_line(row) for row in rows]
    lines: list[LogLine] = []
    for first, last in ranges:
        rows = connection.execute(
            "SELECT * FROM events WHERE session = ? AND id BETWEEN ? AND ? ORDER BY id", (session_id, first, last)
        )
        lines += [_line(row) for row in rows]
    return lines


def _add_line(connection: sqlite3.Connection, session_id: str, run_id: str, line: LogLine) -> int:
    cursor = connection.execute(
        "INSERT INTO events (session, run, kind, at, level, message, stage) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (session_id, None if line.of_session else run_id, line.kind, line.at, line.level, line.message, line.stage),
    )
    return int(cursor.lastrowid or 0)


def _line(row: sqlite3.Row) -> LogLine:
    return LogLine(
        at=row["at"],
        level=row["level"],
        message=row["message"],
        # msgspec omits a default from JSON only if it is the identical object.
        kind=sys.intern(row["kind"]),
        stage=row["stage"],
        of_session=row["run"] is None,
    )


def _ranges(ids: Sequence[int]) -> list[EventRange]:
    ranges: list[EventRange] = []
    for event_id in ids:
        if ranges and ranges[-1][1] + 1 == event_id:
            ranges[-1] = (ranges[-1][0], event_id)
        else:
            ranges.append((event_id, event_id))
    return ranges
