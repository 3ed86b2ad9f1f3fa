"""The messages between runner and engine: jobs, their results, and the requests to a fork server.

A worker receives one job, writes ``LogMessage`` lines and finally one ``Done`` or ``JobError`` line to its report pipe,
and exits. The runner and a fork server, which forks the workers, exchange the requests and replies at the end of this
module.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, TypeVar, cast, get_args

import msgspec

from etui.events import Event
from etui.insight import GraphStage
from etui.machine_peaks import MeasuredRates
from etui.model_graph import ModelGraph
from etui.model_summary import ModelSummary
from etui.npu_prediction import NpuPrediction
from etui.results import (
    Accuracy,
    Artifact,
    Block,
    Delegation,
    InputsInfo,
    Memory,
    ModelInfo,
    Stage,
    TaskData,
    TaskMetric,
    Tolerance,
    WeightsInfo,
)
from etui.spec import OWN_SHAPE, Shape
from etui.task_training import TrainedModel, TrainingSettings
from etui.training_check import LossName, OptimizerName, TrainingCheck

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class BundleResult(msgspec.Struct, frozen=True, kw_only=True):
    """The path and content of a bundle. ``has_eager`` is False for a ``.pte``, which has no eager model. ``seed`` is
    the seed the model was built with, ``file_stamp`` changes if the user's file is written again. ``allow_pickle``: the
    user allowed the ``.pt2`` file to run code that it contains. ``shape`` is the requested shape of the inputs, without
    the parts that are the model's own.

    ``structure`` is that of the model's arguments as JSON, empty for positional tensors. ``dataclass_outputs``: the
    module returns dataclasses, which export must know. ``tolerances`` are the model's own limits by precision (``""``
    for all), ``metric`` the name of its task metric, with its value for eager, ``other_metrics`` the values of further
    ones, and ``labels`` the structure of each evaluation label. ``named_metrics``: the metrics are those of these
    names, and not functions of the model. ``dynamic`` are the dimensions that the model declares as dynamic.
    ``evaluated`` are the labelled images that eager and programs are evaluated on, ``trained_outputs`` the number of
    categories of a checkpoint of a training, which the model is built with. ``task`` is what is needed to use a program
    (``etui.task_data.program_metadata.TaskMetadata``), None if it is not known."""

    path: str
    key: str
    model: ModelInfo
    weights: WeightsInfo
    inputs: InputsInfo
    stages: list[Stage]
    cached: bool
    has_eager: bool = True
    seed: int = 0
    file_stamp: str | None = None
    allow_pickle: bool = False
    structure: str = ""
    dataclass_outputs: bool = False
    tolerances: dict[str, Tolerance] = {}
    metric: str = ""
    metric_eager: float | None = None
    other_metrics: dict[str, float] = {}
    named_metrics: bool = False
    labels: str = ""
    dynamic: DynamicDims | None = None
    shape: Shape = OWN_SHAPE
    method: str | None = None
    evaluated: TaskData | None = None
    trained_outputs: int | None = None
    task: dict[str, object] | None = None


class LowerResult(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared program and facts from its preparation. ``arithmetic`` names the arithmetic that a delegate actually
    uses if it differs from the precision (OpenVINO's bf16). ``model``, ``precision``, ``delegate`` and ``keep_fp32``
    are the configuration that it was prepared for; empty in programs of earlier versions. ``method`` is the requested
    method of a finished program."""

    path: str
    artifact: Artifact
    stages: list[Stage]
    planned_bytes: int | None = None
    delegation: Delegation | None = None
    arithmetic: str | None = None
    calibration_count: int | None = None
    notes: list[str] = []
    graph_stages: list[GraphStage] = []
    model: str = ""
    precision: str = ""
    delegate: str = ""
    keep_fp32: tuple[str, ...] = ()
    method: str | None = None


class DynamicDim(msgspec.Struct, frozen=True, kw_only=True):
    """A dimension of an input that a program takes in a range of sizes. Dimensions of the same ``name`` always have the
    same size."""

    name: str
    least: int
    most: int


DynamicDims = list[list[DynamicDim | None]]
"""For each input tensor and dimension: its range, or None if it is fixed."""

ForkServerKind = Literal["measure", "prepare"]


