"""Import of the flat result files of executorch-utils as runs with a summary and without samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from etui.results import Flag, LatencyStats, ModelInfo, RunDocument, SessionInfo
from etui.store.import_checks import InvalidValue, check_numbers

FORMAT = "executorch-utils"


class _Latency(msgspec.Struct, frozen=True):
    avg: float
    min: float | None = None
    max: float | None = None
    std_dev: float | None = None
    p95: float | None = None
    p99: float | None = None


class _Flat(msgspec.Struct, frozen=True):
    model_name: str
    precision_short: str
    delegate: str
    latency_ms: _Latency
    model_type: str = ""
    precision: str = ""
    repeat: int | None = None
    warmup: int | None = None


def is_flat(value: object) -> bool:
    """Whether decoded JSON looks like a result of executorch-utils."""
    return isinstance(value, Mapping) and "schema" not in value and "model_name" in value


def document_from_flat(value: object, written_at: str) -> RunDocument:
    """Return a summary-only run from a flat result.

    Its id is a hash of the content, so that the same content is the same run. The format has no timestamp:
    ``written_at``, the modification time of the file, is used. Raises InvalidValue or msgspec.ValidationError, which
    name the field.
    """
    flat = msgspec.convert(value, _Flat)
    check_numbers(value, "$")
    for name in ("model_name", "precision_short", "delegate"):
        if not getattr(flat, name).strip():
            raise InvalidValue(f"$.{name}", "the value is empty")
    for name in ("repeat", "warmup"):
        if (getattr(flat, name) or 0) < 0:
            raise InvalidValue(f"$.{name}", f"{getattr(flat, name)} is negative")
    content = hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
    latency = flat.latency_ms
    sample_count = f" of {flat.repeat} samples" if flat.repeat is not None else ""
    return RunDocument(
        etui_version=FORMAT,
        id=content[:12],
        session=SessionInfo(
            id=content[12:24],
            created_at=written_at,
            spec={"format": FORMAT, "repeat": flat.repeat, "warmup": flat.warmup, "precision": flat.precision},
        ),
        status="done",
        created_at=written_at,
        model=ModelInfo(name=flat.model_name, family=flat.model_type, source=FORMAT, identity=flat.model_name),
        precision=flat.precision_short.lower(),
        delegate=flat.delegate.lower(),
        preset=FORMAT,
        latency_ms=LatencyStats(
            count=flat.repeat,
            mean=latency.avg,
            median=None,
            min=latency.min,
            max=latency.max,
            std=latency.std_dev,
            p95=latency.p95,
            p99=latency.p99,
        ),
        flags=[
            Flag(
                name="summary-only",
                detail=f"from {FORMAT}: a summary{sample_count}, without eager results, machine and date",
            )
        ],
        summary_only=True,
    )
