"""The queue: sessions that wait, who claimed them, how far their runs are, and what is said meanwhile."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from etui import __version__
from etui.errors import StoreError, UsageError
from etui.events import Event, known_kind, known_level, utc_now
from etui.results import ENDED_STATUSES, LIVE_STATUSES, ModelInfo, Status
from etui.spec import SessionSpec, Variant, label
from etui.store.detail_json import RunDetail, decode_detail, encode_detail


class RunnerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which runner process: its process id, host and user, and when it started (a process id alone is used again).

    ``installation`` names the Python environment it runs in: a session is measured by the one that queued it.
    """

    pid: int
    host: str
    user: str
    started_at: str
    installation: str = ""

    @property
    def key(self) -> str:
        """One string that no other runner has; what ``claimed_by`` holds."""
        return f"{self.user}@{self.host}:{self.pid}:{self.started_at}"


class QueuedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as the queue knows it: what was asked for, its runs in order with their variants, and who has it.

    ``claimed_by`` is a runner's ``RunnerIdentity.key``, None while the session waits. Only a runner of ``box`` and
    ``installation`` takes it; an empty one means any.
    """

    id: str
    spec: SessionSpec
    created_at: str
    box: str | None
    runs: list[tuple[str, Variant]]
    claimed_by: str | None = None
    claimed_pid: int | None = None
    claimed_host: str | None = None
    finished_at: str | None = None
    installation: str = ""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner has claimed: the id of a session or pass, and which runner, on which host, of which user. ``by`` is
    its ``RunnerIdentity.key``."""

    id: str
    by: str
    pid: int
    host: str
    user: str
    installation: str

    @property
    def started_at(self) -> str:
        """When the runner started, as it said itself."""
        return self.by.partition(f":{self.pid}:")[2]


def claims_of(rows: Iterable[sqlite3.Row]) -> list[Claim]:
    """The claims in rows that have the columns of one."""
    return [
        Claim(
            id=row["id"],
            by=row["claimed_by"],
            pid=row["claimed_pid"] or 0,
            host=row["claimed_host"] or "",
            user=row["claimed_user"] or "",
            installation=row["installation"],
        )
        for row in rows
    ]


def new_id() -> str:
    """A fresh id for a session or a run: 12 hexadecimal characters."""
    return secrets.token_hex(6)


def add_session(
    connection: sqlite3.Connection,
    spec: SessionSpec,
    model: ModelInfo,
    box: str,
    installation: str,
    models: Mapping[Variant, ModelInfo] | None = None,
) -> QueuedSession:
    """Store a session and one queued run a variant; the same variant twice is one run. ``models`` has those of the
    variants that are of another model than the session's."""
    variants = list(dict.fromkeys(spec.variants))
    if not variants:
        raise UsageError("a session needs at least one precision and delegate", "name them with --precision --delegate")
    session_id, now = new_id(), utc_now()
    connection.execute(
        "INSERT INTO sessions (id, created_at, box, installation, spec) VALUES (?, ?, ?, ?, ?)",
        (session_id, now, box, installation, msgspec.json.encode(spec).decode()),
    )
    runs = [(new_id(), variant) for variant in variants]
    for run_id, variant in runs:
        own = (models or {}).get(variant, model)
        detail = encode_detail(RunDetail(model=own, repeats=variant.repeats.run if variant.repeats else None))
        connection.execute(
            "INSERT INTO runs (id, session, status, created_at, model, precision, delegate, threads, preset, box,"
            " etui_version) VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run_id, session_id, now, own.name, variant.precision, variant.delegate, spec.threads, spec.preset,
                box, __version__,
            ),
        )  # fmt: skip
        connection.execute("INSERT INTO details (run, detail) VALUES (?, ?)", (run_id, detail))
    return QueuedSession(id=session_id, spec=spec, created_at=now, box=box, runs=runs, installation=installation)


