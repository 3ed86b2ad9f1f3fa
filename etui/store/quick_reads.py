"""Facts read from a database without opening a store: for completing command lines, the program cache, and who uses the
machine.

The file is opened for reading only, and never created, upgraded or waited for. From a database that cannot be read,
nothing is returned.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

WAIT_S = 0.02
"""How long to wait for another process's lock."""

MOST_RUNS, MOST_TAGGED, MOST_MODELS = 100, 5_000, 500
_END = "\U0010ffff"


class BriefRun(NamedTuple):
    """A run, with what is needed to recognize it."""

    id: str
    model: str
    precision: str
    delegate: str
    status: str
    created_at: str


class LiveWork(NamedTuple):
    """A session, an analysis or a training (``kind``: session, profile, gap or training) that has not ended, with its
    live runs, or its run. A training is its own run, without a precision and a delegate.
    ``pid``, ``host`` and ``user`` are those of the runner that claimed it; None and empty while it is waiting."""

    id: str
    kind: str
    created_at: str
    pid: int | None
    host: str
    user: str
    runs: list[BriefRun]


def suggested_runs(database: Path, prefix: str) -> list[BriefRun]:
    """Return runs whose ids begin with ``prefix``, at most ``MOST_RUNS``, newest first."""
    columns = ", ".join(BriefRun._fields)
    if prefix:
        query = f"SELECT {columns} FROM runs WHERE id >= ? AND id < ? LIMIT ?"  # noqa: S608 - constants
        rows = _read(database, query, (prefix, prefix + _END, MOST_RUNS))
    else:
        query = f"SELECT {columns} FROM runs ORDER BY created_at DESC LIMIT ?"  # noqa: S608 - constants
        rows = _read(database, query, (MOST_RUNS,))
    found = [BriefRun(*map(str, row)) for row in rows]
    return sorted(found, key=lambda run: run.created_at, reverse=True)


def suggested_tags(database: Path, runs: Sequence[str] = ()) -> list[str]:
    """Return the tags in the database, or those of the runs with these ids or prefixes, in order."""
    lists = []
    if runs:
        for prefix in runs:
            lists += _read(database, "SELECT tags FROM runs WHERE id >= ? AND id < ? LIMIT 2", (prefix, prefix + _END))
    else:
        # The index on tags is used: a list with tags, '["..', is before the empty list in its order.
        lists = _read(database, "SELECT DISTINCT tags FROM runs WHERE tags < '[]' LIMIT ?", (MOST_TAGGED,))
    tags: set[str] = set()
    for (encoded,) in lists:
        with contextlib.suppress(ValueError, TypeError):
            tags.update(tag for tag in json.loads(str(encoded)) if isinstance(tag, str))
    return sorted(tags)


def suggested_models(database: Path) -> list[str]:
    """Return the names of the models in the database, in order."""
    # Steps from name to name in the index on models, however many runs each has.
    rows = _read(
        database,
        "WITH RECURSIVE names(model) AS (SELECT min(model) FROM runs UNION ALL"
        " SELECT (SELECT min(model) FROM runs WHERE runs.model > names.model) FROM names WHERE names.model IS NOT NULL)"
        " SELECT model FROM names WHERE model IS NOT NULL LIMIT ?",
        (MOST_MODELS,),
    )
    return [str(model) for (model,) in rows]


def runs_of_programs(database: Path, keys: Sequence[str]) -> dict[str, list[BriefRun]]:
    """Return the runs in the database whose programs have one of these keys in the program cache, newest first, by
    key."""
    columns = ", ".join(f"runs.{name}" for name in BriefRun._fields)
    query = (
        f"SELECT cache_key, {columns} FROM artifacts JOIN runs ON runs.id = run"  # noqa: S608 - constants
        " WHERE cache_key IN (SELECT value FROM json_each(?)) ORDER BY created_at DESC"
    )
    found: dict[str, list[BriefRun]] = {}
    for key, *values in _read(database, query, (json.dumps(keys),)) if keys else ():
        found.setdefault(str(key), []).append(BriefRun(*map(str, values)))
    return found


def live_work(database: Path) -> list[LiveWork]:
    """Return the unfinished sessions that have live runs, and the live analyses and trainings, oldest first."""
    columns = ", ".join(f"runs.{name}" for name in BriefRun._fields)
    sessions = (
        "SELECT sessions.id, 'session', sessions.created_at, claimed_pid, claimed_host, claimed_user,"  # noqa: S608
        f" {columns} FROM sessions JOIN runs ON runs.session = sessions.id"
        " WHERE sessions.finished_at IS NULL AND runs.status IN ('queued', 'preparing', 'measuring')"
        " ORDER BY sessions.created_at, sessions.rowid, runs.rowid"
    )
    analyses = (
        "SELECT passes.id, kind, passes.created_at, claimed_pid, claimed_host, claimed_user,"  # noqa: S608
        f" {columns} FROM passes JOIN runs ON runs.id = run WHERE passes.status IN ('queued', 'running')"
        " ORDER BY passes.created_at, passes.rowid"
    )
    found: dict[str, LiveWork] = {}
    trainings = (
        "SELECT id, 'training', queued_at, claimed_pid, claimed_host, claimed_user, id, model, '', '', status,"
        " created_at FROM trainings WHERE status IN ('queued', 'running') ORDER BY queued_at, rowid"
    )
    for query in (sessions, analyses, trainings):
        for work_id, kind, created_at, pid, host, user, *run in _read(database, query, ()):
            work = LiveWork(
                id=str(work_id),
                kind=str(kind),
                created_at=str(created_at),
                pid=pid if isinstance(pid, int) else None,
                host=str(host or ""),
                user=str(user or ""),
                runs=[],
            )
            found.setdefault(work.id, work).runs.append(BriefRun(*map(str, run)))
    return sorted(found.values(), key=lambda work: work.created_at)


def _read(database: Path, query: str, values: Sequence[object]) -> list[tuple[object, ...]]:
    """Return the rows of a query; none if the database cannot be read."""
    try:
        # The path may be another user's, and opening a pipe would wait for a writer.
        if not database.is_file():
            return []
        connection = sqlite3.connect(f"file:{quote(os.fsencode(database))}?mode=ro", timeout=WAIT_S, uri=True)
    except (sqlite3.Error, OSError, ValueError):
        return []
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
    finally:
        connection.close()
