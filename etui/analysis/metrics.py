"""The metrics in which runs can be compared: group, name, which direction is better, and how to read the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec

from etui import text
from etui.analysis.keep_fp32 import kept_fp32
from etui.results import Block, Metrics, RunDocument

Better = Literal["lower", "higher"] | None
Value = float | int | str | None
Figure = tuple[str, str, Better, Callable[[RunDocument], Value]]
BYTES_IN_MB = 1e6

ONCE_A_BLOCK: dict[str, Callable[[Block], float | None]] = {
    "first inference ms": lambda block: block.first_inference_ms,
    "program load ms": lambda block: block.program_load_ms,
    "method load ms": lambda block: block.method_load_ms,
}
"""The metrics that each block measures once."""

WITHOUT_CHANGE = frozenset({"SQNR dB", "cosine", "top-1", "top-5"})
"""Metrics for which a change in percent is meaningless."""


def figures(documents: Sequence[RunDocument]) -> Iterator[Figure]:
    """Yield all metrics in display order, including one for each package whose version any run recorded."""
    for name in ("median", "mean", "min", "max", "std", "mad", "p90", "p95", "p99"):
        # A spread has no interval that could show whether a smaller one is significant.
        better: Better = None if name in ("std", "mad") else "lower"
        yield "latency", f"{name} ms", better, partial(_of, lambda run: run.latency_ms, name)
    yield "latency", "samples", None, partial(_of, lambda run: run.latency_ms, "count")
    yield "latency", "against eager", "higher", partial(_of, lambda run: run.speedup, "value")
    yield "start", "first inference ms", "lower", lambda run: run.first_inference_ms
    yield "start", "program load ms", "lower", lambda run: run.program_load_ms
    yield "start", "method load ms", "lower", lambda run: run.method_load_ms
    yield "memory", "peak RSS MB", "lower", partial(_megabytes, lambda run: run.memory, "peak_rss_bytes")
    yield "memory", "RSS after load MB", "lower", partial(_megabytes, lambda run: run.memory, "load_rss_bytes")
    yield "memory", "planned MB", "lower", partial(_megabytes, lambda run: run.memory, "planned_bytes")
    yield "size", "size MB", "lower", partial(_megabytes, lambda run: run.artifact, "size_bytes")
    for name, label, better_of in _METRICS:
        yield "accuracy", label, better_of, partial(_of, _overall, name)
    yield "accuracy", "verdict", None, lambda run: run.accuracy.verdict if run.accuracy else None
    yield "delegation", "nodes delegated", None, partial(_of, lambda run: run.delegation, "delegated_nodes")
    yield "delegation", "nodes outside", None, partial(_of, lambda run: run.delegation, "undelegated_nodes")
    yield "delegation", "subgraphs", None, partial(_of, lambda run: run.delegation, "subgraphs")
    for label, read in _ENVIRONMENT.items():
        yield "environment", label, None, read
    for package in sorted({name for run in documents if run.environment for name in run.environment.versions}):
        if package != "etui":
            yield "environment", package, None, partial(_version, package)


_METRICS: tuple[tuple[str, str, Better], ...] = (
    ("mae", "MAE", "lower"),
    ("max_abs", "max error", "lower"),
    ("rmse", "RMSE", "lower"),
    ("sqnr_db", "SQNR dB", "higher"),
    ("cosine", "cosine", "higher"),
    ("top1", "top-1", "higher"),
    ("top5", "top-5", "higher"),
)

_ENVIRONMENT: dict[str, Callable[[RunDocument], Value]] = {
    "model": lambda run: run.model.name,
    "status": lambda run: run.status,
    "when": lambda run: text.local_time(run.created_at),
    "session": lambda run: run.session.id,
    "preset": lambda run: run.preset,
    "threads": lambda run: None if run.threads is None else str(run.threads),
    "arithmetic": lambda run: run.arithmetic,
    "kept in FP32": lambda run: ", ".join(kept_fp32(run)) or None,
    "weights": lambda run: f"{run.weights.kind} {(run.weights.sha256 or '')[:8]}".strip() if run.weights else None,
    "inputs": lambda run: f"{run.inputs.kind} {(run.inputs.sha256 or '')[:8]}".strip() if run.inputs else None,
    "box": lambda run: run.environment.box if run.environment else None,
    "CPU": lambda run: run.environment.cpu if run.environment else None,
    "governor": lambda run: (run.environment.governor or "not readable") if run.environment else None,
    "Python": lambda run: run.environment.python if run.environment else None,
    "etui": lambda run: run.etui_version,
    "flags": lambda run: ", ".join(flag.name for flag in run.flags) or "none",
}


def _overall(run: RunDocument) -> Metrics | None:
    return run.accuracy.end_to_end.overall if run.accuracy else None


def _of(part: Callable[[RunDocument], msgspec.Struct | None], field: str, run: RunDocument) -> float | None:
    """Return a field of an optional part of the run, None if the part is missing; counts remain integers."""
    owner = part(run)
    value: float | None = getattr(owner, field) if owner is not None else None
    return value


def _megabytes(part: Callable[[RunDocument], msgspec.Struct | None], field: str, run: RunDocument) -> float | None:
    count = _of(part, field, run)
    return None if count is None else count / BYTES_IN_MB


def _version(package: str, run: RunDocument) -> str | None:
    return run.environment.versions.get(package) if run.environment else None
