"""Events of a session in progress: stages, log lines, progress, finished blocks, warnings and its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from etui.task_training import EpochFigures, StepFigures

EventKind = Literal["stage", "log", "progress", "block", "warning", "finished"]
Level = Literal["debug", "info", "warning", "error"]


_KINDS: dict[str, EventKind] = {kind: kind for kind in get_args(EventKind)}
_LEVELS: dict[str, Level] = {level: level for level in get_args(Level)}


def known_kind(text: str) -> EventKind:
    """Return the event kind of a text; ``log`` for any other text, as imported documents may contain."""
    return _KINDS.get(text, "log")


def known_level(text: str) -> Level:
    """Return the level of a text; ``info`` for any other text, as imported documents may contain."""
    return _LEVELS.get(text, "info")


def utc_now() -> str:
    """Return the current time as ISO 8601 in UTC with milliseconds, such as ``2026-11-20T22:40:12.345Z``; sorts as
    text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_STAGE_END = re.compile(r"(?s).+? took (?P<seconds>\d+\.\d) s(?:; (?P<details>.*))?")


def stage_end(doing: str, seconds: float, details: Sequence[str] = ()) -> str:
    """Return the message of the log event that ends a stage of a run: ``exporting took 1.2 s; 3 nodes``."""
    return "; ".join([f"{doing} took {seconds:.1f} s", *details])


def read_stage_end(message: str) -> tuple[float, str] | None:
    """Return the seconds and the details of a message that ``stage_end`` made; None for any other message."""
    found = _STAGE_END.fullmatch(message)
    return (float(found["seconds"]), found["details"] or "") if found else None


TRACEBACK = "traceback, lines of the model:"
"""The beginning of the event that has the lines of the model in a failed run's traceback; ``etui run`` leaves it to the
log."""


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened in a session.

    ``run_id`` None means it concerns the whole session (eager blocks, waiting for the machine). ``stage`` is one of
    load, export, quantize, reference, lower, write, measure, accuracy, memory, or wait. ``done`` of ``total`` and
    ``left_s`` (seconds) belong to progress; ``total`` of the stage ``measure`` is the planned number of
    blocks. ``loss`` belongs to a step of a training check; None if it is not finite. ``step`` and ``epoch`` are
    figures of a training. ``id`` is assigned by the database.
    """

    kind: EventKind
    message: str
    at: str = ""
    level: Level = "info"
    run_id: str | None = None
    stage: str | None = None
    done: float | None = None
    total: float | None = None
    left_s: float | None = None
    loss: float | None = None
    step: StepFigures | None = None
    epoch: EpochFigures | None = None
    id: int | None = None
