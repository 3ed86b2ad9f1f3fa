"""The queue of sessions: their runs, the runners that claim them, and the events of their progress."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from etui import __version__
from etui.errors import StoreError, UsageError
from etui.events import Event, utc_now
from etui.results import ENDED_STATUSES, LIVE_STATUSES, ModelInfo, Status
from etui.spec import Priority, SessionSpec, Variant, label, stored_name
from etui.store.detail_json import RunDetail, decode_detail, encode_detail
from etui.store.event_rows import event_of


class RunnerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a runner process: its process id, host and user, and when it started (process ids are reused).

    ``installation`` identifies its Python environment: a session is measured by the environment that queued it.
    """

    pid: int
    host: str
    user: str
    started_at: str
    installation: str = ""

    @property
    def key(self) -> str:
        """A unique string for this runner; the value of ``claimed_by``."""
        return f"{self.user}@{self.host}:{self.pid}:{self.started_at}"


class QueuedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A queued session: its specification, its runs in order with their variants, and the runner that claimed it.

    ``claimed_by`` is the ``RunnerIdentity.key`` of a runner, None while the session is waiting. Only a runner of the
    host ``box`` and of ``installation`` claims it; an empty value means any.
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
    """The claim of a runner: the id of a session or analysis, and the process id, host and user of the runner. ``by``
    is its ``RunnerIdentity.key``."""

    id: str
    by: str
    pid: int
    host: str
    user: str
    installation: str

    @property
    def started_at(self) -> str:
        """When the runner started, according to its key."""
        return self.by.partition(f":{self.pid}:")[2]


def claims_of(rows: Iterable[sqlite3.Row]) -> list[Claim]:
    """Return the claims from rows with the columns of a claim."""
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
    """Return a new random id for a session, run or analysis: 12 hexadecimal characters."""
    return secrets.token_hex(6)


def add_session(
    connection: sqlite3.Connection,
    spec: SessionSpec,
    model: ModelInfo,
    box: str,
    installation: str,
    models: Mapping[Variant, ModelInfo] | None = None,
) -> QueuedSession:
    """Store a session and one queued run per variant; repeated variants are one run. ``models`` has the models of the
    variants whose model is not that of the session. Raises UsageError if there is no variant."""
    variants = list(dict.fromkeys(spec.variants))
    if not variants:
        raise UsageError("a session needs at least one precision and delegate", "select one of each")
    session_id, now = new_id(), utc_now()
    connection.execute(
        "INSERT INTO sessions (id, created_at, box, installation, spec) VALUES (?, ?, ?, ?, ?)",
        (session_id, now, box, installation, msgspec.json.encode(spec).decode()),
    )
    runs = [(new_id(), variant) for variant in variants]
    for run_id, variant in runs:
        variant_model = (models or {}).get(variant, model)
        detail = encode_detail(RunDetail(model=variant_model, repeats=variant.repeats.run if variant.repeats else None))
        connection.execute(
            "INSERT INTO runs (id, session, status, created_at, model, precision, delegate, threads, preset, box,"
            " etui_version, variant, input_height, input_width, batch, sequence, dynamic, method)"
            " VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run_id, session_id, now, variant_model.name, variant.precision, variant.delegate,
                variant.threads or spec.threads, spec.preset, box, __version__, stored_name(variant),
                *(variant.input_size or (None, None)), variant.batch, variant.sequence, int(variant.dynamic),
                variant.method,
            ),
        )  # fmt: skip
        connection.execute("INSERT INTO details (run, detail) VALUES (?, ?)", (run_id, detail))
    if _put_before_lower_priority(connection, session_id, spec.priority):
        return session(connection, session_id)
    return QueuedSession(id=session_id, spec=spec, created_at=now, box=box, runs=runs, installation=installation)


_PRIORITIES: Mapping[str, int] = {"low": 0, "normal": 1, "high": 2}


def _put_before_lower_priority(connection: sqlite3.Connection, session_id: str, priority: Priority) -> int:
    """Move the newest session before the waiting ones of lower priority, and return by how many places."""
    rows = connection.execute(
        "SELECT CASE WHEN json_valid(spec) THEN json_extract(spec, '$.priority') END AS priority FROM sessions"
        " WHERE finished_at IS NULL AND claimed_by IS NULL AND id <> ? AND id IN (SELECT session FROM live_runs)"
        " ORDER BY created_at DESC, rowid DESC",
        (session_id,),
    )
    places = 0
    for row in rows.fetchall():
        # A session of an earlier version, or of a later one with other priorities, counts as normal.
        if _PRIORITIES.get(row["priority"], 1) >= _PRIORITIES[priority]:
            break
        if not move_session(connection, session_id, earlier=True):
            break
        places += 1
    return places


def session(connection: sqlite3.Connection, session_id: str) -> QueuedSession:
    """Return one session with all its runs. Raises UsageError if it does not exist, StoreError if its specification
    cannot be read."""
    row = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise UsageError(f"there is no session {session_id}")
    return _queued_session(connection, row, live_only=False)


