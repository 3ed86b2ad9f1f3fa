"""What a document from elsewhere must hold to be taken in: shape by type, and values that can be.

The limits of numbers are those of ``etui.magnitudes``, so that every command can compute with what was taken in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from etui.magnitudes import LEAST_MS, MOST, MOST_MS, MOST_S, is_latency, is_ratio
from etui.results import SCHEMA, Block, RunDocument
from etui.text import plain

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_MAX_INTEGER = 2**63 - 1
_MOST_SHOWN = 200
_MOST_NESTED = 64
"""No part of a run is nested as deeply; beyond some hundreds Python cannot walk through it."""
_NEVER_NEGATIVE = re.compile(r"(_ms|_s|_bytes|_count|^seconds|^count|^threads|^samples_ms|_nodes|^subgraphs)$")
_SECONDS = re.compile(r"(_s|^seconds)$")
_LATENCIES = frozenset({"latency_ms", "eager_latency_ms"})
_LOCATIONS = frozenset({"mean", "avg", "median", "min", "max", "p90", "p95", "p99"})
"""The figures of a latency that are latencies themselves. Its spread can be smaller than any, and the interval of few
blocks far wider."""


class Refused(ValueError):
    """A value that cannot be taken in: ``path`` names the field as ``$.latency_ms.mean``."""

    def __init__(self, path: str, problem: str) -> None:
        # Parts of the path may be names from the file.
        shown = plain(path)
        super().__init__(f"{problem} - at `{shown if len(shown) <= _MOST_SHOWN else f'{shown[:_MOST_SHOWN]}...'}`")


def document_from(value: object) -> RunDocument:
    """The document that decoded JSON holds.

    Raises Refused or msgspec.ValidationError, both of which name the field.
    """
    if not isinstance(value, Mapping):
        raise Refused("$", "a run is an object")
    if (schema := value.get("schema")) != SCHEMA:
        raise Refused("$.schema", f"it says {schema!r} and not {SCHEMA!r}")
    check_numbers(value, "$")
    document = msgspec.convert(value, RunDocument)
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
    """Raise Refused where ``at`` is neither None nor an ISO 8601 time."""
    try:
        if at is not None:
            datetime.fromisoformat(at)
    except ValueError:
        raise Refused(path, f"{at!r} is no time") from None


class _Place(NamedTuple):
    """A value of a document and what is known of it from where it stands."""

    value: object
    path: str
    key: str
    depth: int
    of_latency: bool = False
    """Whether it is one of the figures of a latency, which are milliseconds whatever their names."""
    free: bool = False
    """Whether nothing computes with it: what a session was asked for is kept as it is."""


def check_numbers(value: object, path: str) -> None:
    """Raise Refused if a number does not fit the database or is too large to compute with, if a latency, size, duration
    or count is negative, or if values are nested too deeply."""
    waiting = [_Place(value, path, "", 0)]
    while waiting:
        place = waiting.pop()
        if place.depth > _MOST_NESTED:
            raise Refused(path, f"it is nested more than {_MOST_NESTED} levels deep")
        if isinstance(place.value, int | float) and not isinstance(place.value, bool):
            _check_number(place.value, place)
        else:
            waiting += reversed(list(_parts(place)))


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
                free=place.free or (place.path == "$.session" and key == "spec"),
            )
    elif isinstance(value, list):
        if place.key == "samples_ms" and all(type(part) is float for part in value):
            return  # there may be millions, and ``_check_blocks`` looks at them
        for index, part in enumerate(value):
            yield place._replace(value=part, path=f"{place.path}[{index}]", depth=depth)


def _check_number(value: float, place: _Place) -> None:
    if place.free:
        return
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise Refused(place.path, "the number is too large")
    if (place.of_latency or _NEVER_NEGATIVE.search(place.key)) and value < 0:
        raise Refused(place.path, f"{value} is negative")
    if place.of_latency and place.key in _LOCATIONS and value and not is_latency(value):
        raise Refused(place.path, f"{value} ms is neither 0 nor between {LEAST_MS:g} and {MOST_MS:g} ms")
    if place.key.endswith("_ms") and value > MOST_MS:
        raise Refused(place.path, f"{value} ms is more than {MOST_MS:g} ms")
    if _SECONDS.search(place.key) and value > MOST_S:
        raise Refused(place.path, f"{value} s is more than {MOST_S:g} s")
    if isinstance(value, float) and abs(value) > MOST:
        raise Refused(place.path, f"{value} is too large")


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


def _check_blocks(document: RunDocument) -> None:
    """Raise Refused if a sample is no latency: a call that was timed took time."""
    sides: tuple[tuple[str, list[Block]], ...] = (
        ("blocks", document.blocks),
        ("eager_blocks", document.eager_blocks),
        ("superseded_blocks", document.superseded_blocks),
    )
    for name, blocks in sides:
        for index, block in enumerate(blocks):
            if block.samples_ms and not (is_latency(min(block.samples_ms)) and is_latency(max(block.samples_ms))):
                place, sample = next(found for found in enumerate(block.samples_ms) if not is_latency(found[1]))
                raise Refused(
                    f"$.{name}[{index}].samples_ms[{place}]",
                    f"{sample} ms is not between {LEAST_MS:g} and {MOST_MS:g} ms",
                )


def _check_ratio(document: RunDocument) -> None:
    """Raise Refused if the speed-up is no ratio of two latencies."""
    ratio = document.speedup
    if ratio is None:
        return
    if not is_ratio(ratio.value):
        raise Refused("$.speedup.value", f"{ratio.value} is not a ratio of two latencies")
    if ratio.ci95 is not None and not min(ratio.ci95) > 0:
        raise Refused("$.speedup.ci95", "a ratio of two latencies is above 0")
