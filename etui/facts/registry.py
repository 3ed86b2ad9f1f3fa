"""The facts of a run: every one is declared here once.

Columns of the database, filters, columns of tables, rows of comparisons, the JSON summary and the reference are derived
from these declarations. The order of ``RunSummary`` is the order of fields in the JSON summary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from etui.facts.fact import Comparison, Fact, Filter, ScreenColumn, StoredFacts
from etui.facts.kinds import (
    BYTES,
    COUNT,
    DECIBELS,
    ERROR,
    LIST,
    MILLISECONDS,
    MILLISECONDS_INTERVAL,
    NUMBER,
    PERCENT,
    POINTS,
    RATIO,
    RATIO_INTERVAL,
    SHARE,
    SIMILARITY,
    SIZE,
    TEXT,
    TIME,
    YES_NO,
)
from etui.results import (
    AccuracyVerdict,
    Artifact,
    Delegation,
    Environment,
    InputsInfo,
    LatencyStats,
    Memory,
    Metrics,
    Ratio,
    RunDocument,
    SpeedVerdict,
    Status,
    TaskEvaluation,
    TaskMetric,
    WeightsInfo,
)
from etui.spec import size_text

P = TypeVar("P")
T = TypeVar("T")


def _latency(run: RunDocument) -> LatencyStats | None:
    return run.latency_ms


def _eager_latency(run: RunDocument) -> LatencyStats | None:
    return run.eager_latency_ms


def _speedup(run: RunDocument) -> Ratio | None:
    return run.speedup


def _metrics(run: RunDocument) -> Metrics | None:
    return run.accuracy.end_to_end.overall if run.accuracy else None


def _task(run: RunDocument) -> TaskMetric | None:
    return run.accuracy.task if run.accuracy else None


def _evaluation(run: RunDocument) -> TaskEvaluation | None:
    task = _task(run)
    return task.evaluation if task is not None else None


def _percent(found: TaskEvaluation, metric: str) -> float | None:
    return 100 * found.program.value if found.metric == metric else None


def _evaluated(found: TaskEvaluation) -> str:
    data = found.data
    split = f" {data.split}" if data.split else ""
    return f"{found.metric}, {data.name}{split}, {data.images:,} images, {data.sha256[:8]}"


def _memory(run: RunDocument) -> Memory | None:
    return run.memory


def _delegation(run: RunDocument) -> Delegation | None:
    return run.delegation


def _artifact(run: RunDocument) -> Artifact | None:
    return run.artifact


def _environment(run: RunDocument) -> Environment | None:
    return run.environment


def _of(part: Callable[[RunDocument], P | None], read: Callable[[P], T | None]) -> Callable[[RunDocument], T | None]:
    """Return a function that reads a value of an optional part of a run, None if the part is missing."""

    def read_from(run: RunDocument) -> T | None:
        owner = part(run)
        return None if owner is None else read(owner)

    return read_from


def _sum(first: float | None, second: float | None) -> float | None:
    """Return the sum of those that were measured; None if neither was."""
    known = [value for value in (first, second) if value is not None]
    return sum(known) if known else None


def _half_width(stats: LatencyStats) -> float | None:
    """Return half of the median's 95 % interval in percent of the median, as migration 7 does."""
    if stats.ci95 is None or not stats.median:
        return None
    return (stats.ci95[1] - stats.ci95[0]) / 2 / stats.median * 100


def per_item_ms(stats: LatencyStats | None, batch: int | None) -> float | None:
    """Return the median latency divided by the requested number of items; None if no batch was requested."""
    return None if stats is None or stats.median is None or batch is None else stats.median / batch


def _hashed(info: WeightsInfo | InputsInfo | None) -> str | None:
    """Return the kind of weights or inputs with the beginning of their hash."""
    return None if info is None else f"{info.kind} {(info.sha256 or '')[:8]}".strip()