_WAITING = (
    "FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL AND (box IS NULL OR box IN ('', ?))"
    " AND installation IN ('', ?)"
)


def oldest_waiting(connection: sqlite3.Connection, owner: RunnerIdentity) -> str | None:
    """Return when the session that ``claim_next_session`` would claim was queued; None if none is waiting."""
    row = connection.execute(
        f"SELECT min(created_at) {_WAITING}",
        (owner.host, owner.installation),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def claim_next_session(connection: sqlite3.Connection, owner: RunnerIdentity) -> QueuedSession | None:
    """Assign the oldest waiting session of this host to ``owner``; its ``runs`` are those still to be measured.

    A session whose specification cannot be read is marked as failed, so that it does not block the others.
    """
    while True:
        # A home folder can be shared between hosts: a session belongs to the host on which it was queued.
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
    """Whether a session is waiting that a runner of this host and installation could claim."""
    row = connection.execute(
        f"SELECT 1 {_WAITING}",
        (host, installation),
    ).fetchone()
    return row is not None


def sessions_waiting_before(connection: sqlite3.Connection, session_id: str) -> list[QueuedSession]:
    """Return the unfinished sessions, waiting or claimed, that come before this one, oldest first."""
    rows = connection.execute(
        "SELECT earlier.* FROM sessions AS earlier, sessions AS this WHERE this.id = ? AND earlier.finished_at IS NULL"
        " AND (earlier.created_at, earlier.rowid) < (this.created_at, this.rowid)"
        " ORDER BY earlier.created_at, earlier.rowid",
        (session_id,),
    ).fetchall()
    return [_queued_session(connection, row, live_only=True) for row in rows]


def move_session(connection: sqlite3.Connection, session_id: str, *, earlier: bool) -> bool:
    """Exchange the places of a session and of the one before or after it in the queue, and return whether both wait.

    The place of a session is the time at which it was queued, so the sessions and their runs exchange these times.
    """
    waiting = [
        (row["id"], row["created_at"])
        for row in connection.execute(
            "SELECT id, created_at FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL"
            " AND id IN (SELECT session FROM live_runs) ORDER BY created_at, rowid"
        )
    ]
    ids = [row[0] for row in waiting]
    if session_id not in ids:
        return False
    place = ids.index(session_id)
    other = place - 1 if earlier else place + 1
    if not 0 <= other < len(ids):
        return False
    first, second = waiting[min(place, other)], waiting[max(place, other)]
    # Of sessions queued within a millisecond the row decides, which does not change.
    sooner = first[1] if first[1] != second[1] else _millisecond_before(first[1])
    for (moved, _), at in ((first, second[1]), (second, sooner)):
        connection.execute("UPDATE sessions SET created_at = ? WHERE id = ?", (at, moved))
        connection.execute("UPDATE runs SET created_at = ? WHERE session = ?", (at, moved))
    return True


def _millisecond_before(at: str) -> str:
    before = datetime.fromisoformat(at) - timedelta(milliseconds=1)
    return before.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def request_cancel(connection: sqlite3.Connection, run_ids: Iterable[str], error: str | None = None) -> list[str]:
    """Request cancellation of live runs and return their ids. A run whose session no runner has claimed is cancelled at
    once; ``error`` is the reason if the user did not request it."""
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
    """Return the live runs of the session for which cancellation was requested."""
    rows = connection.execute("SELECT id FROM live_runs WHERE session = ? AND cancel_requested = 1", (session_id,))
    return {row["id"] for row in rows}


def set_status(connection: sqlite3.Connection, run_id: str, status: Status, error: str | None) -> None:
    """Set the status of a live run; a run that has ended is not changed."""
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


NOT_STORED = "its session ended before its result was stored"


def finish_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Mark a session as finished; a run of it that is still live is marked as failed."""
    for run_id in live_runs(connection, session_id):
        set_status(connection, run_id, "failed", NOT_STORED)
    connection.execute(
        "UPDATE sessions SET finished_at = ? WHERE id = ? AND finished_at IS NULL", (utc_now(), session_id)
    )


def live_runs(connection: sqlite3.Connection, session_id: str) -> list[str]:
    """Return the runs of a session that have not ended, in order."""
    rows = connection.execute("SELECT id FROM live_runs WHERE session = ? ORDER BY number", (session_id,))
    return [str(row["id"]) for row in rows]


def interrupt(connection: sqlite3.Connection, session_id: str, error: str) -> list[str]:
    """End the live runs of a session as interrupted, finish the session, and return these runs."""
    interrupted = live_runs(connection, session_id)
    for run_id in interrupted:
        set_status(connection, run_id, "interrupted", error)
    finish_session(connection, session_id)
    return interrupted


def claims(connection: sqlite3.Connection) -> list[Claim]:
    """Return the unfinished sessions that runners have claimed, oldest first."""
    rows = connection.execute(
        "SELECT id, installation, claimed_by, claimed_pid, claimed_host, claimed_user FROM sessions"
        " WHERE finished_at IS NULL AND claimed_by IS NOT NULL ORDER BY created_at, rowid",
    )
    return claims_of(rows)


def finished_with_live_runs(connection: sqlite3.Connection) -> list[str]:
    """Return the finished sessions that still have live runs, which earlier versions could leave."""
    rows = connection.execute(
        "SELECT DISTINCT session FROM live_runs JOIN sessions ON sessions.id = session"
        " WHERE sessions.finished_at IS NOT NULL"
    )
    return [str(row["session"]) for row in rows]


def waiting_sessions(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Return the sessions that no runner has claimed, oldest first: id, host and installation."""
    rows = connection.execute(
        "SELECT id, box, installation FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL"
        " AND id IN (SELECT session FROM live_runs) ORDER BY created_at, rowid"
    )
    return [(row["id"], row["box"] or "", row["installation"]) for row in rows]


def waiting_hosts(connection: sqlite3.Connection, installation: str) -> set[str]:
    """Return the hosts for whose runner of this installation a session or an analysis is waiting."""
    rows = connection.execute(
        "SELECT box FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL AND installation = ?1"
        " UNION SELECT box FROM passes WHERE status IN ('queued', 'running') AND claimed_by IS NULL"
        " AND installation = ?1",
        (installation,),
    )
    return {row["box"] for row in rows if row["box"]}


def take_over(connection: sqlite3.Connection, old: str, new: str, installation: str) -> None:
    """Reassign the waiting sessions and analyses of host ``old`` to host ``new``, with an event in the sessions' logs.
    What a runner has claimed is not changed."""
    rows = connection.execute(
        "SELECT id FROM sessions WHERE finished_at IS NULL AND claimed_by IS NULL AND box = ? AND installation = ?",
        (old, installation),
    )
    for row in rows.fetchall():
        connection.execute("UPDATE sessions SET box = ? WHERE id = ?", (new, row["id"]))
        for run_id in live_runs(connection, row["id"]):
            connection.execute("UPDATE runs SET box = ? WHERE id = ?", (new, run_id))
        message = f"queued on {old}, where no runner is alive any more; measuring on {new} instead"
        add_event(connection, row["id"], Event(kind="log", message=message))
    connection.execute(
        "UPDATE passes SET box = ? WHERE status IN ('queued', 'running') AND claimed_by IS NULL AND box = ?"
        " AND installation = ?",
        (new, old, installation),
    )


def add_event(connection: sqlite3.Connection, session_id: str, event: Event) -> int:
    """Append an event and return its id; an event without a time gets the current time."""
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
    """Return the events after ``last_id`` in order, or the ``newest`` of them; with ``run_id`` only those of that run
    and of the whole session."""
    rows = connection.execute(
        "SELECT * FROM (SELECT * FROM events WHERE session = ? AND id > ? AND (? IS NULL OR run IS NULL OR run = ?)"
        " ORDER BY id DESC LIMIT ?) ORDER BY id",
        (session_id, last_id, run_id, run_id, -1 if newest is None else newest),
    )
    return [event_of(row, run_id=row["run"]) for row in rows]


def _queued_session(connection: sqlite3.Connection, row: sqlite3.Row, *, live_only: bool) -> QueuedSession:
    runs: Sequence[sqlite3.Row] = connection.execute(
        "SELECT id, precision, delegate, variant, status, detail FROM runs JOIN details ON details.run = runs.id"
        " WHERE session = ? ORDER BY runs.rowid",
        (row["id"],),
    ).fetchall()
    try:
        spec = msgspec.json.decode(row["spec"], type=SessionSpec)
        variants = [_variant(spec, run) for run in runs]
    except msgspec.DecodeError as error:
        raise StoreError(
            f"session {row['id']} has a specification that this version of etui cannot read ({error})", "update etui"
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
    """Return the variant of the specification that belongs to a run's row."""
    pair = Variant(precision=run["precision"], delegate=run["delegate"])
    is_duel = any(variant.repeats for variant in spec.variants)
    if not is_duel and run["variant"] is None:
        return pair
    run_label = label(run["variant"] or pair.name, decode_detail(run["detail"]).repeats if is_duel else None)
    return next((variant for variant in spec.variants if variant.label == run_label), pair)


def _finish_if_ended(connection: sqlite3.Connection, session_id: str) -> None:
    if connection.execute("SELECT 1 FROM live_runs WHERE session = ?", (session_id,)).fetchone() is None:
        finish_session(connection, session_id)


def storable(text: str) -> str:
    """Return text with lone surrogates (bytes of a log that were not UTF-8) replaced, since SQLite rejects them."""
    return text.encode("utf-8", "replace").decode("utf-8")
