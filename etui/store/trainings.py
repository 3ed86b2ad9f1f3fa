"""The queue of trainings, their logs and the figures of their epochs, in the tables ``trainings*``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from etui import __version__
from etui.errors import StoreError, UsageError
from etui.events import Event, utc_now
from etui.store.event_rows import event_of
from etui.store.queue import Claim, RunnerIdentity, claims_of, new_id, storable
from etui.task_training import (
    LIVE_TRAININGS,
    EpochFigures,
    QueuedTraining,
    StepFigures,
    TrainedModel,
    TrainingRequest,
    TrainingStatus,
)

_LIVE = "status IN ('queued', 'running')"
_WAITING = f"{_LIVE} AND claimed_by IS NULL AND (box IS NULL OR box IN ('', ?)) AND installation IN ('', ?)"


def add(connection: sqlite3.Connection, request: TrainingRequest, box: str, installation: str) -> QueuedTraining:
    """Queue a training. Raises UsageError if another live training writes into the same folder."""
    _refuse_live(connection, request.folder)
    training_id, now = new_id(), utc_now()
    connection.execute(
        "INSERT INTO trainings (id, status, created_at, queued_at, model, folder, request, etui_version, box,"
        " installation) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            training_id, now, now, request.settings.model, request.folder, msgspec.json.encode(request).decode(),
            __version__, box, installation,
        ),
    )  # fmt: skip
    return get(connection, training_id)


def queue_again(
    connection: sqlite3.Connection, training_id: str, request: TrainingRequest, box: str, installation: str
) -> QueuedTraining:
    """Queue a training that has ended again, with a request to resume it. Raises UsageError if it is live, or another
    live training writes into the same folder."""
    before = get(connection, training_id)
    if before.live:
        raise UsageError(f"training {training_id[:6]} is {before.status}", "wait for its end, or cancel it")
    _refuse_live(connection, request.folder)
    connection.execute(
        "UPDATE trainings SET status = 'queued', cancel_requested = 0, queued_at = ?, started_at = NULL,"
        " finished_at = NULL, error = NULL,"
        " result = NULL, request = ?, box = ?, installation = ?, etui_version = ?, claimed_by = NULL,"
        " claimed_pid = NULL, claimed_host = NULL, claimed_user = NULL WHERE id = ?",
        (utc_now(), msgspec.json.encode(request).decode(), box, installation, __version__, training_id),
    )
    return get(connection, training_id)


def _refuse_live(connection: sqlite3.Connection, folder: str) -> None:
    row = connection.execute(
        f"SELECT id, status FROM trainings WHERE folder = ? AND {_LIVE}",  # noqa: S608 - constants
        (folder,),
    ).fetchone()
    if row is not None:
        raise UsageError(
            f"training {row['id'][:6]}, which is {row['status']}, writes into the same folder",
            "wait for its end or cancel it, or use another folder",
        )


def get(connection: sqlite3.Connection, training_id: str) -> QueuedTraining:
    """Return a training. Raises UsageError if it does not exist, StoreError if this version cannot read it."""
    row = connection.execute("SELECT * FROM trainings WHERE id = ?", (training_id,)).fetchone()
    if row is None:
        raise _unknown(training_id)
    return _training(connection, row)


def trainings(connection: sqlite3.Connection, *, live_only: bool = False) -> list[QueuedTraining]:
    """Return the trainings, newest first, or the live ones in the order of the queue."""
    order = f"WHERE {_LIVE} ORDER BY queued_at, rowid" if live_only else "ORDER BY created_at DESC, rowid DESC"
    rows = connection.execute(f"SELECT * FROM trainings {order}").fetchall()  # noqa: S608 - constants
    return [_training(connection, row) for row in rows]


def has_live(connection: sqlite3.Connection) -> bool:
    """Whether a training is queued or running."""
    row = connection.execute(f"SELECT 1 FROM trainings WHERE {_LIVE}").fetchone()  # noqa: S608 - constants
    return row is not None


def resolve(connection: sqlite3.Connection, prefix: str) -> str:
    """Return the id of the only training whose id begins with ``prefix``. Raises UsageError if there is none or several
    are found."""
    rows = connection.execute(
        "SELECT id FROM trainings WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (prefix, prefix + "\U0010ffff")
    ).fetchall()
    if not rows or not prefix:
        raise _unknown(prefix)
    if len(rows) > 1 and rows[0]["id"] != prefix:
        raise UsageError(f"{prefix} matches several trainings", "use a longer prefix of the id")
    return str(rows[0]["id"])


def delete(connection: sqlite3.Connection, training_id: str) -> None:
    """Delete a training with its log. Raises UsageError if it does not exist or is live."""
    training = get(connection, training_id)
    if training.live:
        raise UsageError(f"training {training_id[:6]} is {training.status}", f"etui cancel {training_id[:6]}")
    connection.execute("DELETE FROM trainings WHERE id = ?", (training_id,))


# The queue


def oldest_waiting(connection: sqlite3.Connection, owner: RunnerIdentity) -> str | None:
    """Return when the training that ``claim_next`` would claim was queued; None if none is waiting."""
    row = connection.execute(
        f"SELECT min(queued_at) FROM trainings WHERE {_WAITING}",  # noqa: S608 - constants
        (owner.host, owner.installation),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def has_waiting(connection: sqlite3.Connection, host: str, installation: str) -> bool:
    """Whether a training is waiting that a runner of this host and installation could claim."""
    query = f"SELECT 1 FROM trainings WHERE {_WAITING}"  # noqa: S608 - constants
    return connection.execute(query, (host, installation)).fetchone() is not None


def claim_next(connection: sqlite3.Connection, owner: RunnerIdentity) -> QueuedTraining | None:
    """Assign the oldest waiting training to ``owner``. One whose request cannot be read is marked as failed, so that it
    does not block the others."""
    while True:
        row = connection.execute(
            f"SELECT id FROM trainings WHERE {_WAITING} ORDER BY queued_at, rowid LIMIT 1",  # noqa: S608 - constants
            (owner.host, owner.installation),
        ).fetchone()
        if row is None:
            return None
        connection.execute(
            "UPDATE trainings SET claimed_by = ?, claimed_pid = ?, claimed_host = ?, claimed_user = ? WHERE id = ?",
            (owner.key, owner.pid, owner.host, owner.user, row["id"]),
        )
        try:
            return get(connection, row["id"])
        except StoreError as error:
            set_status(connection, row["id"], "failed", str(error))


def claims(connection: sqlite3.Connection) -> list[Claim]:
    """Return the live trainings that runners have claimed, oldest first."""
    rows = connection.execute(
        "SELECT id, installation, claimed_by, claimed_pid, claimed_host, claimed_user FROM trainings"  # noqa: S608
        f" WHERE {_LIVE} AND claimed_by IS NOT NULL ORDER BY queued_at, rowid"
    )
    return claims_of(rows)


def waiting_hosts(connection: sqlite3.Connection, installation: str) -> set[str]:
    """Return the hosts for whose runner of this installation a training is waiting."""
    rows = connection.execute(
        f"SELECT DISTINCT box FROM trainings WHERE {_LIVE} AND claimed_by IS NULL AND installation = ?",  # noqa: S608
        (installation,),
    )
    return {row["box"] for row in rows if row["box"]}


def take_over(connection: sqlite3.Connection, old: str, new: str, installation: str) -> None:
    """Reassign the waiting trainings of host ``old`` to host ``new``."""
    connection.execute(
        f"UPDATE trainings SET box = ? WHERE {_LIVE} AND claimed_by IS NULL"  # noqa: S608 - constants
        " AND box = ? AND installation = ?",
        (new, old, installation),
    )


def set_status(connection: sqlite3.Connection, training_id: str, status: TrainingStatus, error: str | None) -> None:
    """Set the status of a live training; one that has ended is not changed."""
    now = utc_now()
    connection.execute(
        "UPDATE trainings SET status = ?, error = ?,"  # noqa: S608 - constants
        " started_at = CASE WHEN ? = 'running' THEN coalesce(started_at, ?) ELSE started_at END,"
        f" finished_at = CASE WHEN ? THEN ? ELSE finished_at END WHERE id = ? AND {_LIVE}",
        (
            status, None if error is None else storable(error), status, now, status not in LIVE_TRAININGS, now,
            training_id,
        ),
    )  # fmt: skip


def interrupt(connection: sqlite3.Connection, training_id: str, error: str) -> None:
    """End a live training as interrupted, with an event in its log."""
    row = connection.execute(
        f"SELECT 1 FROM trainings WHERE id = ? AND {_LIVE}",  # noqa: S608 - constants
        (training_id,),
    ).fetchone()
    if row is not None:
        set_status(connection, training_id, "interrupted", error)
        add_event(connection, training_id, Event(kind="finished", message=f"interrupted: {error}", level="warning"))


def request_cancel(connection: sqlite3.Connection, training_ids: Iterable[str], error: str | None = None) -> list[str]:
    """Request cancellation of live trainings and return their ids. One that no runner has claimed is cancelled at once;
    ``error`` is the reason if the user did not request it."""
    live = []
    for training_id in dict.fromkeys(training_ids):
        row = connection.execute(
            f"SELECT claimed_by FROM trainings WHERE id = ? AND {_LIVE}",  # noqa: S608 - constants
            (training_id,),
        ).fetchone()
        if row is None:
            continue
        live.append(training_id)
        connection.execute("UPDATE trainings SET cancel_requested = 1 WHERE id = ?", (training_id,))
        if row["claimed_by"] is None:
            set_status(connection, training_id, "cancelled", error)
    return live


def cancel_requested(connection: sqlite3.Connection, training_id: str) -> bool:
    """Whether cancellation of this training was requested."""
    row = connection.execute("SELECT cancel_requested FROM trainings WHERE id = ?", (training_id,)).fetchone()
    return row is None or bool(row["cancel_requested"])


def save_result(connection: sqlite3.Connection, training_id: str, result: TrainedModel) -> None:
    """Store the result of a training and the figures of all its epochs."""
    connection.execute(
        "UPDATE trainings SET result = ? WHERE id = ?", (msgspec.json.encode(result).decode(), training_id)
    )
    for figures in result.epochs:
        _save_epoch(connection, training_id, figures)


# The log


def add_event(connection: sqlite3.Connection, training_id: str, event: Event) -> int:
    """Append an event, with the figures of its epoch, and return its id. Of the events of progress only the last is
    kept: a training can take days."""
    if event.kind == "progress":
        connection.execute("DELETE FROM training_events WHERE training = ? AND kind = 'progress'", (training_id,))
    if event.epoch is not None:
        _save_epoch(connection, training_id, event.epoch)
    cursor = connection.execute(
        "INSERT INTO training_events (training, kind, at, level, message, stage, done, total, left_s, step)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            training_id, event.kind, event.at or utc_now(), event.level, storable(event.message), event.stage,
            event.done, event.total, event.left_s,
            None if event.step is None else msgspec.json.encode(event.step).decode(),
        ),
    )  # fmt: skip
    return int(cursor.lastrowid or 0)


def events_after(connection: sqlite3.Connection, training_id: str, last_id: int) -> list[Event]:
    """Return the events after ``last_id`` in order."""
    rows = connection.execute(
        "SELECT * FROM training_events WHERE training = ? AND id > ? ORDER BY id", (training_id, last_id)
    )
    return [
        event_of(row, step=None if row["step"] is None else msgspec.json.decode(row["step"], type=StepFigures))
        for row in rows
    ]


def _save_epoch(connection: sqlite3.Connection, training_id: str, figures: EpochFigures) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO training_epochs (training, epoch, figures) VALUES (?, ?, ?)",
        (training_id, figures.epoch, msgspec.json.encode(figures).decode()),
    )


def _training(connection: sqlite3.Connection, row: sqlite3.Row) -> QueuedTraining:
    epochs = connection.execute("SELECT figures FROM training_epochs WHERE training = ? ORDER BY epoch", (row["id"],))
    try:
        return QueuedTraining(
            id=row["id"],
            request=msgspec.json.decode(row["request"], type=TrainingRequest),
            status=row["status"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            error=row["error"],
            result=None if row["result"] is None else msgspec.json.decode(row["result"], type=TrainedModel),
            epochs=[msgspec.json.decode(each["figures"], type=EpochFigures) for each in epochs.fetchall()],
            box=row["box"] or "",
            installation=row["installation"],
            claimed_by=row["claimed_by"],
        )
    except msgspec.DecodeError as error:
        raise StoreError(f"training {row['id']} cannot be read ({error})", "update etui") from error


def _unknown(prefix: str) -> UsageError:
    from etui.text import plain

    return UsageError(f"there is no training {plain(prefix)}", "list them with `etui train --list`")
