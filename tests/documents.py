"""Synthetic runs for tests: documents in which every field is filled, without measuring anything."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.results import (
    Accuracy,
    Artifact,
    Block,
    CategoryEvaluation,
    CategoryValues,
    ChangedImage,
    Comparison,
    Delegation,
    Environment,
    Flag,
    InputsInfo,
    LatencyStats,
    LogLine,
    Memory,
    Metrics,
    ModelInfo,
    OutputAccuracy,
    Ratio,
    RunDocument,
    SessionInfo,
    Stage,
    TaskData,
    TaskEstimate,
    TaskEvaluation,
    TaskMetric,
    Tolerance,
    WeightsInfo,
)
from etui.spec import SessionSpec, Variant
from etui.store.transfer import encoded

MODEL = ModelInfo(name="resnet18", family="vision", source="torchvision", identity="resnet18", parameters=11_689_512)
ENVIRONMENT = Environment(
    box="bench-1",
    os="Linux 6.1",
    cpu="A CPU",
    cores=2,
    memory_bytes=8 << 30,
    governor=None,
    turbo=None,
    virtualized=True,
    cgroup_cpus=2.0,
    python="3.11.9",
    versions={"torch": "2.13.0", "executorch": "1.5.1"},
    cpu_flags=["avx512_bf16"],
)


def encode_documents(documents: Sequence[RunDocument]) -> bytes:
    """Return one run as its document, several as an array, as ``etui export`` writes them."""
    return b"".join(encoded(documents, many=len(documents) > 1))


def make_spec(*variants: tuple[str, str], model: str = "resnet18") -> SessionSpec:
    """Return a specification of these (precision, delegate) pairs; FP32 and INT8 on XNNPACK by default."""
    pairs = variants or (("fp32", "xnnpack"), ("int8", "xnnpack"))
    return SessionSpec(model=model, variants=tuple(Variant(*pair) for pair in pairs))


def make_block(variant: str, index: int, base_ms: float = 16.0) -> Block:
    """Return a block of eight samples around ``base_ms``."""
    return Block(
        index=index,
        position=0 if variant == "eager" else 1,
        variant=variant,
        started_at=f"2026-11-20T10:00:{index:02d}.000Z",
        samples_ms=[base_ms + 0.1 * step + index / 3 for step in range(8)],
        threads=2,
        program_load_ms=1.25,
        method_load_ms=20.5,
        first_inference_ms=base_ms * 2,
        warmup_count=3,
        warmup_settled=True,
        frequency_mhz=(2000.0, 3000.5),
    )


def make_stats(median: float) -> LatencyStats:
    """Return statistics around a median, without p99."""
    return LatencyStats(
        count=24,
        mean=median + 0.1,
        median=median,
        min=median - 1,
        max=median + 2,
        std=0.3,
        p90=median + 1,
        p95=median + 1.5,
        ci95=(median - 0.2, median + 0.2),
    )


def make_accuracy(mae: float = 0.01) -> Accuracy:
    """Return a passing accuracy with two outputs, one of which has no shape to compare."""
    metrics = Metrics(mae=mae, max_abs=mae * 9, rmse=mae * 2, sqnr_db=28.5, cosine=0.999, top1=1.0, top5=0.96)
    outputs = [
        OutputAccuracy(
            input=0, output=0, name="logits", shape=[1, 1000], dtype="float32", informative=True, metrics=metrics
        ),
        OutputAccuracy(
            input=1, output=0, name="logits", shape=[], dtype="float32", informative=False, problem="not finite"
        ),
    ]
    exact = Metrics(mae=0.0, max_abs=0.0, rmse=0.0, exact=True)
    return Accuracy(
        verdict="PASS",
        reason="SQNR 28.5 dB is above 20 dB",
        tolerance=Tolerance(sqnr_db_min=20.0, source="catalog"),
        end_to_end=Comparison(against="FP32 eager", overall=metrics, worst=metrics, outputs=outputs),
        lowering=Comparison(against="the INT8 graph", overall=exact, worst=exact, outputs=[]),
    )


def make_evaluation(*, drop: float = 0.1, changed: int = 2, multi_label: bool = True) -> TaskEvaluation:
    """Return an evaluation on 40 images of three categories. The program loses ``drop`` in the category ``cat`` and
    nothing else, and the first ``changed`` images lose the category ``cat``."""

    def values(metric: float) -> CategoryValues:
        curve = [1.0 - (1 - metric) * step / 10 for step in range(21)] if multi_label else []
        return CategoryValues(
            predicted=12,
            average_precision=metric if multi_label else None,
            precision=0.8,
            recall=metric,
            f1=0.8,
            precisions=curve,
        )

    eager = {"cat": 0.8, "dog": 0.7, "tree [old]": 0.9}
    mean = sum(eager.values()) / len(eager)
    return TaskEvaluation(
        metric="mAP" if multi_label else "top-1",
        data=TaskData(
            name="pets", split="val", kind="multi-label" if multi_label else "single-label", images=40, of=100,
            sha256="da7a" * 16,
        ),
        eager=TaskEstimate(value=mean, ci95=(mean - 0.05, mean + 0.04)),
        program=TaskEstimate(value=mean - drop / 3, ci95=(mean - drop / 3 - 0.05, mean - drop / 3 + 0.04)),
        difference=TaskEstimate(value=-drop / 3, ci95=(-drop / 3 - 0.01, -drop / 3 + 0.01)),
        threshold=0.4 if multi_label else None,
        threshold_source="metadata" if multi_label else None,
        categories=[
            CategoryEvaluation(
                name=name, positives=10 + place, eager=values(value), program=values(value - drop * (name == "cat"))
            )
            for place, (name, value) in enumerate(eager.items())
        ],
        changed=[
            ChangedImage(
                path=f"val/{number:03}.jpg", labels=["cat", "dog"], eager=["cat", "dog"], program=["dog"],
                change=0.5 - number / 100,
            )
            for number in range(changed)
        ],
        changed_count=changed,
    )  # fmt: skip


def with_evaluation(document: RunDocument, evaluation: TaskEvaluation) -> RunDocument:
    """Return a run that was evaluated on labelled images."""
    assert document.accuracy is not None
    task = TaskMetric(
        name=evaluation.metric,
        eager=evaluation.eager.value,
        program=evaluation.program.value,
        count=evaluation.data.images,
        evaluation=evaluation,
    )
    return msgspec.structs.replace(document, accuracy=msgspec.structs.replace(document.accuracy, task=task))


def make_document(
    run_id: str = "aaaaaaaaaaa1",
    *,
    session_id: str = "5e5510000001",
    precision: str = "fp32",
    delegate: str = "xnnpack",
    median: float = 16.0,
    created_at: str = "2026-11-20T10:00:00.000Z",
    model: ModelInfo = MODEL,
) -> RunDocument:
    """Return a finished run with every field filled; two of one session share their eager blocks and session log."""
    return RunDocument(
        etui_version="0.1.0",
        id=run_id,
        session=SessionInfo(
            id=session_id, created_at=created_at, spec={"model": model.name, "seed": 0, "threads": None}
        ),
        status="done",
        created_at=created_at,
        started_at=created_at,
        finished_at="2026-11-20T10:01:00.000Z",
        model=model,
        precision=precision,
        delegate=delegate,
        preset="quick",
        weights=WeightsInfo(kind="synthetic", detail="seeded, BatchNorm re-estimated", sha256="ab" * 32),
        inputs=InputsInfo(
            kind="photos", detail="two photos", shapes=[[1, 3, 224, 224]], dtypes=["float32"], accuracy_count=8
        ),
        threads=2,
        latency_ms=make_stats(median),
        eager_latency_ms=make_stats(20.0),
        speedup=Ratio(value=20.0 / median, ci95=(1.1, 1.4), verdict="faster", blocks=3),
        program_load_ms=1.25,
        method_load_ms=20.5,
        first_inference_ms=30.0,
        eager_first_inference_ms=45.0,
        accuracy=make_accuracy(),
        memory=Memory(baseline_rss_bytes=100 << 20, load_rss_bytes=150 << 20, peak_rss_bytes=180 << 20),
        eager_memory=Memory(peak_rss_bytes=220 << 20),
        delegation=Delegation(delegated_nodes=68, undelegated_nodes=2, subgraphs=1, undelegated_operators={"mean": 2}),
        artifact=Artifact(kind="pte", size_bytes=46_700_000, sha256="cd" * 32, key="ef" * 8),
        stages=[Stage(name="export", seconds=1.5), Stage(name="lower", seconds=5.25, cached=True)],
        environment=ENVIRONMENT,
        flags=[Flag(name="spread", detail="the spread is 12 %")],
        note="a note",
        tags=["tag"],
        blocks=[make_block(f"{precision}/{delegate}", index, median) for index in range(3)],
        eager_blocks=[make_block("eager", index, 20.0) for index in range(3)],
        log=[
            LogLine(at=created_at, level="info", message="waiting for the machine lock", kind="stage", of_session=True),
            LogLine(at=created_at, level="info", message=f"measuring {precision}", kind="stage", stage="measure"),
            LogLine(at=created_at, level="warning", message="twice"),
            LogLine(at=created_at, level="warning", message="twice"),
        ],
    )
