"""The parts of a run's document that are not columns or rows, stored as one JSON value in the table ``details``."""

from __future__ import annotations

import msgspec

from etui.insight import GraphStage, NumericGap, Profile, Section
from etui.results import (
    SCHEMA,
    AccuracyVerdict,
    CallTiming,
    Delegation,
    Flag,
    InputsInfo,
    LatencyStats,
    Memory,
    Metrics,
    ModelInfo,
    QuietCheck,
    Ratio,
    SessionInfo,
    Stage,
    TaskMetric,
    Tolerance,
    WeightsInfo,
)


class ComparisonDetail(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A comparison without its outputs, which are rows of the table ``accuracy``."""

    against: str
    overall: Metrics
    worst: Metrics


class AccuracyDetail(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The accuracy of a run without its outputs."""

    verdict: AccuracyVerdict
    reason: str
    end_to_end: ComparisonDetail
    tolerance: Tolerance | None = None
    lowering: ComparisonDetail | None = None
    task: TaskMetric | None = None


class RunDetail(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The parts of a run's document that are stored as JSON.

    ``session`` is set only if the document describes its session differently from the session's row. ``log`` are ranges
    of event ids (first and last); None means all events of the run, which is the case for a run measured here.
    ``profile`` has no operators: they are rows (see ``etui.store.operators``). ``saved`` is whether the run was saved
    whole; before that its blocks are those of the session.
    """

    model: ModelInfo
    schema: str = SCHEMA
    session: SessionInfo | None = None
    weights: WeightsInfo | None = None
    inputs: InputsInfo | None = None
    arithmetic: str | None = None
    latency_ms: LatencyStats | None = None
    eager_latency_ms: LatencyStats | None = None
    speedup: Ratio | None = None
    program_load_ms: float | None = None
    method_load_ms: float | None = None
    eager_first_inference_ms: float | None = None
    call: CallTiming | None = None
    accuracy: AccuracyDetail | None = None
    memory: Memory | None = None
    eager_memory: Memory | None = None
    delegation: Delegation | None = None
    stages: list[Stage] = []
    graph_stages: list[GraphStage] = []
    sections: list[Section] = []
    profile: Profile | None = None
    gap: NumericGap | None = None
    analyses: dict[str, dict[str, object]] | msgspec.UnsetType = msgspec.UNSET
    task: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    flags: list[Flag] = []
    eager_flags: list[Flag] = []
    quiet: QuietCheck | None = None
    repeats: str | None = None
    log: list[tuple[int, int]] | None = None
    saved: bool = False


def encode_detail(detail: RunDetail) -> str:
    """Return a detail as JSON text."""
    return msgspec.json.encode(detail).decode()


def decode_detail(text: str) -> RunDetail:
    """Return the detail from JSON text. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=RunDetail)
