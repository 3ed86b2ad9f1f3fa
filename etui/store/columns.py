"""The columns of a run's row: computed from its document when it is saved, and converted to a summary when read."""

from __future__ import annotations

import sqlite3
from typing import cast

import msgspec

from etui.results import Interval, LatencyStats, Ratio, RunDocument, Status
from etui.summary import RunSummary, SummaryAccuracy, SummaryLatency, SummaryRatio

_STATS = ("mean", "median", "min", "max", "std", "p90", "p95", "p99")
_LATENCY_COLUMNS = tuple(
    f"{side}latency_{stat}_ms" for side in ("", "eager_") for stat in (*_STATS, "ci95_low", "ci95_high")
)

SUMMARY_COLUMNS = (
    "id", "session", "status", "created_at", "started_at", "finished_at", "model", "precision", "delegate", "weights",
    "threads", "preset", "box", *_LATENCY_COLUMNS, "speedup", "speedup_low", "speedup_high", "speed_verdict",
    "first_inference_ms", "load_ms", "mae", "max_abs", "rmse", "sqnr_db", "cosine", "top1", "top5", "verdict",
    "size_bytes", "peak_rss_bytes", "flags", "note", "tags", "error", "summary_only",
)  # fmt: skip
"""The columns of a summary; runs can be filtered and sorted by each of them."""


def columns_of(document: RunDocument) -> dict[str, object]:
    """Return the values of a run's row by column."""
    metrics = document.accuracy.end_to_end.overall if document.accuracy else None
    speedup = document.speedup
    low, high = _bounds(speedup)
    return {
        "id": document.id,
        "session": document.session.id,
        "status": document.status,
        "created_at": document.created_at,
        "started_at": document.started_at,
        "finished_at": document.finished_at,
        "model": document.model.name,
        "precision": document.precision,
        "delegate": document.delegate,
        "weights": document.weights.kind if document.weights else None,
        "threads": document.threads,
        "preset": document.preset,
        "box": document.environment.box if document.environment else None,
        **_latency("", document.latency_ms),
        **_latency("eager_", document.eager_latency_ms),
        "speedup": speedup.value if speedup else None,
        "speedup_low": low,
        "speedup_high": high,
        "speed_verdict": speedup.verdict if speedup else None,
        "first_inference_ms": document.first_inference_ms,
        "load_ms": _sum(document.program_load_ms, document.method_load_ms),
        "mae": metrics.mae if metrics else None,
        "max_abs": metrics.max_abs if metrics else None,
        "rmse": metrics.rmse if metrics else None,
        "sqnr_db": metrics.sqnr_db if metrics else None,
        "cosine": metrics.cosine if metrics else None,
        "top1": metrics.top1 if metrics else None,
        "top5": metrics.top5 if metrics else None,
        "verdict": document.accuracy.verdict if document.accuracy else None,
        "size_bytes": document.artifact.size_bytes if document.artifact else None,
        "peak_rss_bytes": document.memory.peak_rss_bytes if document.memory else None,
        "flags": msgspec.json.encode([flag.name for flag in document.flags]).decode(),
        "note": document.note,
        "tags": msgspec.json.encode(document.tags).decode(),
        "error": document.error,
        "summary_only": int(document.summary_only),
        "etui_version": document.etui_version,
    }


def summary_of(row: sqlite3.Row) -> RunSummary:
    """Return the summary from a row of ``SUMMARY_COLUMNS``."""
    return RunSummary(
        id=row["id"],
        session=row["session"],
        status=cast("Status", row["status"]),
        created_at=row["created_at"],
        model=row["model"],
        precision=row["precision"],
        delegate=row["delegate"],
        weights=row["weights"],
        threads=row["threads"],
        preset=row["preset"],
        latency_ms=_summary_latency("", row),
        eager_latency_ms=_summary_latency("eager_", row),
        speedup=SummaryRatio(
            value=row["speedup"],
            ci95=_interval(row["speedup_low"], row["speedup_high"]),
            verdict=row["speed_verdict"],
        ),
        first_inference_ms=row["first_inference_ms"],
        load_ms=row["load_ms"],
        accuracy=SummaryAccuracy(
            mae=row["mae"],
            max_abs=row["max_abs"],
            rmse=row["rmse"],
            sqnr_db=row["sqnr_db"],
            cosine=row["cosine"],
            top1=row["top1"],
            top5=row["top5"],
            verdict=row["verdict"],
        ),
        size_bytes=row["size_bytes"],
        peak_rss_bytes=row["peak_rss_bytes"],
        flags=msgspec.json.decode(row["flags"], type=list[str]),
        error=row["error"],
        box=row["box"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        note=row["note"],
        tags=msgspec.json.decode(row["tags"], type=list[str]),
    )


def _latency(side: str, stats: LatencyStats | None) -> dict[str, object]:
    values = {f"{side}latency_{stat}_ms": getattr(stats, stat) if stats else None for stat in _STATS}
    low, high = stats.ci95 if stats and stats.ci95 else (None, None)
    return values | {f"{side}latency_ci95_low_ms": low, f"{side}latency_ci95_high_ms": high}


def _summary_latency(side: str, row: sqlite3.Row) -> SummaryLatency:
    return SummaryLatency(
        **{stat: row[f"{side}latency_{stat}_ms"] for stat in _STATS},
        ci95=_interval(row[f"{side}latency_ci95_low_ms"], row[f"{side}latency_ci95_high_ms"]),
    )


def _bounds(ratio: Ratio | None) -> tuple[float | None, float | None]:
    return ratio.ci95 if ratio and ratio.ci95 else (None, None)


def _interval(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else (low, high)


def _sum(first: float | None, second: float | None) -> float | None:
    """Return the sum of those that were measured; None if neither was."""
    known = [part for part in (first, second) if part is not None]
    return sum(known) if known else None
