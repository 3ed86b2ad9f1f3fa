"""Validation of imported documents: their types, and values within the limits of ``etui.magnitudes``.

The limits ensure that every command can compute with imported values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from etui.analysis_kinds.registry import check_results
from etui.magnitudes import LEAST_MS, MOST, MOST_MS, MOST_S, is_latency, is_ratio
from etui.results import SCHEMA, Block, RunDocument
from etui.text import shortened

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_MAX_INTEGER = 2**63 - 1
_MOST_SHOWN = 200
_MOST_NESTED = 64
"""The deepest nesting; no part of a run comes close, and some hundred levels exceed Python's recursion limit."""
_NEVER_NEGATIVE = re.compile(r"(_ms|_s|_bytes|_count|^seconds|^count|^threads|^samples_ms|_nodes|^subgraphs)$")
_SECONDS = re.compile(r"(_s|^seconds)$")
_LATENCIES = frozenset({"latency_ms", "eager_latency_ms"})
_LOCATIONS = frozenset({"mean", "avg", "median", "min", "max", "p90", "p95", "p99"})
"""The values of a latency that are latencies themselves. Its spread can be smaller than any latency, and the interval
of few blocks much wider."""


class InvalidValue(ValueError):
    """A value that cannot be imported. ``path`` names the field, such as ``$.latency_ms.mean``."""

    def __init__(self, path: str, problem: str) -> None:
        # Both can contain text from the file.
        super().__init__(f"{shortened(problem, _MOST_SHOWN)} - at `{shortened(path, _MOST_SHOWN)}`")


def document_from(value: object) -> RunDocument:
    """Return the document from decoded JSON.

    Raises InvalidValue or msgspec.ValidationError, which name the field.
    """
    if not isinstance(value, Mapping):
        raise InvalidValue("$", "a run must be a JSON object")
    if (schema := value.get("schema")) != SCHEMA:
        raise InvalidValue("$.schema", f"the schema is {schema!r}, not {SCHEMA!r}")
    check_numbers(value, "$")
    document = msgspec.convert(value, RunDocument)
    check_results(document)
    _check_ids(document)
    _check_blocks(document)
    _check_ratio(document)
    for path, at in (
        ("$.created_at", document.created_at),
        ("$.started_at", document.started_at),
        ("$.finished_at", document.finished_at),
        ("$.session.created_at", document.session.created_at),
    ):
        check_time(path, at)
    return document


def check_time(path: str, at: str | None) -> None:
    """Raise InvalidValue if ``at`` is neither None nor an ISO 8601 time."""
    try:
        if at is not None:
            datetime.fromisoformat(at)
    except ValueError:
        raise InvalidValue(path, f"{at!r} is not an ISO 8601 time") from None


class _Place(NamedTuple):
    """A value of a document and its position."""

    value: object
    path: str
    key: str
    depth: int
    of_latency: bool = False
    """Whether it is a value of a latency, which is in milliseconds whatever its name."""
    unchecked: bool = False
    """Whether nothing computes with it: the specification of a session is stored as it is."""


def check_numbers(value: object, path: str) -> None:
    """Raise InvalidValue if a number does not fit the database or is too large to compute with, if a latency, size,
    duration or count is negative, or if values are nested too deeply."""
    pending = [_Place(value, path, "", 0)]
    while pending:
        place = pending.pop()
        if place.depth > _MOST_NESTED:
            raise InvalidValue(path, f"nested more than {_MOST_NESTED} levels deep")
        if isinstance(place.value, int | float) and not isinstance(place.value, bool):
            _check_number(place.value, place)
        else:
            pending += reversed(list(_parts(place)))


def _parts(place: _Place) -> Iterator[_Place]:
    value, depth = place.value, place.depth + 1
    if isinstance(value, Mapping):
        for name, part in value.items():
            key = str(name)
            yield _Place(
                value=part,
                path=f"{place.path}.{key}",
                key=key,
                depth=depth,
                of_latency=place.of_latency or key in _LATENCIES,
                unchecked=place.unchecked or (place.path == "$.session" and key == "spec"),
            )
    elif isinstance(value, list):
        if place.key == "samples_ms" and all(type(part) is float for part in value):
            return  # there can be millions; ``_check_blocks`` checks them
        for index, part in enumerate(value):
            yield place._replace(value=part, path=f"{place.path}[{index}]", depth=depth)


def _check_number(value: float, place: _Place) -> None:
    if place.unchecked:
        return
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise InvalidValue(place.path, "the number is too large")
    if (place.of_latency or _NEVER_NEGATIVE.search(place.key)) and value < 0:
        raise InvalidValue(place.path, f"{value} is negative")
    if place.of_latency and place.key in _LOCATIONS and value and not is_latency(value):
        raise InvalidValue(place.path, f"{value} ms is neither 0 nor between {LEAST_MS:g} and {MOST_MS:g} ms")
    if place.key.endswith("_ms") and value > MOST_MS:
        raise InvalidValue(place.path, f"{value} ms is more than {MOST_MS:g} ms")
    if _SECONDS.search(place.key) and value > MOST_S:
        raise InvalidValue(place.path, f"{value} s is more than {MOST_S:g} s")
    if isinstance(value, float) and abs(value) > MOST:
        raise InvalidValue(place.path, f"{value} is too large")


def _check_ids(document: RunDocument) -> None:
    for path, text in (("$.id", document.id), ("$.session.id", document.session.id)):
        if not _ID.fullmatch(text):
            raise InvalidValue(path, f"{text[:80]!r} is not an id (letters, digits, '.', '_', '-', at most 64)")
    for path, text in (
        ("$.model.name", document.model.name),
        ("$.precision", document.precision),
        ("$.delegate", document.delegate),
    ):
        if not text.strip():
            raise InvalidValue(path, "the value is empty")


def _check_blocks(document: RunDocument) -> None:
    """Raise InvalidValue if a sample cannot be a latency."""
    sides: tuple[tuple[str, list[Block]], ...] = (
        ("blocks", document.blocks),
        ("eager_blocks", document.eager_blocks),
        ("superseded_blocks", document.superseded_blocks),
    )
    for name, blocks in sides:
        for index, block in enumerate(blocks):
            if block.samples_ms and not (is_latency(min(block.samples_ms)) and is_latency(max(block.samples_ms))):
                place, sample = next(pair for pair in enumerate(block.samples_ms) if not is_latency(pair[1]))
                raise InvalidValue(
                    f"$.{name}[{index}].samples_ms[{place}]",
                    f"{sample} ms is not between {LEAST_MS:g} and {MOST_MS:g} ms",
                )


def _check_ratio(document: RunDocument) -> None:
    """Raise InvalidValue if the speed-up cannot be a ratio of two latencies."""
    ratio = document.speedup
    if ratio is None:
        return
    if not is_ratio(ratio.value):
        raise InvalidValue("$.speedup.value", f"{ratio.value} is not a ratio of two latencies")
    if ratio.ci95 is not None and not min(ratio.ci95) > 0:
        raise InvalidValue("$.speedup.ci95", "a ratio of two latencies must be greater than 0")