class RunSummary(StoredFacts):
    """One row of the runs table, and one element of ``etui runs --json``: the facts that are columns of the database.

    Units (milliseconds, bytes) are part of the names. What was not measured is None, never zero.
    """

    __slots__ = ()

    @property
    def configuration(self) -> str:
        """Precision and delegate with the shape, threads and method if these were requested; see ``RunDocument``."""
        return self.variant or f"{self.precision}/{self.delegate}"

    id = Fact(
        read=lambda run: run.id,
        kind=TEXT,
        title="run",
        about="Run id",
        filter=Filter(key="id", match="prefix"),
        screen=ScreenColumn(heading="id", cells=6, spare=14, tone="faint"),
        indexed=True,
        scanned=True,
    )
    session = Fact(
        read=lambda run: run.session.id,
        kind=TEXT,
        title="session",
        about="Id of the session",
        filter=Filter(key="session", match="prefix", hint="its beginning, or last for the newest session"),
        comparison=Comparison(group="environment"),
    )
    status: Fact[Status] = Fact(
        read=lambda run: run.status,
        kind=TEXT,
        title="status",
        about="Status of the run",
        filter=Filter(key="status", values=get_args(Status)),
        comparison=Comparison(group="environment"),
        indexed=True,
        scanned=True,
    )
    created_at = Fact(
        read=lambda run: run.created_at,
        kind=TIME,
        title="when",
        about="When the run was queued",
        filter=Filter(key="when", hint="such as when:2026-11-20 or when>2026-11-01"),
        screen=ScreenColumn(cells=5, most=11, spare=4, clips=True),
        comparison=Comparison(group="environment"),
        indexed=True,
        scanned=True,
    )
    model = Fact(
        read=lambda run: run.model.name,
        kind=TEXT,
        title="model",
        about="Model",
        filter=Filter(key="model", suggested=True),
        screen=ScreenColumn(cells=10, most=26, spare=0, whole=True, cuts_middle=True),
        comparison=Comparison(group="environment"),
        indexed=True,
        scanned=True,
        early=True,
    )
    precision = Fact(
        read=lambda run: run.precision,
        kind=TEXT,
        title="precision",
        about="Precision",
        filter=Filter(key="precision", suggested=True),
        screen=ScreenColumn(cells=5, most=22, spare=0, whole=True, narrow="prec"),
        indexed=True,
        scanned=True,
    )
    delegate = Fact(
        read=lambda run: run.delegate,
        kind=TEXT,
        title="delegate",
        about="Delegate",
        filter=Filter(key="delegate", suggested=True),
        screen=ScreenColumn(
            about="Delegate, with input size, batch (b4), sequence (s64), threads (t2), dyn and method if requested",
            cells=8,
            most=30,
            spare=1,
            whole=True,
        ),
        indexed=True,
        scanned=True,
    )
    weights = Fact(
        read=lambda run: run.weights.kind if run.weights else None,
        kind=TEXT,
        title="weights",
        about="Source of the weights",
        filter=Filter(key="weights", values=("pretrained", "checkpoint", "synthetic", "embedded"), suggested=True),
        screen=ScreenColumn(cells=10, spare=11, tone="faint"),
        comparison=Comparison(group="environment", read=lambda run: _hashed(run.weights)),
        indexed=True,
        scanned=True,
        early=True,
    )
    threads = Fact(
        read=lambda run: run.threads,
        kind=COUNT,
        title="threads",
        about="Threads",
        filter=Filter(key="threads"),
        screen=ScreenColumn(heading="thr", cells=3, spare=10, tone="faint"),
        # As text, because it is a property of the configuration: it has no best value.
        comparison=Comparison(group="environment", read=lambda run: None if run.threads is None else str(run.threads)),
        indexed=True,
        scanned=True,
    )
    preset = Fact(
        read=lambda run: run.preset,
        kind=TEXT,
        title="preset",
        about="Measurement preset",
        filter=Filter(key="preset", values=("quick", "default", "rigorous"), suggested=True),
        screen=ScreenColumn(cells=8, spare=17, tone="faint", off=True),
        comparison=Comparison(group="environment"),
        indexed=True,
        scanned=True,
    )

    latency_mean_ms = Fact(
        read=_of(_latency, lambda stats: stats.mean),
        kind=MILLISECONDS,
        title="mean",
        about="Mean latency in ms",
        json="latency_ms.mean",
        filter=Filter(key="mean"),
        better="lower",
        comparison=Comparison(group="latency"),
        indexed=True,
        scanned=True,
    )
    latency_median_ms = Fact(
        read=_of(_latency, lambda stats: stats.median),
        kind=MILLISECONDS,
        title="median",
        about="Median latency in ms",
        json="latency_ms.median",
        filter=Filter(key="p50"),
        better="lower",
        screen=ScreenColumn(heading="p50 ms", spare=0),
        comparison=Comparison(group="latency"),
        indexed=True,
        scanned=True,
    )
    latency_min_ms = Fact(
        read=_of(_latency, lambda stats: stats.min),
        kind=MILLISECONDS,
        title="min",
        about="Shortest latency in ms",
        json="latency_ms.min",
        better="lower",
        comparison=Comparison(group="latency"),
    )
    latency_max_ms = Fact(
        read=_of(_latency, lambda stats: stats.max),
        kind=MILLISECONDS,
        title="max",
        about="Longest latency in ms",
        json="latency_ms.max",
        better="lower",
        comparison=Comparison(group="latency"),
    )
    # A spread has no interval that could show whether a smaller one is significant, so no direction is better.
    latency_std_ms = Fact(
        read=_of(_latency, lambda stats: stats.std),
        kind=MILLISECONDS,
        title="std",
        about="Standard deviation of the latency in ms",
        json="latency_ms.std",
        comparison=Comparison(group="latency"),
    )
    latency_p90_ms = Fact(
        read=_of(_latency, lambda stats: stats.p90),
        kind=MILLISECONDS,
        title="p90",
        about="90th percentile in ms (needs 100 samples)",
        json="latency_ms.p90",
        filter=Filter(key="p90"),
        better="lower",
        comparison=Comparison(group="latency"),
        indexed=True,
    )
    latency_p95_ms = Fact(
        read=_of(_latency, lambda stats: stats.p95),
        kind=MILLISECONDS,
        title="p95",
        about="95th percentile in ms (needs 200 samples)",
        json="latency_ms.p95",
        filter=Filter(key="p95"),
        better="lower",
        screen=ScreenColumn(cells=7, spare=9),
        comparison=Comparison(group="latency"),
        indexed=True,
        scanned=True,
    )
    latency_p99_ms = Fact(
        read=_of(_latency, lambda stats: stats.p99),
        kind=MILLISECONDS,
        title="p99",
        about="99th percentile in ms (needs 1,000 samples)",
        json="latency_ms.p99",
        filter=Filter(key="p99"),
        better="lower",
        comparison=Comparison(group="latency"),
        indexed=True,
    )
    latency_ci95_ms = Fact(
        read=_of(_latency, lambda stats: stats.ci95),
        kind=MILLISECONDS_INTERVAL,
        title="95 % interval",
        about="95 % interval of the median latency in ms",
        short="ci",
        columns=("latency_ci95_low_ms", "latency_ci95_high_ms"),
        json="latency_ms.ci95",
        screen=ScreenColumn(
            heading="95% ci",
            about="Half of the 95 % interval; ! wide or flagged, ? very wide",
            cells=6,
            spare=5,
            order_by="latency_ci95_percent",
            tail=4,
        ),
        indexed=True,
        scanned=True,
    )
    latency_ci95_percent = Fact(
        read=_of(_latency, _half_width),
        kind=PERCENT,
        title="half-width",
        about="Half-width of the median's 95 % interval, in percent of the median",
        json="",
        filter=Filter(key="ci_percent", names=("ci",)),
        indexed=True,
    )

    eager_latency_mean_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.mean),
        kind=MILLISECONDS,
        title="eager mean",
        about="Mean latency of eager in ms",
        json="eager_latency_ms.mean",
    )
    eager_latency_median_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.median),
        kind=MILLISECONDS,
        title="eager",
        about="Median latency of eager in ms",
        json="eager_latency_ms.median",
        filter=Filter(key="eager"),
        screen=ScreenColumn(spare=12),
        indexed=True,
        scanned=True,
    )
    eager_latency_min_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.min),
        kind=MILLISECONDS,
        title="eager min",
        about="Shortest latency of eager in ms",
        json="eager_latency_ms.min",
    )
    eager_latency_max_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.max),
        kind=MILLISECONDS,
        title="eager max",
        about="Longest latency of eager in ms",
        json="eager_latency_ms.max",
    )
    eager_latency_std_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.std),
        kind=MILLISECONDS,
        title="eager std",
        about="Standard deviation of the latency of eager in ms",
        json="eager_latency_ms.std",
    )
    eager_latency_p90_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.p90),
        kind=MILLISECONDS,
        title="eager p90",
        about="90th percentile of eager in ms (needs 100 samples)",
        json="eager_latency_ms.p90",
    )
    eager_latency_p95_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.p95),
        kind=MILLISECONDS,
        title="eager p95",
        about="95th percentile of eager in ms (needs 200 samples)",
        json="eager_latency_ms.p95",
    )
    eager_latency_p99_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.p99),
        kind=MILLISECONDS,
        title="eager p99",
        about="99th percentile of eager in ms (needs 1,000 samples)",
        json="eager_latency_ms.p99",
    )
    eager_latency_ci95_ms = Fact(
        read=_of(_eager_latency, lambda stats: stats.ci95),
        kind=MILLISECONDS_INTERVAL,
        title="eager 95 % interval",
        about="95 % interval of the median latency of eager in ms",
        columns=("eager_latency_ci95_low_ms", "eager_latency_ci95_high_ms"),
        json="eager_latency_ms.ci95",
    )

    speedup = Fact(
        read=_of(_speedup, lambda ratio: ratio.value),
        kind=RATIO,
        title="against eager",
        about="Speedup over eager",
        json="speedup.value",
        filter=Filter(key="speedup", names=("xeager", "vs eager")),
        better="higher",
        screen=ScreenColumn(
            heading="speedup", about="Speedup over eager; ! wide or flagged, ? unreliable", spare=2, tail=5
        ),
        comparison=Comparison(group="latency"),
        indexed=True,
        scanned=True,
    )
    speedup_ci95 = Fact(
        read=_of(_speedup, lambda ratio: ratio.ci95),
        kind=RATIO_INTERVAL,
        title="speedup 95 % interval",
        about="95 % interval of the speedup over eager",
        columns=("speedup_low", "speedup_high"),
        json="speedup.ci95",
    )
    speed_verdict: Fact[SpeedVerdict | None] = Fact(
        read=_of(_speedup, lambda ratio: ratio.verdict),
        kind=TEXT,
        title="speed verdict",
        about="Verdict of the comparison with eager",
        json="speedup.verdict",
        filter=Filter(key="speed", values=get_args(SpeedVerdict)),
        indexed=True,
        scanned=True,
    )
    first_inference_ms = Fact(
        read=lambda run: run.first_inference_ms,
        kind=MILLISECONDS,
        title="first inference",
        about="First inference in ms",
        filter=Filter(key="first"),
        better="lower",
        screen=ScreenColumn(heading="first ms", spare=16, off=True),
        comparison=Comparison(group="start", per_block=lambda block: block.first_inference_ms),
        indexed=True,
        scanned=True,
    )
    load_ms = Fact(
        read=lambda run: _sum(run.program_load_ms, run.method_load_ms),
        kind=MILLISECONDS,
        title="load",
        about="Program load plus method load in ms",
        filter=Filter(key="load"),
        indexed=True,
        scanned=True,
    )

    mae = Fact(
        read=_of(_metrics, lambda metrics: metrics.mae),
        kind=ERROR,
        title="MAE",
        about="Mean absolute error of the outputs",
        json="accuracy.mae",
        filter=Filter(key="mae"),
        better="lower",
        screen=ScreenColumn(spare=6),
        comparison=Comparison(group="accuracy"),
        indexed=True,
        scanned=True,
        early=True,
    )
    max_abs = Fact(
        read=_of(_metrics, lambda metrics: metrics.max_abs),
        kind=ERROR,
        title="max error",
        about="Largest absolute error of the outputs",
        json="accuracy.max_abs",
        filter=Filter(key="max"),
        better="lower",
        comparison=Comparison(group="accuracy"),
        indexed=True,
        early=True,
    )
    rmse = Fact(
        read=_of(_metrics, lambda metrics: metrics.rmse),
        kind=ERROR,
        title="RMSE",
        about="Root mean square error of the outputs",
        json="accuracy.rmse",
        filter=Filter(key="rmse"),
        better="lower",
        comparison=Comparison(group="accuracy"),
        indexed=True,
        early=True,
    )
    sqnr_db = Fact(
        read=_of(_metrics, lambda metrics: metrics.sqnr_db),
        kind=DECIBELS,
        title="SQNR",
        about="Signal-to-quantization-noise ratio in dB",
        json="accuracy.sqnr_db",
        filter=Filter(key="sqnr"),
        better="higher",
        screen=ScreenColumn(spare=8, off=True),
        comparison=Comparison(group="accuracy"),
        indexed=True,
        scanned=True,
        early=True,
    )
    cosine = Fact(
        read=_of(_metrics, lambda metrics: metrics.cosine),
        kind=SIMILARITY,
        title="cosine",
        about="Cosine similarity of the outputs",
        json="accuracy.cosine",
        filter=Filter(key="cosine"),
        better="higher",
        comparison=Comparison(group="accuracy"),
        indexed=True,
        early=True,
    )
    top1 = Fact(
        read=_of(_metrics, lambda metrics: metrics.top1),
        kind=SHARE,
        title="top-1",
        about="Top-1 agreement with eager",
        json="accuracy.top1",
        filter=Filter(key="top1", hint="written as a share from 0 to 1"),
        better="higher",
        screen=ScreenColumn(about="Top-1 agreement with eager, in percent", spare=13),
        comparison=Comparison(group="accuracy"),
        indexed=True,
        early=True,
    )
    top5 = Fact(
        read=_of(_metrics, lambda metrics: metrics.top5),
        kind=SHARE,
        title="top-5",
        about="Top-5 agreement with eager",
        json="accuracy.top5",
        filter=Filter(key="top5", hint="written as a share from 0 to 1"),
        better="higher",
        comparison=Comparison(group="accuracy"),
        indexed=True,
        early=True,
    )
    map_percent = Fact(
        read=_of(_evaluation, lambda found: _percent(found, "mAP")),
        kind=PERCENT,
        title="mAP",
        about="Mean average precision on labelled images in percent",
        json="accuracy.map_percent",
        filter=Filter(key="map", hint="in percent"),
        better="higher",
        screen=ScreenColumn(spare=12, off=True),
        comparison=Comparison(group="accuracy"),
        indexed=True,
    )
    task_top1_percent = Fact(
        read=_of(_evaluation, lambda found: _percent(found, "top-1")),
        kind=PERCENT,
        title="task top-1",
        about="Share of labelled images whose category is found in percent",
        json="accuracy.task_top1_percent",
        filter=Filter(key="task-top1", hint="in percent; top1 is the agreement with eager"),
        better="higher",
        screen=ScreenColumn(spare=12, off=True),
        comparison=Comparison(group="accuracy"),
        indexed=True,
    )
    verdict: Fact[AccuracyVerdict | None] = Fact(
        read=lambda run: run.accuracy.verdict if run.accuracy else None,
        kind=TEXT,
        title="verdict",
        about="Verdict on accuracy",
        json="accuracy.verdict",
        filter=Filter(key="verdict", names=("accuracy",), values=get_args(AccuracyVerdict)),
        screen=ScreenColumn(about="Accuracy verdict, or how the run ended", cells=11, spare=0),
        comparison=Comparison(group="accuracy"),
        indexed=True,
        scanned=True,
        early=True,
    )

    size_bytes = Fact(
        read=_of(_artifact, lambda artifact: artifact.size_bytes),
        kind=BYTES,
        title="size",
        about="Size of the program",
        filter=Filter(key="size", hint="in MB, or with its unit: size<500kB; the size of images is input_size"),
        better="lower",
        screen=ScreenColumn(about="Size of the program in MB", spare=7),
        comparison=Comparison(group="size"),
        indexed=True,
        scanned=True,
        early=True,
    )
    peak_rss_bytes = Fact(
        read=_of(_memory, lambda memory: memory.peak_rss_bytes),
        kind=BYTES,
        title="peak RSS",
        about="Peak memory",
        filter=Filter(key="rss"),
        better="lower",
        screen=ScreenColumn(heading="RSS MB", about="Peak memory in MB", cells=6, spare=15),
        comparison=Comparison(group="memory"),
        indexed=True,
        scanned=True,
        early=True,
    )
    flags = Fact(
        read=lambda run: [flag.name for flag in run.flags],
        kind=LIST,
        title="flags",
        about="Warning flags",
        short="flags",
        filter=Filter(key="flag"),
        screen=ScreenColumn(most=30, spare=13, tone="warn"),
        comparison=Comparison(group="environment"),
        indexed=True,
        scanned=True,
    )
    error = Fact(
        read=lambda run: run.error,
        kind=TEXT,
        title="error",
        about="Error of a run that failed",
        filter=Filter(key="error", match="prose"),
    )
    box = Fact(
        read=lambda run: run.environment.box if run.environment else None,
        kind=TEXT,
        title="box",
        about="Machine it ran on",
        filter=Filter(key="box", suggested=True),
        screen=ScreenColumn(heading="machine", most=16, spare=18, tone="faint", off=True),
        comparison=Comparison(group="environment"),
        indexed=True,
        scanned=True,
        early=True,
    )
    started_at = Fact(read=lambda run: run.started_at, kind=TIME, title="started", about="When preparation began")
    finished_at = Fact(
        read=lambda run: run.finished_at, kind=TIME, title="finished", about="When the run ended", indexed=True
    )
    note = Fact(
        read=lambda run: run.note,
        kind=TEXT,
        title="note",
        about="Note",
        filter=Filter(key="note", match="prose"),
        screen=ScreenColumn(about="Note, or the error", cells=12, most=60, spare=19),
        indexed=True,
        scanned=True,
    )
    tags = Fact(
        read=lambda run: run.tags,
        kind=LIST,
        title="tags",
        about="Tags",
        short="tags",
        filter=Filter(key="tag"),
        screen=ScreenColumn(cells=8, most=20, spare=20),
        indexed=True,
        scanned=True,
    )
    input_size: Fact[tuple[int, int] | None] = Fact(
        read=lambda run: run.input_size,
        kind=SIZE,
        title="input size",
        about="Requested height and width of the images in pixels",
        columns=("input_height", "input_width"),
        filter=Filter(
            key="input_size",
            names=("resolution",),
            hint="the height, such as input_size:224; -has:input_size finds the model's own",
        ),
        screen=ScreenColumn(heading="input", spare=9, off=True),
        comparison=Comparison(group="environment", read=lambda run: run.input_size and size_text(run.input_size)),
        indexed=True,
    )
    batch = Fact(
        read=lambda run: run.batch,
        kind=COUNT,
        title="batch",
        about="Requested number of items in one inference",
        filter=Filter(key="batch", hint="-has:batch finds the model's own"),
        screen=ScreenColumn(cells=5, spare=9, off=True),
        # As text, like the threads: a property of the configuration has no best value.
        comparison=Comparison(group="environment", read=lambda run: None if run.batch is None else str(run.batch)),
        indexed=True,
    )
    sequence = Fact(
        read=lambda run: run.sequence,
        kind=COUNT,
        title="sequence",
        about="Requested number of tokens of each text",
        filter=Filter(key="sequence", names=("tokens",), hint="-has:sequence finds the model's own"),
        screen=ScreenColumn(heading="seq", cells=5, spare=9, off=True),
        comparison=Comparison(
            group="environment", read=lambda run: None if run.sequence is None else str(run.sequence)
        ),
        indexed=True,
    )
    dynamic = Fact(
        read=lambda run: run.dynamic,
        kind=YES_NO,
        title="dynamic",
        about="Whether the program takes a range of shapes",
        filter=Filter(key="dynamic", hint="1 or 0"),
        screen=ScreenColumn(heading="dyn", cells=3, spare=9, off=True),
        comparison=Comparison(group="environment", read=lambda run: "yes" if run.dynamic else None),
    )
    method = Fact(
        read=lambda run: run.method,
        kind=TEXT,
        title="method",
        about="Measured method of a finished program",
        filter=Filter(key="method", suggested=True, hint="-has:method finds forward"),
        screen=ScreenColumn(cells=8, most=16, spare=9, off=True),
        comparison=Comparison(group="environment"),
    )
    variant = Fact(
        read=lambda run: run.variant,
        kind=TEXT,
        title="variant",
        about="Name in the session, if it is more than precision and delegate",
    )
    summary_only = Fact(
        read=lambda run: run.summary_only,
        kind=YES_NO,
        title="summary only",
        about="Whether the run was imported without raw samples",
        json="",
    )
    etui_version = Fact(
        read=lambda run: run.etui_version,
        kind=TEXT,
        title="etui",
        about="Version of etui that measured the run",
        json="",
        comparison=Comparison(group="environment"),
    )