def session(connection: sqlite3.Connection, session_id: str) -> QueuedSession:
    """One session with all its runs. Raises UsageError where there is none, StoreError where its spec is unreadable."""
    row = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise UsageError(f"there is no session {session_id}")
    return _queued_session(connection, row, live_only=False)


_WAITING = (
    "FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL AND (box IS NULL OR box IN ('', ?))"
    " AND installation IN ('', ?)"
)


def oldest_waiting(connection: sqlite3.Connection, owner: RunnerIdentity) -> str | None:
    """When the session that ``claim_next_session`` would take was queued; None where none waits."""
    row = connection.execute(
        f"SELECT min(created_at) {_WAITING}",
        (owner.host, owner.installation),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def claim_next_session(connection: sqlite3.Connection, owner: RunnerIdentity) -> QueuedSession | None:
    """Give the oldest waiting session of this box to ``owner``; its ``runs`` are those that still want doing.

    A session whose specification cannot be read fails, so that it does not stand in the others' way.
    """
    while True:
        # A home folder can be shared: a session belongs to the box it was queued on.
        row = connection.execute(
            f"SELECT * {_WAITING} ORDER BY created_at, rowid LIMIT 1",
            (owner.host, owner.installation),
        ).fetchone()
        if row is None:
            return None
        connection.execute(
            "UPDATE sessions SET claimed_by = ?, claimed_pid = ?, claimed_host = ?, claimed_user = ?, claimed_at = ?"
            " WHERE id = ?",
            (owner.key, owner.pid, owner.host, owner.user, utc_now(), row["id"]),
        )
        claimed = connection.execute("SELECT * FROM sessions WHERE id = ?", (row["id"],)).fetchone()
        try:
            return _queued_session(connection, claimed, live_only=True)
        except StoreError as error:
            for run in connection.execute("SELECT id FROM runs WHERE session = ?", (row["id"],)).fetchall():
                set_status(connection, run["id"], "failed", str(error))
            finish_session(connection, row["id"])


def has_waiting_sessions(connection: sqlite3.Connection, host: str, installation: str) -> bool:
    """Whether a session waits that a runner of this host and installation could claim."""
    row = connection.execute(
        f"SELECT 1 {_WAITING}",
        (host, installation),
    ).fetchone()
    return row is not None


def sessions_waiting_before(connection: sqlite3.Connection, session_id: str) -> list[QueuedSession]:
    """The unfinished sessions, waiting or claimed, that come before this one, oldest first."""
    rows = connection.execute(
        "SELECT earlier.* FROM sessions AS earlier, sessions AS this WHERE this.id = ? AND earlier.finished_at IS NULL"
        " AND (earlier.created_at, earlier.rowid) < (this.created_at, this.rowid)"
        " ORDER BY earlier.created_at, earlier.rowid",
        (session_id,),
    ).fetchall()
    return [_queued_session(connection, row, live_only=True) for row in rows]


def request_cancel(connection: sqlite3.Connection, run_ids: Iterable[str], error: str | None = None) -> list[str]:
    """Mark live runs for cancelling and return them; a run whose session nobody has claimed is cancelled at once, with
    ``error`` as the reason if that is not the user's wish."""
    live = []
    for run_id in dict.fromkeys(run_ids):
        row = connection.execute(
            "SELECT session, claimed_by FROM live_runs JOIN sessions ON sessions.id = session WHERE live_runs.id = ?",
            (run_id,),
        ).fetchone()
        if row is None:
            continue
        live.append(run_id)
        connection.execute("UPDATE runs SET cancel_requested = 1 WHERE id = ?", (run_id,))
        if row["claimed_by"] is None:
            set_status(connection, run_id, "cancelled", error)
            _finish_if_ended(connection, row["session"])
    return live


def cancel_requested(connection: sqlite3.Connection, session_id: str) -> set[str]:
    """The session's live runs that somebody wants cancelled."""
    rows = connection.execute("SELECT id FROM live_runs WHERE session = ? AND cancel_requested = 1", (session_id,))
    return {row["id"] for row in rows}


def set_status(connection: sqlite3.Connection, run_id: str, status: Status, error: str | None) -> None:
    """Move a live run on; a run that has ended stays as it ended."""
    now = utc_now()
    stored_error = None if error is None else storable(error)
    connection.execute(
        "UPDATE runs SET status = ?, error = coalesce(?, error),"
        " started_at = CASE WHEN ? THEN coalesce(started_at, ?) ELSE started_at END,"
        " finished_at = CASE WHEN ? THEN ? ELSE finished_at END"
        " WHERE id IN (SELECT id FROM live_runs WHERE id = ?)",
        (
            status,
            stored_error,
            status in ("preparing", "measuring"),
            now,
            status in ENDED_STATUSES,
            now,
            run_id,
        ),
    )


NOT_STORED = "its session was finished before its result was stored"


def finish_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Say that nobody works on the session any more; a run of it that is still live has failed."""
    for run_id in live_runs(connection, session_id):
        set_status(connection, run_id, "failed", NOT_STORED)
    connection.execute(
        "UPDATE sessions SET finished_at = ? WHERE id = ? AND finished_at IS NULL", (utc_now(), session_id)
    )


def live_runs(connection: sqlite3.Connection, session_id: str) -> list[str]:
    """The runs of a session that have not ended, in order."""
    rows = connection.execute("SELECT id FROM live_runs WHERE session = ? ORDER BY number", (session_id,))
    return [str(row["id"]) for row in rows]


def interrupt(connection: sqlite3.Connection, session_id: str, error: str) -> list[str]:
    """End the live runs of a session as interrupted, finish the session, and return the runs."""
    interrupted = live_runs(connection, session_id)
    for run_id in interrupted:
        set_status(connection, run_id, "interrupted", error)
    finish_session(connection, session_id)
    return interrupted


def claims(connection: sqlite3.Connection) -> list[Claim]:
    """The unfinished sessions that runners have claimed, oldest first."""
    rows = connection.execute(
        "SELECT id, installation, claimed_by, claimed_pid, claimed_host, claimed_user FROM sessions"
        " WHERE finished_at IS NULL AND claimed_by IS NOT NULL ORDER BY created_at, rowid",
    )
    return claims_of(rows)


def finished_with_live_runs(connection: sqlite3.Connection) -> list[str]:
    """The finished sessions that have live runs all the same, as earlier versions could leave them."""
    rows = connection.execute(
        "SELECT DISTINCT session FROM live_runs JOIN sessions ON sessions.id = session"
        " WHERE sessions.finished_at IS NOT NULL"
    )
    return [str(row["session"]) for row in rows]


def waiting_sessions(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """The sessions that no runner has claimed, oldest first: id, the host and the installation they are for."""
    rows = connection.execute(
        "SELECT id, box, installation FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL"
        " AND id IN (SELECT session FROM live_runs) ORDER BY created_at, rowid"
    )
    return [(row["id"], row["box"] or "", row["installation"]) for row in rows]


def waiting_hosts(connection: sqlite3.Connection, installation: str) -> set[str]:
    """The hosts for whose runner of this installation a session or a pass waits."""
    rows = connection.execute(
        "SELECT box FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL AND installation = ?1"
        " UNION SELECT box FROM passes WHERE status IN ('queued', 'running') AND claimed_by IS NULL"
        " AND installation = ?1",
        (installation,),
    )
    return {row["box"] for row in rows if row["box"]}


def take_over(connection: sqlite3.Connection, old: str, new: str, installation: str) -> None:
    """Have what waits for host ``old`` wait for host ``new``, and say so in the sessions' logs. What a runner has
    claimed stays."""
    rows = connection.execute(
        "SELECT id FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL AND box = ? AND installation = ?",
        (old, installation),
    )
    for row in rows.fetchall():
        connection.execute("UPDATE sessions SET box = ? WHERE id = ?", (new, row["id"]))
        for run_id in live_runs(connection, row["id"]):
            connection.execute("UPDATE runs SET box = ? WHERE id = ?", (new, run_id))
        message = f"queued on {old}, where no runner is alive any more; measured on {new} instead"
        add_event(connection, row["id"], Event(kind="log", message=message))
    connection.execute(
        "UPDATE passes SET box = ? WHERE status IN ('queued', 'running') AND claimed_by IS NULL AND box = ?"
        " AND installation = ?",
        (new, old, installation),
    )


def add_event(connection: sqlite3.Connection, session_id: str, event: Event) -> int:
    """Append an event and return its id; an event without a time gets the time now."""
    cursor = connection.execute(
        "INSERT INTO events (session, run, kind, at, level, message, stage, done, total, left_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session_id, event.run_id, event.kind, event.at or utc_now(), event.level, storable(event.message),
            event.stage, event.done, event.total, event.left_s,
        ),
    )  # fmt: skip
    return int(cursor.lastrowid or 0)


def events_after(
    connection: sqlite3.Connection, session_id: str, last_id: int, run_id: str | None, newest: int | None = None
) -> list[Event]:
    """The events after ``last_id``, in order, or the ``newest`` of them; with ``run_id`` only that run's and those of
    the whole session."""
    rows = connection.execute(
        "SELECT * FROM (SELECT * FROM events WHERE session = ? AND id > ? AND (? IS NULL OR run IS NULL OR run = ?)"
        " ORDER BY id DESC LIMIT ?) ORDER BY id",
        (session_id, last_id, run_id, run_id, -1 if newest is None else newest),
    )
    return [
        Event(
            kind=known_kind(row["kind"]),
            message=row["message"],
            at=row["at"],
            level=known_level(row["level"]),
            run_id=row["run"],
            stage=row["stage"],
            done=row["done"],
            total=row["total"],
            left_s=row["left_s"],
            id=row["id"],
        )
        for row in rows
    ]


def _queued_session(connection: sqlite3.Connection, row: sqlite3.Row, *, live_only: bool) -> QueuedSession:
    runs: Sequence[sqlite3.Row] = connection.execute(
        "SELECT id, precision, delegate, status, detail FROM runs JOIN details ON details.run = runs.id"
        " WHERE session = ? ORDER BY runs.rowid",
        (row["id"],),
    ).fetchall()
    try:
        spec = msgspec.json.decode(row["spec"], type=SessionSpec)
        variants = [_variant(spec, run) for run in runs]
    except msgspec.DecodeError as error:
        raise StoreError(
            f"session {row['id']} holds a specification that this etui cannot read ({error})", "update etui"
        ) from error
    return QueuedSession(
        id=row["id"],
        spec=spec,
        created_at=row["created_at"],
        box=row["box"],
        runs=[
            (run["id"], variant)
            for run, variant in zip(runs, variants, strict=True)
            if not live_only or run["status"] in LIVE_STATUSES
        ],
        claimed_by=row["claimed_by"],
        claimed_pid=row["claimed_pid"],
        claimed_host=row["claimed_host"],
        finished_at=row["finished_at"],
        installation=row["installation"],
    )


def _variant(spec: SessionSpec, run: sqlite3.Row) -> Variant:
    """The variant of the specification that a run's row stands for."""
    pair = Variant(precision=run["precision"], delegate=run["delegate"])
    if not any(variant.repeats for variant in spec.variants):
        return pair
    wanted = label(pair.precision, pair.delegate, decode_detail(run["detail"]).repeats)
    return next((variant for variant in spec.variants if variant.label == wanted), pair)


def _finish_if_ended(connection: sqlite3.Connection, session_id: str) -> None:
    if connection.execute("SELECT 1 FROM live_runs WHERE session = ?", (session_id,)).fetchone() is None:
        finish_session(connection, session_id)


def storable(text: str) -> str:
    """Text with lone surrogates (bytes of a log that were not UTF-8) replaced, since SQLite takes none."""
    return text.encode("utf-8", "replace").decode("utf-8")
