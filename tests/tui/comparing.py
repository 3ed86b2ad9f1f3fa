"""Made-up runs for the compare and trend screens: four of one session, and others that cannot all be compared."""

from __future__ import annotations

import msgspec
import pytest

from etui.catalog.find import Model, find_model
from etui.results import Accuracy, Comparison, Metrics, RunDocument
from etui.services.duel import DuelOptions, DuelPlan
from etui.spec import Variant
from etui.store import QueuedSession, Store
from tests.analysis.comparisons import LATER, measured
from tests.documents import ENVIRONMENT, MODEL, make_accuracy, make_document, make_spec, make_stats

BASE, INT8, OPENVINO, FP16 = "aaaaaaaaaaa1", "bbbbbbbbbbb2", "ccccccccccc3", "ddddddddddd4"
OTHER_THREADS, OTHER_MODEL, FAILED, SUMMARY = "eeeeeeeeeee5", "fffffffffff6", "999999999997", "888888888888"


QueuedDuels = list[tuple[str, str, DuelOptions]]
"""Duels as their two runs and options."""


def accuracy(sqnr_db: float | None, mae: float) -> Accuracy:
    """A passing accuracy; without SQNR an exact one."""
    metrics = Metrics(mae=mae, max_abs=mae * 9, rmse=mae * 2, sqnr_db=sqnr_db, cosine=0.999, exact=sqnr_db is None)
    made = make_accuracy(mae)
    overall = Comparison(against="FP32 eager", overall=metrics, worst=metrics, outputs=[])
    return msgspec.structs.replace(made, end_to_end=overall)


def variants() -> list[RunDocument]:
    """Four variants of one session: base, one three times as fast and smaller, one twice as fast, one as fast."""
    shapes = (
        (BASE, "fp32", "xnnpack", 16.0, 46_700_000, accuracy(126.0, 5e-7)),
        (INT8, "int8", "xnnpack", 5.0, 11_700_000, accuracy(28.0, 0.02)),
        (OPENVINO, "fp32", "openvino", 8.0, 46_800_000, accuracy(47.0, 0.004)),
        (FP16, "fp16", "xnnpack", 16.05, 23_400_000, accuracy(60.0, 0.001)),
    )
    made = []
    for seed, (run_id, precision, delegate, median, size, found) in enumerate(shapes):
        document = measured(run_id, median=median, seed=seed, precision=precision, delegate=delegate)
        document.accuracy = found
        assert document.artifact is not None
        document.artifact = msgspec.structs.replace(document.artifact, size_bytes=size)
        document.flags, document.note, document.tags = [], "", []
        made.append(document)
    return made


def not_comparable() -> list[RunDocument]:
    """Runs that cannot be compared with the base, each for another reason."""
    threads = measured(OTHER_THREADS, median=16.0, seed=9, session_id=LATER)
    threads.threads = 1
    model = measured(OTHER_MODEL, median=20.0, seed=10, session_id="5e5510000003")
    model.model = msgspec.structs.replace(MODEL, name="gpt2", identity="gpt2")
    failed = make_document(FAILED, session_id="5e5510000004")
    failed.status, failed.error, failed.blocks = "failed", "lowering failed: no kernel", []
    failed.latency_ms = failed.speedup = failed.accuracy = failed.artifact = None
    summary = make_document(SUMMARY, session_id="5e5510000005", median=15.0)
    summary.summary_only, summary.blocks = True, []
    made = [threads, model, failed, summary]
    for day, document in enumerate(made, 21):
        document.created_at = f"2026-11-{day}T10:00:00.000Z"
        document.flags = []
    return made


def past(count: int = 14, step_at: int = 8, *, failed_at: int = 3) -> list[RunDocument]:
    """Runs of one choice, days apart, slower by 10 % with another ExecuTorch from ``step_at`` on; one failed."""
    made = []
    day = 1
    for number in range(count):
        document = make_document(
            f"{number:012x}", session_id=f"5e55{number:08x}", created_at=f"2026-10-{day:02d}T10:00:00.000Z"
        )
        median = (16.0 if number < step_at else 17.6) + 0.02 * (number * 7 % 5)
        versions = {"torch": "2.13.0", "executorch": "1.5.0" if number < step_at else "1.5.1"}
        document.latency_ms = make_stats(median)
        document.environment = msgspec.structs.replace(ENVIRONMENT, versions=versions)
        document.flags = []
        if number == failed_at:
            document.status, document.error = "failed", "lowering failed: no kernel"
            document.latency_ms = document.accuracy = None
        made.append(document)
        day += 1 + number % 3
    return made


def queued_duels(monkeypatch: pytest.MonkeyPatch) -> QueuedDuels:
    """Count the programs of all runs as available; return the list of the duels that are queued from now on."""
    queued: QueuedDuels = []

    def plan(store: Store, first: str, second: str, _options: DuelOptions) -> DuelPlan:
        spec = make_spec()
        models: dict[Variant, Model] = dict.fromkeys(spec.variants, find_model("resnet18"))
        return DuelPlan(spec=spec, runs=(store.document(first), store.document(second)), models=models)

    def queue(store: Store, first: str, second: str, options: DuelOptions) -> QueuedSession:
        queued.append((first, second, options))
        return store.add_session(make_spec(), model=MODEL, box="bench-1")

    monkeypatch.setattr("etui.tui.compare.duel.plan_duel", plan)
    monkeypatch.setattr("etui.services.duel.queue_duel", queue)
    return queued
