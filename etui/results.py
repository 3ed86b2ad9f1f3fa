"""What came out of a run: one typed tree, from which both the JSON document and the database rows are made.

Milliseconds, bytes and seconds stand in the names. What was not measured is None, never zero. A figure that would be
infinite (the SQNR of an exact match) is None with ``exact`` true, since JSON has no infinity.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from etui.insight import GraphStage, NumericGap, Profile, Section, UndelegatedNode

SCHEMA = "etui.run/1"

Status = Literal["queued", "preparing", "measuring", "done", "failed", "cancelled", "timed out", "interrupted"]
LIVE_STATUSES: frozenset[str] = frozenset({"queued", "preparing", "measuring"})
ENDED_STATUSES: frozenset[str] = frozenset({"done", "failed", "cancelled", "timed out", "interrupted"})

AnalysisStatus = Literal["queued", "running", "done", "failed", "cancelled", "timed out", "interrupted"]
LIVE_ANALYSIS_STATUSES: frozenset[str] = frozenset({"queued", "running"})

AccuracyVerdict = Literal["PASS", "FAIL", "UNPROVEN"]
SpeedVerdict = Literal["faster", "slower", "equivalent", "inconclusive", "unreliable"]
Interval = tuple[float, float]


class LatencyStats(msgspec.Struct, kw_only=True, frozen=True):
    """Latency of one variant over its blocks, in milliseconds; every block counts equally.

    ``median`` is the variant's latency everywhere in etui: the median over blocks of each block's median. ``ci95`` is
    its bootstrap interval. A percentile is None if there are too few samples for it (p90 needs 100, p95 200, p99
    1,000).
    """

    count: int | None
    mean: float | None
    median: float | None
    min: float | None
    max: float | None
    std: float | None
    mad: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    ci95: Interval | None = None


class Ratio(msgspec.Struct, kw_only=True, frozen=True):
    """How many times faster than its baseline a variant is: above 1 is faster. ``blocks`` is the number of pairs of
    blocks. ``reason`` says why a verdict is ``unreliable``: what disturbed most blocks of either side."""

    value: float
    ci95: Interval | None = None
    verdict: SpeedVerdict | None = None
    blocks: int = 0
    reason: str = ""


class Flag(msgspec.Struct, kw_only=True, frozen=True):
    """Something that spoils a number or must be known with it: a short ``name`` and a sentence with the figures."""

    name: str
    detail: str


class CallTiming(msgspec.Struct, kw_only=True, frozen=True):
    """Where the time of a program's call goes, in milliseconds: copying the inputs in, ``execute``, and copying the
    outputs out. ``execute_ms`` is what a C++ program sees of the same method. ``fixed_ms`` is a whole call of a program
    that adds 1 to eight numbers: what a call from Python costs when caches are warm and there is nothing to compute."""

    inputs_ms: float
    execute_ms: float
    outputs_ms: float
    fixed_ms: float | None = None


class Block(msgspec.Struct, kw_only=True):
    """One variant measured once in a fresh child process, as part of one randomized complete block.

    ``variant`` is ``eager`` or a variant's label; ``position`` its place in the block's order. ``samples_ms`` are the
    raw timed inferences in the order they were taken. ``cpu_s`` and ``wall_s`` cover the timed loop alone, and so do
    page faults, throttling and the pressures (percentages of that time); ``foreign_cpu_cores`` is how many cores
    something else kept busy meanwhile. ``first_sample_at`` is the wall-clock time at which timing began. ``canary_ms``
    is what the same small piece of work took before and after; where that was off, the block was measured again, and
    ``superseded`` marks the one that does not count. ``threads`` was read back from PyTorch and ExecuTorch;
    ``busy_threads`` is how many threads of the process, of whichever library, worked while it was timed, and ``cpus``
    the logical CPUs that it was held to. ``frequency_mhz`` is the mean of the CPUs that worked, at the beginning and at
    the end; ``frequency_range_mhz`` has the least and the most of each of them while they worked. ``call`` comes from
    further calls after the samples; eager, programs of a second or more per call, and older blocks have none.
    """

    index: int
    position: int
    variant: str
    started_at: str
    samples_ms: list[float]
    threads: int
    program_load_ms: float | None = None
    method_load_ms: float | None = None
    first_inference_ms: float | None = None
    warmup_count: int = 0
    warmup_settled: bool | None = None
    first_sample_at: str | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    foreign_cpu_cores: float | None = None
    throttled_ms: float | None = None
    steal_s: float | None = None
    frequency_mhz: tuple[float, float] | None = None
    memory_pressure: float | None = None
    cpu_pressure: float | None = None
    thermal_throttles: int | None = None
    major_faults: int | None = None
    minor_faults: int | None = None
    canary_ms: tuple[float, float] | None = None
    superseded: bool = False
    call: CallTiming | None = None
    cpus: list[int] | None = None
    busy_threads: int | None = None
    frequency_range_mhz: dict[str, tuple[float, float]] | None = None


class Metrics(msgspec.Struct, kw_only=True, frozen=True):
    """Distance of one output from its reference, or the worst of several.

    MAE, maximum and RMSE are in the output's own unit; ``sqnr_db = 10 log10(sum(ref^2) / sum((ref - out)^2))``.
    ``top1`` and ``top5`` are the shares of positions where the classes agree, where classes are what the output means.
    """

    mae: float | None = None
    max_abs: float | None = None
    rmse: float | None = None
    sqnr_db: float | None = None
    cosine: float | None = None
    top1: float | None = None
    top5: float | None = None
    exact: bool = False


class OutputAccuracy(msgspec.Struct, kw_only=True, frozen=True):
    """One output of one input against its reference. ``problem`` names a difference of structure or a non-finite value;
    ``informative`` is False for an output that is constant or of no magnitude."""

    input: int
    output: int
    name: str
    shape: list[int]
    dtype: str
    informative: bool
    metrics: Metrics | None = None
    problem: str | None = None


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """All outputs on all inputs against one reference. ``against`` says which; ``worst`` holds the worst value of each
    figure, ``overall`` the figures over all elements together (top-1 and top-5: the mean over the outputs)."""

    against: str
    overall: Metrics
    worst: Metrics
    outputs: list[OutputAccuracy]


class Tolerance(msgspec.Struct, kw_only=True, frozen=True):
    """What an output must reach to PASS; a field that is None is not asked for. ``source`` says where it came from."""

    sqnr_db_min: float | None = None
    cosine_min: float | None = None
    top1_min: float | None = None
    mae_max: float | None = None
    source: str = ""


class Accuracy(msgspec.Struct, kw_only=True, frozen=True):
    """How far the numbers moved. ``end_to_end``: the program against FP32 eager; ``lowering``: against the same
    quantized (or halved) graph before it was lowered, so what lowering did stands apart from what quantizing did."""

    verdict: AccuracyVerdict
    reason: str
    tolerance: Tolerance | None
    end_to_end: Comparison
    lowering: Comparison | None = None


class Memory(msgspec.Struct, kw_only=True, frozen=True):
    """Memory of load and inference, measured in a pass of its own.

    ``baseline_rss_bytes`` is the child before it loads anything (interpreter, torch and the runtime),
    ``peak_rss_bytes`` its highest point, ``load_rss_bytes`` after load. ``planned_bytes`` is what ExecuTorch's memory
    plan reserves; it leaves out what a delegate allocates for itself.
    """

    baseline_rss_bytes: int | None = None
    load_rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    planned_bytes: int | None = None


class Delegation(msgspec.Struct, kw_only=True, frozen=True):
    """How much of the graph the delegate took: node counts, subgraphs, and operators left outside with their counts.
    ``outside`` has each of those nodes with its place in the source, where that was kept."""

    delegated_nodes: int
    undelegated_nodes: int
    subgraphs: int
    undelegated_operators: dict[str, int]
    outside: list[UndelegatedNode] = []


class Stage(msgspec.Struct, kw_only=True, frozen=True):
    """One stage of a run (load, export, quantize, reference, lower, write, measure, accuracy, memory) and the seconds
    it took. ``cached`` means the seconds were spent when the program was first prepared, not in this run."""

    name: str
    seconds: float
    cached: bool = False


class Artifact(msgspec.Struct, kw_only=True, frozen=True):
    """The program that was measured. ``key`` is its content address in the cache, ``sha256`` that of the file,
    ``sections`` what the file is made of."""

    kind: Literal["pte"]
    size_bytes: int
    sha256: str
    key: str
    cached: bool = False
    sections: list[Section] = []


class ModelInfo(msgspec.Struct, kw_only=True, frozen=True):
    """Which model it was. ``identity`` is the source id for a catalog model, else a hash of the user's own file and of
    the modules it imported from outside the installed packages. ``sources`` has the hash of each of those modules by
    its name; None where they were not recorded."""

    name: str
    family: str
    source: str
    identity: str
    parameters: int | None = None
    outputs: str = ""
    sources: dict[str, str] | None = None


class WeightsInfo(msgspec.Struct, kw_only=True, frozen=True):
    """Which weights: ``kind`` pretrained, checkpoint or synthetic, and in words where they came from.
    ``sha256`` is the hash of the state that was used, whatever its origin: the state dict, and for a user's own model
    every other tensor of its modules."""

    kind: Literal["pretrained", "checkpoint", "synthetic", "embedded"]
    detail: str
    revision: str | None = None
    sha256: str | None = None


class InputsInfo(msgspec.Struct, kw_only=True, frozen=True):
    """Which inputs: ``kind`` (photos, sentences, tokens, photos and sentences, example, examples, random), in words,
    and shapes; ``sha256`` over their bytes; how many served accuracy and calibration; ``split`` says in words how
    those for calibration differ from those for accuracy (empty in older documents and if nothing is calibrated)."""

    kind: str
    detail: str
    shapes: list[list[int]]
    dtypes: list[str]
    accuracy_count: int
    calibration_count: int | None = None
    sha256: str | None = None
    split: str = ""


class Environment(msgspec.Struct, kw_only=True, frozen=True):
    """The box and the software a session ran on; None is 'not readable here'. ``not_readable`` names what could not be
    watched while it was measured; None in documents of before that was noted.

    ``variables`` are the environment variables that belong to the identity of a run and were set, ``nice`` the nice
    level and ``affinity`` the logical CPUs of the processes that measured; None in documents that do not record them.
    """

    box: str
    os: str
    cpu: str
    cores: int
    memory_bytes: int | None
    governor: str | None
    turbo: bool | None
    virtualized: bool | None
    cgroup_cpus: float | None
    python: str
    versions: dict[str, str]
    cpu_flags: list[str] = []
    not_readable: list[str] | None = None
    variables: dict[str, str] | None = None
    nice: int | None = None
    affinity: list[int] | None = None


class QuietCheck(msgspec.Struct, kw_only=True, frozen=True):
    """How the machine looked right before a session's first block, after waiting ``waited_s`` seconds for other
    programs to calm down. ``calm`` is False for a session that was measured although they had not.

    ``foreign_cpu_cores`` is how many cores they kept busy, ``cpu_pressure`` the percentage of the time in which tasks
    waited for a core, both of the last look; None is 'not readable here'. ``by`` names those that used most, the most
    first: what was seen of them in the last look at a busy machine.
    """

    waited_s: float
    calm: bool
    foreign_cpu_cores: float | None = None
    cpu_pressure: float | None = None
    by: list[str] = []


class SessionInfo(msgspec.Struct, kw_only=True, frozen=True):
    """The session a run belongs to: runs of one session were measured interleaved and can be compared in pairs.
    ``spec`` is the session's specification as plain data."""

    id: str
    created_at: str
    spec: dict[str, object]


