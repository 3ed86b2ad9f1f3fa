"""The events of sessions and trainings as they are read from rows of their tables."""

from __future__ import annotations

import sqlite3

from etui.events import Event, known_kind, known_level
from etui.task_training import StepFigures


def event_of(row: sqlite3.Row, *, run_id: str | None = None, step: StepFigures | None = None) -> Event:
    """Return the event of a row; of a run of a session, or with a step of a training."""
    return Event(
        kind=known_kind(row["kind"]),
        message=row["message"],
        at=row["at"],
        level=known_level(row["level"]),
        run_id=run_id,
        stage=row["stage"],
        done=row["done"],
        total=row["total"],
        left_s=row["left_s"],
        step=step,
        id=row["id"],
    )
