"""What a document from elsewhere must hold to be taken in: shape by type, and values that can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from etui.results import SCHEMA, RunDocument

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_MAX_INTEGER = 2**63 - 1
_NEVER_NEGATIVE = re.compile(r"(_ms|_s|_bytes|_count|^seconds|^count|^threads|^samples_ms|_nodes|^subgraphs)$")
_LATENCIES = frozenset({"latency_ms", "eager_latency_ms"})


class Refused(ValueError):
    """A value that cannot be taken in: ``path`` names the field as ``$.latency_ms.mean``."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{problem} - at `{path}`")


def document_from(value: object) -> RunDocument:
    """The document that decoded JSON holds.

    Raises Refused or msgspec.ValidationError, both of which name the field.
    """
    if not isinstance(value, Mapping):
        raise Refused("$", "a run is an object")
    if (schema := value.get("schema")) != SCHEMA:
        raise Refused("$.schema", f"it says {schema!r} and not {SCHEMA!r}")
    document = msgspec.convert(value, RunDocument)
    _check_ids(document)
    check_numbers(value, "$")
    for path, at in (
        ("$.created_at", document.created_at),
        ("$.started_at", document.started_at),
        ("$.finished_at", document.finished_at),
        ("$.session.created_at", document.session.created_at),
    ):
        check_time(path, at)
    return document


def check_time(path: str, at: str | None) -> None:
    """Raise Refused where ``at`` is neither None nor an ISO 8601 time."""
    try:
        if at is not None:
            datetime.fromisoformat(at)
    except ValueError:
        raise Refused(path, f"{at!r} is no time") from None


def check_numbers(value: object, path: str, *, never_negative: bool = False, inside_latency: bool = False) -> None:
    """Raise Refused where a number does not fit the database, or a latency, size, duration or count is negative."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        if isinstance(value, int) and abs(value) > _MAX_INTEGER:
            raise Refused(path, "the number is too large")
        if never_negative and value < 0:
            raise Refused(path, f"{value} is negative")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            latency = inside_latency or key in _LATENCIES
            bounded = latency or _NEVER_NEGATIVE.search(str(key)) is not None
            # What a session was asked for is kept as it is: nothing computes with it.
            free = path == "$.session" and key == "spec"
            if not free:
                check_numbers(part, f"{path}.{key}", never_negative=bounded, inside_latency=latency)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            check_numbers(part, f"{path}[{index}]", never_negative=never_negative, inside_latency=inside_latency)


def _check_ids(document: RunDocument) -> None:
    for path, text in (("$.id", document.id), ("$.session.id", document.session.id)):
        if not _ID.fullmatch(text):
            raise Refused(path, f"{text[:80]!r} is no id (letters, digits, '.', '_', '-', at most 64)")
    for path, text in (
        ("$.model.name", document.model.name),
        ("$.precision", document.precision),
        ("$.delegate", document.delegate),
    ):
        if not text.strip():
            raise Refused(path, "it is empty")