class JobFor(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """A job whose result is of type ``R_co``.

    ``worker`` is the function that does it, as ``module:function``; only the worker process imports that module. The
    function takes the job and a callable that logs events, and returns the result. ``doing`` describes the job in
    messages, and ``again`` the next step after a crash. ``fork_server`` is the process that forks the worker: only jobs
    that export need the ahead-of-time code.
    """

    worker: ClassVar[str]
    doing: ClassVar[str] = "measuring"
    again: ClassVar[str] = "measure again"
    fork_server: ClassVar[ForkServerKind] = "measure"


Job = JobFor[Any]


class BundleJob(JobFor[BundleResult], tag="bundle", frozen=True, kw_only=True):
    """Build the model once for a session: find its weights, make its inputs, compute the eager reference outputs.

    The result is a folder in the cache, named by its content: ``weights.safetensors``, ``inputs.safetensors``,
    ``reference.safetensors`` and ``bundle.json`` (a ``BundleResult``). If the folder exists, only its key is computed;
    for a user's factory that includes calling it, because the key covers the model it builds. ``key`` names an earlier
    bundle: if that exists and is intact it is used, whatever the same configuration would give now, except for a
    factory, whose eager model is always rebuilt. ``allow_pickle`` lets a ``.pt2`` file run code that it contains.
    ``method`` is the requested method of a ``.pte``, ``data`` the folder that the inputs are made from, ``shape`` their
    requested shape. ``split`` is the split of labelled images to evaluate on, None for that of the validation images;
    with ``must_evaluate`` it is an error if there is nothing to evaluate on.
    """

    worker: ClassVar[str] = "etui.engine.models.bundle:run_bundle"
    doing: ClassVar[str] = "loading the model"

    model: str
    weights: str
    seed: int
    accuracy_inputs: int
    calibration_count: int
    cache_dir: str
    key: str | None = None
    allow_pickle: bool = False
    data: str | None = None
    shape: Shape = OWN_SHAPE
    method: str | None = None
    split: str | None = None
    must_evaluate: bool = False


class LowerJob(JobFor[LowerResult], tag="lower", frozen=True, kw_only=True):
    """Export, quantize and lower one variant of a bundle into ``program_dir``: ``program.pte``, ``lowered.json`` (a
    ``LowerResult``) and ``reference.safetensors``, the outputs of the graph before lowering (absent if that is the
    eager reference itself), ``sources.json``, ``noop.pte`` for measuring the fixed cost of a call, and with
    ``etrecord`` an ETRecord for other tools. ``dynamic`` are the ranges of a program for several shapes, None for the
    shapes of the bundle alone. The folder is created atomically. For a baseline it contains only ``lowered.json`` and
    the program under the name in its catalog record. ``threads`` are used for preparing; ``run_threads`` is the number
    of threads that the program is measured with, for programs compiled for a number."""

    worker: ClassVar[str] = "etui.engine.lowering.lower:run_in_worker"
    doing: ClassVar[str] = "lowering"
    fork_server: ClassVar[ForkServerKind] = "prepare"

    bundle: str
    model: str
    precision: str
    delegate: str
    calibration_count: int
    program_key: str
    program_dir: str
    run_id: str
    threads: int = 1
    keep_fp32: tuple[str, ...] = ()
    etrecord: bool = False
    run_threads: int | None = None
    dynamic: DynamicDims | None = None


class MeasureJob(JobFor[Block], tag="measure", frozen=True, kw_only=True):
    """Measure one block of one variant. ``program`` None measures eager.

    ``warmup`` and ``samples`` None leave the counts to ``block_s`` (seconds of timing), ``min_samples`` and the
    stability of the warm-up; ``limit_s`` ends the block after that many seconds, with at least one sample taken, unless
    ``samples`` fixes them. ``canary_ms`` is the time of the canary kernel before and after the session's other blocks.
    ``cpus`` are the logical CPUs that the worker is pinned to, in this and all other jobs.
    """

    worker: ClassVar[str] = "etui.engine.measure.latency:run_measure"

    bundle: str
    model: str
    program: str | None
    delegate: str
    variant: str
    index: int
    position: int
    threads: int
    warmup: int | None
    samples: int | None
    block_s: float
    min_samples: int
    min_warmup: int
    limit_s: float
    canary_ms: tuple[float, float] | None = None
    run_id: str | None = None
    cpus: list[int] | None = None


class AccuracyJob(JobFor[Accuracy], tag="accuracy", frozen=True, kw_only=True):
    """Run a program on the accuracy inputs of its bundle, for about ``limit_s`` seconds, and compare with both
    references; only with eager if the program was prepared with other inputs (not ``same_inputs``)."""

    worker: ClassVar[str] = "etui.engine.measure.accuracy:run_accuracy"

    bundle: str
    model: str
    program_dir: str
    precision: str
    delegate: str
    arithmetic: str | None
    threads: int
    limit_s: float
    run_id: str
    cpus: list[int] | None = None
    same_inputs: bool = True


class MemoryJob(JobFor[Memory], tag="memory", frozen=True, kw_only=True):
    """Load and run once in a fresh process, measuring its memory. ``program`` None measures eager."""

    worker: ClassVar[str] = "etui.engine.measure.memory:run_memory"

    bundle: str
    model: str
    program: str | None
    delegate: str
    threads: int
    run_id: str | None = None
    cpus: list[int] | None = None


class EvaluateResult(msgspec.Struct, frozen=True, kw_only=True):
    """The metric of a program next to eager's; None for eager, whose probabilities are in the file of the job."""

    task: TaskMetric | None = None


class EvaluateJob(JobFor[EvaluateResult], tag="evaluate", frozen=True, kw_only=True):
    """Run eager (``program`` None) or a program on the labelled images of a bundle, which are in ``folder``.

    Eager's probabilities are written to the file ``scores`` as ``.npy``; a program is compared with those that are
    there. ``label`` names the variant in messages. ``threads`` run the program, ``readers`` processes read images.
    ``later`` is the number of evaluations of the session that follow, which the reported time left includes.
    """

    worker: ClassVar[str] = "etui.engine.measure.evaluation:run_evaluate"
    doing: ClassVar[str] = "evaluating"

    bundle: str
    model: str
    program: str | None
    delegate: str
    label: str
    folder: str
    scores: str
    threads: int
    readers: int
    run_id: str | None = None
    later: int = 0


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """A model passed the checks before queueing. ``files`` are the paths of the source files, programs and weights that
    were read; the same check need not be repeated while they are unchanged."""

    files: list[str] = []


class CheckJob(JobFor[CheckResult], tag="check", frozen=True, kw_only=True):
    """Check a model before it is queued, as far as that is possible without measuring: its file loads, its factory can
    be called, its weights fit, it takes its example inputs and files of the folder ``data``, and it has the modules
    ``keep_fp32``.

    The worker reports a stage before each check: ``model``, ``weights``, ``inputs``, ``data`` or ``keep_fp32``.
    """

    worker: ClassVar[str] = "etui.engine.lowering.early_check:run_check"
    doing: ClassVar[str] = "checking"

    model: str
    weights: str
    seed: int
    cache_dir: str
    keep_fp32: tuple[str, ...] = ()
    allow_pickle: bool = False
    data: str | None = None
    methods: tuple[str | None, ...] = (None,)


class SummaryJob(JobFor[ModelSummary], tag="summary", frozen=True, kw_only=True):
    """Summarize a model at a shape: its modules, parameters, work and memory. Catalog models are built without
    weights."""

    worker: ClassVar[str] = "etui.engine.summary.run:run_summary"
    doing: ClassVar[str] = "summarizing the model"

    model: str
    shape: Shape = OWN_SHAPE
    seed: int = 0
    allow_pickle: bool = False


class GraphJob(JobFor[ModelGraph], tag="graph", frozen=True, kw_only=True):
    """Export a model at a shape and return the graph of its operators and modules. Catalog models are built without
    weights."""

    worker: ClassVar[str] = "etui.engine.summary.graph:run_graph"
    doing: ClassVar[str] = "reading the graph of the model"

    model: str
    shape: Shape = OWN_SHAPE
    seed: int = 0
    allow_pickle: bool = False


class TrainingJob(JobFor[TrainingCheck], tag="training", frozen=True, kw_only=True):
    """Train a model for a few steps with each optimizer, from the same initial weights and on the same batch.

    ``loss`` None chooses one that fits the outputs, ``learning_rate`` None the default of the optimizer, ``batch`` None
    the batch of the example inputs, or four if that is one item. ``data`` is a folder of inputs.
    """

    worker: ClassVar[str] = "etui.engine.training.run:run_training"
    doing: ClassVar[str] = "training the model"

    model: str
    optimizers: tuple[OptimizerName, ...]
    steps: int
    seed: int
    loss: LossName | None = None
    learning_rate: float | None = None
    batch: int | None = None
    data: str | None = None


class TrainJob(JobFor[TrainedModel], tag="train", frozen=True, kw_only=True):
    """Train a classifier on the labelled images of ``data``, with checkpoints in ``folder``, and lower the best.

    ``resume`` continues from the last checkpoint of the folder, if there is one; ``checkpoint_batches`` is the number
    of batches between two checkpoints within an epoch, 0 for none. The worker reports progress in steps (``done`` of
    ``total``), and an event ``log`` for each epoch."""

    worker: ClassVar[str] = "etui.engine.training.classifier:run_train"
    doing: ClassVar[str] = "training the classifier"
    again: ClassVar[str] = "resume it; with less memory, use a smaller batch"
    fork_server: ClassVar[ForkServerKind] = "prepare"

    settings: TrainingSettings
    data: str
    folder: str
    cache_dir: str
    threads: int
    resume: bool = False
    checkpoint_batches: int = 0


class ScoresResult(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of images are in a file. ``categories`` are the names of their columns, ``kind`` the kind of the task
    that they are of, ``places`` the column of each category of the data, ``threshold`` that of the program's metadata.

    ``start_s`` is the time until the first images were ready, in which the processes that read them start.
    ``duration_s`` is the time from the first image to the last, ``waiting_s`` the part of it that the program waited
    for images, ``running_s`` the part that it ran; ``readers`` is the number of processes that read images, which took
    ``read_s`` to decode files and ``prepare_s`` to resize and normalize images, at the same time. The scores do not
    have rows for the ``unreadable`` images, whose places in the job are given with the reason.

    ``outputs`` is what the scores are, as ``outputs_source`` says: the job, the metadata, or the operator that the
    program ends with. None if none of these does.
    """

    categories: tuple[str, ...]
    places: tuple[int, ...]
    kind: Literal["multi-label", "single-label"]
    threshold: float | None
    images: int
    batch: int
    threads: int
    readers: int
    duration_s: float
    waiting_s: float
    running_s: float
    start_s: float = 0.0
    read_s: float = 0.0
    prepare_s: float = 0.0
    unreadable: dict[int, str] = {}
    outputs: Literal["logits", "probabilities"] | None = None
    outputs_source: Literal["given", "metadata", "program"] | None = None


class EagerModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model to run in eager PyTorch: its reference as of ``etui.catalog.find``, and ``weights`` and ``seed`` as in a
    session's specification. ``size`` is the height and width of images; None is that of the checkpoint or of the model.
    ``sha256`` is the hash that the weights must have, None for any (see ``WeightsInfo``)."""

    model: str
    weights: str
    cache_dir: str
    seed: int = 0
    size: tuple[int, int] | None = None
    sha256: str | None = None


class ScoresJob(JobFor[ScoresResult], tag="scores", frozen=True, kw_only=True):
    """Run a program, or without one the model ``eager``, on images, and write the first output, scores of shape [N, C],
    as ``.npy`` to the file ``scores``.

    ``images`` are paths below ``folder``; ``categories`` are those of the data. How an image is prepared and what the
    columns of the scores are is in the file ``metadata`` (``etui.task_data.program_metadata``); without it, in the
    header of the file ``trained``, a checkpoint of a training, or they are those of the catalog's ``model``. ``kind``
    is that of the data, None if it has no labels. ``threads`` run the program, ``readers`` processes read images at the
    same time.
    ``outputs`` is what the scores are, whatever the metadata says; None if that is not known. With ``skip_unreadable``
    images that cannot be read do not end the job.
    """

    worker: ClassVar[str] = "etui.engine.measure.scores:run_scores"
    doing: ClassVar[str] = "evaluating the program"

    program: str | None
    delegate: str
    folder: str
    images: tuple[str, ...]
    categories: tuple[str, ...]
    metadata: str | None
    model: str | None
    scores: str
    threads: int
    readers: int
    eager: EagerModel | None = None
    trained: str | None = None
    kind: Literal["multi-label", "single-label"] | None = None
    outputs: Literal["logits", "probabilities"] | None = None
    skip_unreadable: bool = False


class PeaksJob(JobFor[MeasuredRates], tag="peaks", frozen=True, kw_only=True):
    """Measure the peaks of this machine with ``threads`` threads on ``cpus``: products of matrices of ``sizes`` rows
    and columns and ``convolutions`` (channels, and height and width) on XNNPACK, products of ``torch_sizes`` in
    PyTorch, and memory traffic on arrays of ``array_bytes`` (0: not measured), each for about ``repeat_s`` seconds."""

    worker: ClassVar[str] = "etui.engine.peaks.run:run_peaks"
    doing: ClassVar[str] = "measuring the peaks"

    threads: int
    cpus: list[int]
    array_bytes: int
    sizes: tuple[int, ...] = (256, 512, 1024)
    convolutions: tuple[tuple[int, int], ...] = ((64, 56), (128, 28), (256, 14))
    torch_sizes: tuple[int, ...] = (1024, 2048)
    repeat_s: float = 1.0


class NpuJob(JobFor[NpuPrediction], tag="npu", frozen=True, kw_only=True):
    """Export the model of a bundle, lower it for an Ethos-U with the tools of the environment of ``python``, and return
    what Vela predicts. ``work`` is an empty folder for intermediate files, which the caller removes."""

    worker: ClassVar[str] = "etui.engine.lowering.npu:run_npu"
    doing: ClassVar[str] = "predicting the model"

    bundle: str
    model: str
    npu: str
    calibration_count: int
    python: str
    work: str


SESSION_JOBS: tuple[type[Job], ...] = (BundleJob, LowerJob, MeasureJob, AccuracyJob, MemoryJob, EvaluateJob)
"""The jobs of a session. Those of analyses are in ``etui.analysis_kinds``."""

SINGLE_JOBS: tuple[type[Job], ...] = (
    CheckJob, SummaryJob, GraphJob, TrainingJob, TrainJob, ScoresJob, PeaksJob, NpuJob,
)  # fmt: skip
"""The jobs that a front end has done in a process of their own (``etui.services.one_job``)."""


class JobError(msgspec.Struct, tag="error", frozen=True, kw_only=True):
    """The failure of a job: message, hint (the next step), and the traceback for ``--debug`` and the log, in full and
    with the lines of the model only (empty if the job found the problem itself)."""

    message: str
    hint: str = ""
    traceback: str = ""
    short_traceback: str = ""
    kind: str = ""


class Done(msgspec.Struct, tag="done", frozen=True, kw_only=True):
    """The result of a job as JSON (see ``result_of``)."""

    result: msgspec.Raw


def result_of(job: JobFor[R], done: Done) -> R | None:
    """Return the result of ``job`` from its answer; None if the answer contains something else."""
    try:
        return msgspec.json.decode(done.result, type=_result_type(type(job)))
    except msgspec.DecodeError:
        return None


def _result_type(job: type[JobFor[R]]) -> type[R]:
    """Return the type argument of ``JobFor`` that a job was declared with."""
    (base,) = job.__orig_bases__  # type: ignore[attr-defined] # every generic class has it
    (result,) = get_args(base)
    return cast("type[R]", result)


class LogMessage(msgspec.Struct, tag="said", frozen=True, kw_only=True):
    """An event that a worker reports while it does its job."""

    event: Event


Answer = Done | JobError | LogMessage


class Fork(msgspec.Struct, tag="fork", frozen=True, kw_only=True):
    """Do ``job``, which is JSON, in a fresh worker, known to the runner as ``number``."""

    number: int
    job: msgspec.Raw


class Preload(msgspec.Struct, tag="preload", frozen=True, kw_only=True):
    """Import the packages of models of this source, so that they are loaded in forked workers."""

    source: str


Request = Fork | Preload


class Ready(msgspec.Struct, tag="ready", frozen=True, kw_only=True):
    """Imports are done: of the role itself (``source`` empty), or of one preload request."""

    seconds: float
    source: str = ""
    error: str = ""


class Started(msgspec.Struct, tag="started", frozen=True, kw_only=True):
    """A worker was forked."""

    number: int
    pid: int


class Exited(msgspec.Struct, tag="exited", frozen=True, kw_only=True):
    """A worker ended: ``status`` is its exit status, or minus the signal that killed it."""

    number: int
    status: int


Reply = Ready | Started | Exited
