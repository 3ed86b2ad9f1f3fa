"""The summary of a run: one row of the runs table and of ``etui runs --json``, without samples or log.

Units (milliseconds, bytes, seconds) are part of the names. What was not measured is None, never zero.
"""

from __future__ import annotations

import msgspec

from etui.results import AccuracyVerdict, Interval, SpeedVerdict, Status


class SummaryLatency(msgspec.Struct, kw_only=True, frozen=True):
    """The latency values of a summary, in milliseconds."""

    mean: float | None = None
    median: float | None = None
    min: float | None = None
    max: float | None = None
    std: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    ci95: Interval | None = None


class SummaryRatio(msgspec.Struct, kw_only=True, frozen=True):
    """The speed-up of a summary."""

    value: float | None = None
    ci95: Interval | None = None
    verdict: SpeedVerdict | None = None


class SummaryAccuracy(msgspec.Struct, kw_only=True, frozen=True):
    """The end-to-end accuracy values of a summary, over all outputs and inputs. ``top1`` and ``top5`` are the shares (0
    to 1) of agreeing classes, for outputs that are class scores."""

    mae: float | None = None
    max_abs: float | None = None
    rmse: float | None = None
    sqnr_db: float | None = None
    cosine: float | None = None
    top1: float | None = None
    top5: float | None = None
    verdict: AccuracyVerdict | None = None


class RunSummary(msgspec.Struct, kw_only=True, frozen=True):
    """One row of the runs table and one element of ``etui runs --json``; every value comes from a database column.
    ``flags`` are names; ``load_ms`` is program load plus method load; ``box`` is the machine name."""

    id: str
    session: str
    status: Status
    created_at: str
    model: str
    precision: str
    delegate: str
    weights: str | None
    threads: int | None
    preset: str
    latency_ms: SummaryLatency
    eager_latency_ms: SummaryLatency
    speedup: SummaryRatio
    first_inference_ms: float | None
    load_ms: float | None
    accuracy: SummaryAccuracy
    size_bytes: int | None
    peak_rss_bytes: int | None
    flags: list[str]
    error: str | None = None
    box: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    note: str = ""
    tags: list[str] = []
