"""The queue of analyses of finished runs, such as a profile of their operators, in the table ``passes``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from etui.errors import StoreError, UsageError
from etui.events import Event, utc_now
from etui.results import LIVE_ANALYSIS_STATUSES, LIVE_STATUSES, AnalysisStatus
from etui.spec import AnalysisOptions
from etui.store.queries import unknown_run
from etui.store.queue import Claim, RunnerIdentity, add_event, claims_of, new_id, storable

_LIVE = "status IN ('queued', 'running')"
_WAITING = f"{_LIVE} AND claimed_by IS NULL AND (box IS NULL OR box IN ('', ?)) AND installation IN ('', ?)"


class QueuedAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """A queued analysis: its run and session, its options, and its status."""

    id: str
    run: str
    session: str
    kind: str
    options: AnalysisOptions
    status: AnalysisStatus
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    claimed_by: str | None = None

    @property
    def live(self) -> bool:
        """Whether it is queued or running."""
        return self.status in LIVE_ANALYSIS_STATUSES


def add_analysis(
    connection: sqlite3.Connection, run_id: str, options: AnalysisOptions, box: str, installation: str
) -> QueuedAnalysis:
    """Queue an analysis of a run that has ended and has a program. If one with the same options is live already, return
    it instead. Raises UsageError if the run does not exist, is live, or has no program."""
    run = connection.execute("SELECT status, size_bytes, error FROM runs WHERE id = ?", (run_id,)).fetchone()
    if run is None:
        raise unknown_run(run_id)
    if run["status"] in LIVE_STATUSES:
        raise UsageError(f"run {run_id[:6]} is {run['status']}", "wait until it has ended, or cancel it")
    if run["size_bytes"] is None:
        reason = f" ({run['error']})" if run["error"] else ""
        raise UsageError(f"run {run_id[:6]} is {run['status']} and has no program to analyse{reason}", "run it again")
    text = msgspec.json.encode(options).decode()
    kind = options.kind_name()
    waiting = connection.execute(
        f"SELECT id FROM passes WHERE run = ? AND options = ? AND cancel_requested = 0 AND {_LIVE}",  # noqa: S608
        (run_id, text),
    ).fetchone()
    if waiting is not None:
        return get_analysis(connection, waiting["id"])
    analysis_id = new_id()
    connection.execute(
        "INSERT INTO passes (id, run, kind, options, status, created_at, box, installation)"
        " VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)",
        (analysis_id, run_id, kind, text, utc_now(), box, installation),
    )
    return get_analysis(connection, analysis_id)


def get_analysis(connection: sqlite3.Connection, analysis_id: str) -> QueuedAnalysis:
    """Return one analysis. Raises UsageError if it does not exist, StoreError if its options cannot be read."""
    row = connection.execute(
        "SELECT passes.*, runs.session FROM passes JOIN runs ON runs.id = run WHERE passes.id = ?", (analysis_id,)
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no analysis {analysis_id}", "its run was deleted")
    return _queued_analysis(row)


def live_analyses(connection: sqlite3.Connection, run_id: str | None = None) -> list[QueuedAnalysis]:
    """Return the queued and running analyses, oldest first, of one run or of all."""
    rows = connection.execute(
        "SELECT passes.*, runs.session FROM passes JOIN runs ON runs.id = run"  # noqa: S608 - constants
        f" WHERE passes.{_LIVE} AND (? IS NULL OR run = ?) ORDER BY passes.created_at, passes.rowid",
        (run_id, run_id),
    )
    return [_queued_analysis(row) for row in rows]


def last_analysis(connection: sqlite3.Connection, run_id: str, kind: str) -> QueuedAnalysis | None:
    """Return the newest analysis of a kind of a run, whatever its status; None if there never was one."""
    row = connection.execute(
        "SELECT passes.*, runs.session FROM passes JOIN runs ON runs.id = run WHERE run = ? AND kind = ?"
        " ORDER BY passes.created_at DESC, passes.rowid DESC LIMIT 1",
        (run_id, kind),
    ).fetchone()
    return None if row is None else _queued_analysis(row)


def oldest_waiting(connection: sqlite3.Connection, owner: RunnerIdentity) -> str | None:
    """Return when the analysis that ``claim_next_analysis`` would claim was queued; None if none is waiting."""
    row = connection.execute(
        f"SELECT min(created_at) FROM passes WHERE {_WAITING}",  # noqa: S608 - constants
        (owner.host, owner.installation),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def has_waiting_analyses(connection: sqlite3.Connection, host: str, installation: str) -> bool:
    """Whether an analysis is waiting that a runner of this host and installation could claim."""
    row = connection.execute(f"SELECT 1 FROM passes WHERE {_WAITING}", (host, installation)).fetchone()  # noqa: S608
    return row is not None


def claim_next_analysis(connection: sqlite3.Connection, owner: RunnerIdentity) -> QueuedAnalysis | None:
    """Assign the oldest waiting analysis to ``owner``. One whose options cannot be read is marked as failed, so that it
    does not block the others."""
    while True:
        row = connection.execute(
            f"SELECT id FROM passes WHERE {_WAITING} ORDER BY created_at, rowid LIMIT 1",  # noqa: S608 - constants
            (owner.host, owner.installation),
        ).fetchone()
        if row is None:
            return None
        connection.execute(
            "UPDATE passes SET claimed_by = ?, claimed_pid = ?, claimed_host = ?, claimed_user = ? WHERE id = ?",
            (owner.key, owner.pid, owner.host, owner.user, row["id"]),
        )
        try:
            return get_analysis(connection, row["id"])
        except StoreError as error:
            set_analysis_status(connection, row["id"], "failed", str(error))


def set_analysis_status(
    connection: sqlite3.Connection, analysis_id: str, status: AnalysisStatus, error: str | None
) -> None:
    """Set the status of a live analysis; one that has ended is not changed."""
    now = utc_now()
    connection.execute(
        "UPDATE passes SET status = ?, error = ?,"  # noqa: S608 - constants
        " started_at = CASE WHEN ? = 'running' THEN coalesce(started_at, ?) ELSE started_at END,"
        f" finished_at = CASE WHEN ? THEN ? ELSE finished_at END WHERE id = ? AND {_LIVE}",
        (
            status, None if error is None else storable(error), status, now, status not in LIVE_ANALYSIS_STATUSES, now,
            analysis_id,
        ),
    )  # fmt: skip


def interrupt(connection: sqlite3.Connection, analysis_id: str, error: str) -> None:
    """End a live analysis as interrupted, with an event in the log of its run, whose last stage would otherwise appear
    to be running."""
    row = connection.execute(
        "SELECT kind, run, runs.session FROM passes JOIN runs ON runs.id = run"  # noqa: S608 - constants
        f" WHERE passes.id = ? AND passes.{_LIVE}",
        (analysis_id,),
    ).fetchone()
    if row is None:
        return
    set_analysis_status(connection, analysis_id, "interrupted", error)
    message = f"{row['kind']}: interrupted: {error}"
    event = Event(kind="finished", message=message, level="warning", run_id=row["run"], stage=row["kind"])
    add_event(connection, row["session"], event)


def request_analysis_cancel(
    connection: sqlite3.Connection, analysis_ids: Iterable[str], error: str | None = None
) -> list[str]:
    """Request cancellation of live analyses and return their ids. One that no runner has claimed is cancelled at once;
    ``error`` is the reason if the user did not request it."""
    live = []
    for analysis_id in dict.fromkeys(analysis_ids):
        row = connection.execute(
            f"SELECT claimed_by FROM passes WHERE id = ? AND {_LIVE}",  # noqa: S608 - constants
            (analysis_id,),
        ).fetchone()
        if row is None:
            continue
        live.append(analysis_id)
        connection.execute("UPDATE passes SET cancel_requested = 1 WHERE id = ?", (analysis_id,))
        if row["claimed_by"] is None:
            set_analysis_status(connection, analysis_id, "cancelled", error)
    return live


def analysis_cancel_requested(connection: sqlite3.Connection, analysis_id: str) -> bool:
    """Whether cancellation of this analysis was requested, or its run was deleted."""
    row = connection.execute("SELECT cancel_requested FROM passes WHERE id = ?", (analysis_id,)).fetchone()
    return row is None or bool(row["cancel_requested"])


def claims(connection: sqlite3.Connection) -> list[Claim]:
    """Return the live analyses that runners have claimed, oldest first."""
    rows = connection.execute(
        "SELECT id, installation, claimed_by, claimed_pid, claimed_host, claimed_user FROM passes"  # noqa: S608
        f" WHERE {_LIVE} AND claimed_by IS NOT NULL ORDER BY created_at, rowid"
    )
    return claims_of(rows)


def _queued_analysis(row: sqlite3.Row) -> QueuedAnalysis:
    # Imported here to keep it out of the start of the screen.
    from etui.analysis_kinds.registry import KINDS

    try:
        options = msgspec.json.decode(row["options"], type=KINDS[row["kind"]].options)
    except (KeyError, msgspec.DecodeError) as error:
        raise StoreError(
            f"analysis {row['id']} has options that this version of etui cannot read ({error})", "update etui"
        ) from error
    return QueuedAnalysis(
        id=row["id"],
        run=row["run"],
        session=row["session"],
        kind=row["kind"],
        options=options,
        status=row["status"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=row["error"],
        claimed_by=row["claimed_by"],
    )