class LogLine(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One line of a run's log, as it stands in the document: what an event said, without progress."""

    at: str
    level: str
    message: str
    kind: str = "log"
    stage: str | None = None
    of_session: bool = False


class RunDocument(msgspec.Struct, kw_only=True):
    """The whole of one run: what ``etui show --json`` prints, what export writes and import reads.

    ``eager_blocks`` are the session's, repeated in each of its runs, so that a run compares alone; ``eager_flags`` are
    about them, and one flag named ``eager`` in ``flags`` stands for all of these. ``call`` has the median over the
    blocks of each part of a call. ``note`` and ``tags`` are the user's. ``summary_only`` marks runs that came from a
    format without raw samples. ``repeats`` is the run whose program a run of a duel measured again. ``quiet`` is how
    the machine looked before the first block; None if nobody looked.
    """

    schema: str = SCHEMA
    etui_version: str
    id: str
    session: SessionInfo
    status: Status
    created_at: str
    model: ModelInfo
    precision: str
    delegate: str
    preset: str
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    weights: WeightsInfo | None = None
    inputs: InputsInfo | None = None
    threads: int | None = None
    arithmetic: str | None = None
    latency_ms: LatencyStats | None = None
    eager_latency_ms: LatencyStats | None = None
    speedup: Ratio | None = None
    program_load_ms: float | None = None
    method_load_ms: float | None = None
    first_inference_ms: float | None = None
    eager_first_inference_ms: float | None = None
    call: CallTiming | None = None
    accuracy: Accuracy | None = None
    memory: Memory | None = None
    eager_memory: Memory | None = None
    delegation: Delegation | None = None
    artifact: Artifact | None = None
    stages: list[Stage] = []
    graph_stages: list[GraphStage] = []
    profile: Profile | None = None
    gap: NumericGap | None = None
    environment: Environment | None = None
    flags: list[Flag] = []
    eager_flags: list[Flag] = []
    quiet: QuietCheck | None = None
    summary_only: bool = False
    repeats: str | None = None
    note: str = ""
    tags: list[str] = []
    blocks: list[Block] = []
    eager_blocks: list[Block] = []
    superseded_blocks: list[Block] = []
    log: list[LogLine] = []
