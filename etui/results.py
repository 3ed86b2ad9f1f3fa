"""The results of a run: one typed tree, from which both the JSON document and the database rows are made.

Units (milliseconds, bytes, seconds) are part of the names. What was not measured is None, never zero. A value that
would be infinite (the SQNR of an exact match) is None with ``exact`` true, since JSON has no infinity.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from etui.insight import GraphStage, NumericGap, Profile, Section, UndelegatedNode

SCHEMA = "etui.run/1"

Status = Literal["queued", "preparing", "measuring", "done", "failed", "cancelled", "timed out", "interrupted"]
LIVE_STATUSES: frozenset[str] = frozenset({"queued", "preparing", "measuring"})
ENDED_STATUSES: frozenset[str] = frozenset({"done", "failed", "cancelled", "timed out", "interrupted"})

AnalysisStatus = Literal["queued", "running", "done", "failed", "cancelled", "timed out", "interrupted"]
LIVE_ANALYSIS_STATUSES: frozenset[str] = frozenset({"queued", "running"})

AccuracyVerdict = Literal["PASS", "FAIL", "UNPROVEN"]
ACCURACY_VERDICTS: tuple[AccuracyVerdict, ...] = get_args(AccuracyVerdict)
SpeedVerdict = Literal["faster", "slower", "equivalent", "inconclusive", "unreliable"]
Interval = tuple[float, float]


class LatencyStats(msgspec.Struct, kw_only=True, frozen=True):
    """Latency of one variant over its blocks, in milliseconds; every block has the same weight.

    ``median`` is the latency of the variant everywhere in etui: the median over blocks of each block's median. ``ci95``
    is its bootstrap interval. A percentile is None if there are too few samples for it (p90 needs 100, p95 200, p99
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
    """Speed-up of a variant over its baseline; a value above 1 means faster. ``blocks`` is the number of pairs of
    blocks. ``reason`` explains an ``unreliable`` verdict: what disturbed most blocks of either side."""

    value: float
    ci95: Interval | None = None
    verdict: SpeedVerdict | None = None
    blocks: int = 0
    reason: str = ""


class Flag(msgspec.Struct, kw_only=True, frozen=True):
    """A measurement-quality warning: a short ``name`` and a sentence with the measured values."""

    name: str
    detail: str


class CallTiming(msgspec.Struct, kw_only=True, frozen=True):
    """Time of one call of a program by part, in milliseconds: copying the inputs, ``execute``, and copying the outputs.

    ``execute_ms`` is what a C++ program measures for the same method. ``fixed_ms`` is a whole call of a program that
    adds 1 to eight numbers: the fixed cost of a call from Python with warm caches.
    """

    inputs_ms: float
    execute_ms: float
    outputs_ms: float
    fixed_ms: float | None = None


class DeviceTiming(msgspec.Struct, kw_only=True, frozen=True):
    """The device of a block that was not timed on the CPU. The samples of the block are then the time of the device
    (CUDA events around each call) with inputs and outputs on the device; ``wall_ms`` is the median time of a call until
    the device is done, by the CPU's clock. ``clock_mhz`` is the device's clock right before and after the samples."""

    name: str
    wall_ms: float
    clock_mhz: tuple[float, float] | None = None


class Block(msgspec.Struct, kw_only=True):
    """One pass of one variant in a fresh worker process, as part of one randomized complete block.

    ``variant`` is ``eager`` or the label of a variant; ``position`` is its place in the order of the block.
    ``samples_ms`` are the raw timed inferences in the order of measurement. ``cpu_s`` and ``wall_s`` cover the timed
    loop only, and so do page faults, throttling and the pressures (percentages of that time); ``foreign_cpu_cores`` is
    the number of cores that other processes kept busy during it. ``first_sample_at`` is the wall-clock time at which
    timing began.

    ``canary_ms`` is the time of a fixed small kernel before and after the block; if it deviated, the block was measured
    again, and ``superseded`` marks the one that does not count. ``threads`` was read back from PyTorch and ExecuTorch;
    ``busy_threads`` is the number of threads of the process, of any library, that ran while it was timed, and ``cpus``
    the logical CPUs in its affinity mask. ``frequency_mhz`` is the mean over the CPUs that ran, at the beginning and at
    the end; ``frequency_range_mhz`` has the minimum and maximum of each of them. ``call`` comes from further calls
    after the samples; it is None for eager, for programs of a second or more per call, and in older documents.
    ``device`` is None for what was executed by the CPU.
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
    device: DeviceTiming | None = None


class Metrics(msgspec.Struct, kw_only=True, frozen=True):
    """Distance of one output from its reference, or the worst of several.

    MAE, maximum and RMSE are in the output's own unit; ``sqnr_db = 10 log10(sum(ref^2) / sum((ref - out)^2))``.
    ``top1`` and ``top5`` are the shares (0 to 1) of positions at which the classes agree, for outputs that are class
    scores; ``top1`` also for outputs of 32- and 64-bit integers, which are classes.
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
    """One output for one input, compared with its reference. ``problem`` names a difference in structure or a
    non-finite value; ``informative`` is False for an output that is constant or of negligible magnitude."""

    input: int
    output: int
    name: str
    shape: list[int]
    dtype: str
    informative: bool
    metrics: Metrics | None = None
    problem: str | None = None


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """All outputs for all inputs, compared with one reference, which ``against`` names.

    ``worst`` has the worst value of each metric, ``overall`` the metrics over all elements together (top-1 and top-5:
    the mean over the outputs).
    """

    against: str
    overall: Metrics
    worst: Metrics
    outputs: list[OutputAccuracy]


class Tolerance(msgspec.Struct, kw_only=True, frozen=True):
    """Limits an output must meet to PASS; None means no limit. ``source`` names where those of outputs came from.
    ``map_drop`` and ``top1_drop`` are the largest losses of the task's metric to eager, in percentage points."""

    sqnr_db_min: float | None = None
    cosine_min: float | None = None
    top1_min: float | None = None
    mae_max: float | None = None
    source: str = ""
    map_drop: float | None = None
    top1_drop: float | None = None


class MetricValue(msgspec.Struct, kw_only=True, frozen=True):
    """One metric on labelled evaluation inputs, of eager PyTorch and of the program; larger is better."""

    name: str
    eager: float
    program: float


class TaskEstimate(msgspec.Struct, kw_only=True, frozen=True):
    """A metric from 0 to 1, or a difference from -1 to 1, with its bootstrap interval over images. The interval is None
    with too few images, or if all resamples have the same value."""

    value: float
    ci95: Interval | None = None


class TaskData(msgspec.Struct, kw_only=True, frozen=True):
    """The images of an evaluation: ``images`` of the ``of`` images of a split, None if the data has no splits.
    ``name`` is that of the folder; ``sha256`` is over kind, categories, paths, labels and contents of the used ones."""

    name: str
    split: str | None
    kind: Literal["multi-label", "single-label"]
    images: int
    of: int
    sha256: str


class CategoryValues(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The metrics of one category. ``predicted`` is the number of images that it was predicted for. A value is None if
    it is not defined: ``recall`` without positives, ``precision`` without predictions, ``f1`` without both,
    ``average_precision`` without positives and for single-label data. ``precisions`` are those of the precision-recall
    curve at the recalls 0, 0.05 .. 1: of the highest threshold with at least that recall; empty without positives and
    for single-label data."""

    predicted: int
    average_precision: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    precisions: list[float] = []


class CategoryEvaluation(msgspec.Struct, kw_only=True, frozen=True):
    """One category, of which ``positives`` images are: the metrics of eager PyTorch and of the program."""

    name: str
    positives: int
    eager: CategoryValues
    program: CategoryValues


class ChangedImage(msgspec.Struct, kw_only=True, frozen=True):
    """An image to which eager PyTorch and the program give other categories. ``path`` is relative to the folder of the
    data; ``change`` is the largest change of a probability."""

    path: str
    labels: list[str]
    eager: list[str]
    program: list[str]
    change: float


class TaskEvaluation(msgspec.Struct, kw_only=True, frozen=True):
    """Eager PyTorch and the program evaluated on the same labelled images.

    ``difference`` is the program's metric minus eager's, with the paired interval: both on the same resamples, drawn
    with ``seed``. ``threshold`` is the probability from which a category counts as predicted, None for single-label
    data, and ``threshold_source`` where it came from. ``preprocessing`` describes how an image becomes an input
    (``etui.task_data.preprocessing.Preprocessing``). ``categories`` are the evaluated ones, in the order of the
    outputs; of single-label data those that an image has or was given. ``changed`` has the images whose categories
    differ with the largest changes, at most 50 of ``changed_count``.
    """

    metric: Literal["mAP", "top-1"]
    data: TaskData
    eager: TaskEstimate
    program: TaskEstimate
    difference: TaskEstimate
    seed: int = 0
    threshold: float | None = None
    threshold_source: Literal["metadata", "default"] | None = None
    preprocessing: dict[str, object] = {}
    categories: list[CategoryEvaluation] = []
    changed: list[ChangedImage] = []
    changed_count: int = 0


class TaskMetric(msgspec.Struct, kw_only=True, frozen=True):
    """The metric of a model with labels, of eager PyTorch and of the program; larger is better. ``count`` is the number
    of evaluation inputs, ``others`` are further metrics on them. Without ``evaluation`` the inputs are those that the
    outputs are compared on, with it they are the images of a labelled split (``--data``)."""

    name: str
    eager: float
    program: float
    count: int
    others: list[MetricValue] = []
    evaluation: TaskEvaluation | None = None


class Accuracy(msgspec.Struct, kw_only=True, frozen=True):
    """Accuracy of a program. ``end_to_end`` compares it with FP32 eager; ``lowering`` compares it with the same
    quantized (or half-precision) graph before lowering, which separates the error of lowering from that of
    quantization. ``task`` is the metric of a model with labels."""

    verdict: AccuracyVerdict
    reason: str
    tolerance: Tolerance | None
    end_to_end: Comparison
    lowering: Comparison | None = None
    task: TaskMetric | None = None


class Memory(msgspec.Struct, kw_only=True, frozen=True):
    """Memory use of load and inference, measured in a separate stage.

    ``baseline_rss_bytes`` is the resident memory of the worker before it loads anything (interpreter, torch and the
    runtime), ``load_rss_bytes`` after load, ``peak_rss_bytes`` the peak. ``planned_bytes`` is what ExecuTorch's memory
    plan reserves; it does not include what a delegate allocates itself. The memory of a GPU, of torch's allocator:
    ``device_loaded_bytes`` allocated after load, ``device_peak_bytes`` the peak of what was allocated,
    ``device_reserved_bytes`` the peak of what was reserved; None on the CPU.
    """

    baseline_rss_bytes: int | None = None
    load_rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    planned_bytes: int | None = None
    device_loaded_bytes: int | None = None
    device_peak_bytes: int | None = None
    device_reserved_bytes: int | None = None


class Delegation(msgspec.Struct, kw_only=True, frozen=True):
    """How much of the graph the delegate runs: node counts, partitions (``subgraphs``), and undelegated operators with
    their counts. ``outside`` has each undelegated node with its place in the source, if that was recorded."""

    delegated_nodes: int
    undelegated_nodes: int
    subgraphs: int
    undelegated_operators: dict[str, int]
    outside: list[UndelegatedNode] = []


class Stage(msgspec.Struct, kw_only=True, frozen=True):
    """One stage of a run (load, export, quantize, reference, lower, write, measure, accuracy, memory,
    evaluate; for baselines convert and compile) and its duration
    in seconds. ``cached`` means that the time was spent when the program was first prepared, not in this run."""

    name: str
    seconds: float
    cached: bool = False


class Artifact(msgspec.Struct, kw_only=True, frozen=True):
    """The program that was measured: an ExecuTorch program (``pte``), an ONNX model, a LiteRT model or
    a compiled library (``so``); ``json`` only describes how a module is executed, and is not stored with runs.
    ``key`` is its content address in the program cache, ``sha256`` the hash of the
    file, ``sections`` the parts of the file."""

    kind: Literal["pte", "onnx", "so", "tflite", "json"]
    size_bytes: int
    sha256: str
    key: str
    cached: bool = False
    sections: list[Section] = []


class ModelInfo(msgspec.Struct, kw_only=True, frozen=True):
    """The model of a run.

    ``identity`` is the source id of a catalog model, else a hash of the user's file and of the modules it imported from
    outside the installed packages. ``sources`` has the hash of each of those modules by name; None if not recorded.
    ``dtype`` is that of most of its weights, such as bf16; empty for FP32 and if not recorded.
    """

    name: str
    family: str
    source: str
    identity: str
    parameters: int | None = None
    outputs: str = ""
    sources: dict[str, str] | None = None
    dtype: str = ""


class WeightsInfo(msgspec.Struct, kw_only=True, frozen=True):
    """The weights of a run; ``detail`` describes where they came from. ``sha256`` is the hash of the state that was
    used, whatever its origin: the state dict, and for a user's own model also every other tensor of its modules."""

    kind: Literal["pretrained", "checkpoint", "synthetic", "embedded"]
    detail: str
    revision: str | None = None
    sha256: str | None = None


class InputsInfo(msgspec.Struct, kw_only=True, frozen=True):
    """The inputs of a run.

    ``kind`` is photos, sentences, tokens, photos and sentences, example, examples or random, and ``detail`` describes
    them; ``sha256`` is over their bytes; ``accuracy_count`` and ``calibration_count`` are the numbers of evaluation and
    calibration inputs. ``split`` describes how the two differ (empty in older documents and without calibration).
    ``accuracy_sha256`` and ``calibration_sha256`` are over the evaluation and the calibration inputs alone; None in
    older documents. ``names`` has the path of each tensor in the arguments, such as ``mask`` or ``boxes[0]``; empty if
    all are positional tensors. ``dynamic`` describes the dimensions that the model declares as dynamic. ``labels``
    describes the labels of inputs from a folder, or why they are not used; empty without labels.
    """

    kind: str
    detail: str
    shapes: list[list[int]]
    dtypes: list[str]
    accuracy_count: int
    calibration_count: int | None = None
    sha256: str | None = None
    split: str = ""
    accuracy_sha256: str | None = None
    calibration_sha256: str | None = None
    names: list[str] = []
    dynamic: list[str] = []
    labels: str = ""


class Environment(msgspec.Struct, kw_only=True, frozen=True):
    """The machine and software a session ran on; None means that a value cannot be read on this machine.

    ``box`` is the machine name. ``not_readable`` names the counters that could not be read during measurement; None in
    older documents. ``variables`` are the environment variables that belong to the identity of a run and were set,
    ``nice`` the nice level and ``affinity`` the logical CPUs of the measuring processes; None if not recorded.
    ``versions`` are those of the packages that every run depends on, ``runtime_versions`` those that only the run of a
    baseline depends on: of another runtime, and of the C++ compiler.
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
    runtime_versions: dict[str, str] = {}

    @property
    def all_versions(self) -> dict[str, str]:
        """Return the versions of everything that the run depends on."""
        return {**self.versions, **self.runtime_versions}


class QuietCheck(msgspec.Struct, kw_only=True, frozen=True):
    """The load of the machine right before the first block of a session, after waiting ``waited_s`` seconds for other
    programs to become idle. ``calm`` is False if the session was measured although they were still busy.

    ``foreign_cpu_cores`` is the number of cores they kept busy and ``cpu_pressure`` the percentage of time in which
    tasks waited for a core, both from the last check; None means that a value cannot be read. ``by`` names the programs
    that used most CPU in the last check that found the machine busy, the busiest first.
    """

    waited_s: float
    calm: bool
    foreign_cpu_cores: float | None = None
    cpu_pressure: float | None = None
    by: list[str] = []


class SessionInfo(msgspec.Struct, kw_only=True, frozen=True):
    """The session a run belongs to: runs of one session were measured interleaved and can be compared in pairs.
    ``spec`` is the specification of the session as plain data (see ``etui.spec.SessionSpec``)."""

    id: str
    created_at: str
    spec: dict[str, object]


class LogLine(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One line of a run's log: the message of an event. Progress events are not part of it. ``at`` is an ISO 8601
    time."""

    at: str
    level: str
    message: str
    kind: str = "log"
    stage: str | None = None
    of_session: bool = False


class RunDocument(msgspec.Struct, kw_only=True):
    """One complete run: what ``etui show --json`` prints, ``etui export`` writes and ``etui import`` reads.

    ``eager_blocks`` belong to the session and are repeated in each of its runs, so that a run can be compared without
    the others; ``eager_flags`` are about them, and one flag named ``eager`` in ``flags`` represents all of these.
    ``call`` has the median over the blocks of each part of a call. ``note`` and ``tags`` are set by the user.
    ``variant`` is the name of the variant in its session; None if that is precision and delegate alone. ``input_size``
    (height and width), ``batch`` and ``sequence`` are the requested shape of the inputs, None for the model's own;
    ``dynamic`` marks a program that was lowered for a range of shapes; ``method`` is the measured method of a finished
    program, if one was chosen.
    ``summary_only`` marks runs imported from a format without raw samples. ``repeats`` is the id of the run whose
    program a run of a duel measured again. ``quiet`` is the load of the machine before the first block; None if it was
    not checked. ``analyses`` are the results of the kinds of analysis that have no field, by the name of the kind.
    ``task`` is what is needed to use the program, if its weights are a checkpoint of a training: categories, kind and
    preprocessing, as in the metadata file next to a program.
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
    analyses: dict[str, dict[str, object]] | msgspec.UnsetType = msgspec.UNSET
    task: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    environment: Environment | None = None
    flags: list[Flag] = []
    eager_flags: list[Flag] = []
    quiet: QuietCheck | None = None
    summary_only: bool = False
    repeats: str | None = None
    variant: str | None = None
    input_size: tuple[int, int] | None = None
    batch: int | None = None
    sequence: int | None = None
    dynamic: bool = False
    method: str | None = None
    note: str = ""
    tags: list[str] = []
    blocks: list[Block] = []
    eager_blocks: list[Block] = []
    superseded_blocks: list[Block] = []
    log: list[LogLine] = []

    @property
    def configuration(self) -> str:
        """Precision and delegate with the shape, threads and method if these were requested: ``int8/xnnpack batch 4``.
        Unique within a session, except in a duel."""
        return self.variant or f"{self.precision}/{self.delegate}"

    @property
    def baseline(self) -> tuple[str, str]:
        """What identifies the eager baseline of the run: its session and the label of the baseline's blocks, which is
        empty without blocks. A session has one for each shape and number of threads."""
        return self.session.id, self.eager_blocks[0].variant if self.eager_blocks else ""
