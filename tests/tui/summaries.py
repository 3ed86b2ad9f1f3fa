"""Made-up rows of the runs table."""

from __future__ import annotations

from typing import Any

import msgspec

from etui.summary import RunSummary, SummaryAccuracy, SummaryLatency, SummaryRatio


def make_summary(run_id: str, **changes: Any) -> RunSummary:
    """A finished run of resnet18 FP32 on XNNPACK, as ``make_document`` has it, changed."""
    summary = RunSummary(
        id=run_id,
        session="5e5510000001",
        status="done",
        created_at="2026-11-10T10:00:00.000Z",
        model="resnet18",
        precision="fp32",
        delegate="xnnpack",
        weights="synthetic",
        threads=2,
        preset="quick",
        latency_ms=SummaryLatency(median=16.4, ci95=(16.0, 16.9)),
        eager_latency_ms=SummaryLatency(median=20.0),
        speedup=SummaryRatio(value=1.2),
        first_inference_ms=30.0,
        load_ms=21.0,
        accuracy=SummaryAccuracy(mae=0.02, verdict="PASS"),
        size_bytes=46_700_000,
        peak_rss_bytes=180 << 20,
        flags=[],
        box="bench-1",
    )
    return msgspec.structs.replace(summary, **changes)
