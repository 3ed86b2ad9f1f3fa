"""Made-up rows of the runs table."""

from __future__ import annotations

from etui.facts import RunSummary

_VALUES: dict[str, object] = {
    "session": "5e5510000001",
    "status": "done",
    "created_at": "2026-11-10T10:00:00.000Z",
    "model": "resnet18",
    "precision": "fp32",
    "delegate": "xnnpack",
    "weights": "synthetic",
    "threads": 2,
    "preset": "quick",
    "latency_median_ms": 16.4,
    "latency_ci95_ms": (16.0, 16.9),
    "eager_latency_median_ms": 20.0,
    "speedup": 1.2,
    "first_inference_ms": 30.0,
    "load_ms": 21.0,
    "mae": 0.02,
    "verdict": "PASS",
    "size_bytes": 46_700_000,
    "peak_rss_bytes": 180 << 20,
    "flags": [],
    "box": "bench-1",
    "note": "",
    "tags": [],
    "summary_only": False,
}


def make_summary(run_id: str, **changes: object) -> RunSummary:
    """A finished run of resnet18 FP32 on XNNPACK, as ``make_document`` has it, with other values of some facts."""
    values = _VALUES | {"id": run_id} | changes
    return RunSummary([values.get(fact.name) for fact in RunSummary.FACTS])


def with_facts(run: RunSummary, **changes: object) -> RunSummary:
    """The run with other values of some facts."""
    return RunSummary([changes.get(fact.name, fact.of(run)) for fact in RunSummary.FACTS])