LATENCY_PER_ITEM: Fact[float | None] = Fact(
    name="latency_per_item_ms",
    read=lambda run: per_item_ms(run.latency_ms, run.batch),
    kind=MILLISECONDS,
    title="per item",
    about="Median latency divided by the batch in ms",
    better="lower",
    comparison=Comparison(group="latency"),
)

PLANNED_BYTES: Fact[int | None] = Fact(
    name="planned_bytes",
    read=_of(_memory, lambda memory: memory.planned_bytes),
    kind=BYTES,
    title="planned",
    better="lower",
    comparison=Comparison(group="memory"),
)

MEAN_AVERAGE_PRECISION = RunSummary.map_percent
TASK_TOP1 = RunSummary.task_top1_percent

DOCUMENT_FACTS: tuple[Fact[Any], ...] = (
    LATENCY_PER_ITEM,
    Fact(
        name="latency_mad_ms",
        read=_of(_latency, lambda stats: stats.mad),
        kind=MILLISECONDS,
        title="mad",
        comparison=Comparison(group="latency"),
    ),
    Fact(
        name="samples",
        read=_of(_latency, lambda stats: stats.count),
        kind=COUNT,
        title="samples",
        comparison=Comparison(group="latency"),
    ),
    Fact(
        name="program_load_ms",
        read=lambda run: run.program_load_ms,
        kind=MILLISECONDS,
        title="program load",
        better="lower",
        comparison=Comparison(group="start", per_block=lambda block: block.program_load_ms),
    ),
    Fact(
        name="method_load_ms",
        read=lambda run: run.method_load_ms,
        kind=MILLISECONDS,
        title="method load",
        better="lower",
        comparison=Comparison(group="start", per_block=lambda block: block.method_load_ms),
    ),
    Fact(
        name="load_rss_bytes",
        read=_of(_memory, lambda memory: memory.load_rss_bytes),
        kind=BYTES,
        title="RSS after load",
        better="lower",
        comparison=Comparison(group="memory"),
    ),
    PLANNED_BYTES,
    Fact(
        name="delegated_nodes",
        read=_of(_delegation, lambda delegation: delegation.delegated_nodes),
        kind=COUNT,
        title="nodes delegated",
        comparison=Comparison(group="delegation"),
    ),
    Fact(
        name="undelegated_nodes",
        read=_of(_delegation, lambda delegation: delegation.undelegated_nodes),
        kind=COUNT,
        title="nodes outside",
        comparison=Comparison(group="delegation"),
    ),
    Fact(
        name="subgraphs",
        read=_of(_delegation, lambda delegation: delegation.subgraphs),
        kind=COUNT,
        title="subgraphs",
        comparison=Comparison(group="delegation"),
    ),
    Fact(
        name="arithmetic",
        read=lambda run: run.arithmetic,
        kind=TEXT,
        title="arithmetic",
        comparison=Comparison(group="environment"),
    ),
    Fact(
        name="task_metric",
        read=_of(_task, lambda task: task.program if task.evaluation is None else None),
        kind=NUMBER,
        title="task metric",
        better="higher",
        comparison=Comparison(group="accuracy"),
    ),
    Fact(
        name="task_metric_eager",
        read=_of(_task, lambda task: task.eager if task.evaluation is None else None),
        kind=NUMBER,
        title="task metric of eager",
        better="higher",
        comparison=Comparison(group="accuracy"),
    ),
    Fact(
        name="task_loss",
        read=_of(_evaluation, lambda found: -100 * found.difference.value + 0.0),
        kind=POINTS,
        title="loss to eager on the task",
        better="lower",
        comparison=Comparison(group="accuracy"),
    ),
    Fact(
        name="evaluated_images",
        read=_of(_evaluation, _evaluated),
        kind=TEXT,
        title="task metric and images",
        comparison=Comparison(group="accuracy"),
    ),
    Fact(
        name="inputs",
        read=lambda run: _hashed(run.inputs),
        kind=TEXT,
        title="inputs",
        comparison=Comparison(group="environment"),
    ),
    Fact(
        name="cpu",
        read=_of(_environment, lambda environment: environment.cpu),
        kind=TEXT,
        title="CPU",
        comparison=Comparison(group="environment"),
    ),
    Fact(
        name="governor",
        read=_of(_environment, lambda environment: environment.governor or "not readable"),
        kind=TEXT,
        title="governor",
        comparison=Comparison(group="environment"),
    ),
    Fact(
        name="python",
        read=_of(_environment, lambda environment: environment.python),
        kind=TEXT,
        title="Python",
        comparison=Comparison(group="environment"),
    ),
)
"""Facts that only the whole document has: they have no column in the database."""

FACTS: tuple[Fact[Any], ...] = (*RunSummary.FACTS, *DOCUMENT_FACTS)
"""All facts of a run."""

BY_SHORT: dict[str, Fact[Any]] = {fact.short: fact for fact in RunSummary.FACTS}
"""The facts that are columns of the database, by their names as columns of tables."""

BY_KEY: dict[str, Fact[Any]] = {fact.filter.key: fact for fact in RunSummary.FACTS if fact.filter is not None}
"""The facts that filters can compare, by their keys."""
