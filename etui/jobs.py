"""The messages between runner and engine: jobs, their results, and the requests to a fork server.

A worker receives one job, writes ``LogMessage`` lines and finally one ``Done`` or ``JobError`` line to its report pipe,
and exits. The runner and a fork server, which forks the workers, exchange the requests and replies at the end of this
module.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar, cast

import msgspec

from etui.events import Event
from etui.insight import GraphStage, NumericGap, OperatorSide
from etui.results import (
    Accuracy,
    Artifact,
    Block,
    Delegation,
    InputsInfo,
    Memory,
    ModelInfo,
    Stage,
    WeightsInfo,
)

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class BundleResult(msgspec.Struct, frozen=True, kw_only=True):
    """The path and content of a bundle. ``has_eager`` is False for a ``.pte``, which has no eager model. ``seed`` is
    the seed the model was built with, ``file_stamp`` changes if the user's file is written again. ``allow_pickle``: the
    user allowed the ``.pt2`` file to run code that it contains."""

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


class LowerResult(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared program and facts from its preparation. ``arithmetic`` names the arithmetic that a delegate actually
    uses if it differs from the precision (OpenVINO's bf16)."""

    path: str
    artifact: Artifact
    stages: list[Stage]
    planned_bytes: int | None = None
    delegation: Delegation | None = None
    arithmetic: str | None = None
    calibration_count: int | None = None
    notes: list[str] = []
    graph_stages: list[GraphStage] = []


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a profile, with notes for its reader."""

    side: OperatorSide
    notes: list[str] = []


class JobFor(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """A job whose result is of type ``R_co``."""


class BundleJob(JobFor[BundleResult], tag="bundle", frozen=True, kw_only=True):
    """Build the model once for a session: find its weights, make its inputs, compute the eager reference outputs.

    The result is a folder in the cache, named by its content: ``weights.safetensors``, ``inputs.safetensors``,
    ``reference.safetensors`` and ``bundle.json`` (a ``BundleResult``). If the folder exists, only its key is computed;
    for a user's factory that includes calling it, because the key covers the model it builds. ``key`` names an earlier
    bundle: if that exists and is intact it is used, whatever the same configuration would give now, except for a
    factory, whose eager model is always rebuilt. ``allow_pickle`` lets a ``.pt2`` file run code that it contains.
    """

    model: str
    weights: str
    seed: int
    accuracy_inputs: int
    calibration_count: int
    cache_dir: str
    key: str | None = None
    allow_pickle: bool = False


class LowerJob(JobFor[LowerResult], tag="lower", frozen=True, kw_only=True):
    """Export, quantize and lower one variant of a bundle into ``program_dir``: ``program.pte``, ``lowered.json`` (a
    ``LowerResult``) and ``reference.safetensors``, the outputs of the graph before lowering (absent if that is the
    eager reference itself), ``sources.json``, ``noop.pte`` for measuring the fixed cost of a call, and with
    ``etrecord`` an ETRecord for other tools. The folder is created atomically."""

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


class MeasureJob(JobFor[Block], tag="measure", frozen=True, kw_only=True):
    """Measure one block of one variant. ``program`` None measures eager.

    ``warmup`` and ``samples`` None leave the counts to ``block_s`` (seconds of timing), ``min_samples`` and the
    stability of the warm-up; ``limit_s`` ends the block after that many seconds, with at least one sample taken, unless
    ``samples`` fixes them. ``canary_ms`` is the time of the canary kernel before and after the session's other blocks.
    ``cpus`` are the logical CPUs that the worker is pinned to, in this and all other jobs.
    """

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
    references."""

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


class MemoryJob(JobFor[Memory], tag="memory", frozen=True, kw_only=True):
    """Load and run once in a fresh process, measuring its memory. ``program`` None measures eager."""

    bundle: str
    model: str
    program: str | None
    delegate: str
    threads: int
    run_id: str | None = None
    cpus: list[int] | None = None


class GapJob(JobFor[NumericGap], tag="gap", frozen=True, kw_only=True):
    """Compare a run's program with FP32 eager layer by layer, on up to ``inputs`` of its bundle's inputs.

    ``threshold_db`` None uses the threshold of the precision, or of the ``arithmetic`` actually used. ``budget_s`` is
    the approximate limit in seconds for each of: comparing layers, running the program, trying layers one by one.
    """

    bundle: str
    model: str
    program_dir: str
    precision: str
    delegate: str
    arithmetic: str | None
    calibration_count: int
    keep_fp32: tuple[str, ...]
    inputs: int
    threshold_db: float | None
    budget_s: float
    threads: int
    run_id: str
    cpus: list[int] | None = None


class ProfileJob(JobFor[ProfileResult], tag="profile", frozen=True, kw_only=True):
    """Profile the operators of a program, or of eager if ``program`` is None.

    ``inferences`` None traces as many as fit into ``budget_s`` seconds. The ETDump and a timeline of a few inferences
    are written to ``files_dir``, if given.
    """

    bundle: str
    model: str
    program: str | None
    delegate: str
    threads: int
    inferences: int | None
    budget_s: float
    run_id: str
    files_dir: str | None = None
    cpus: list[int] | None = None


Job = BundleJob | LowerJob | MeasureJob | AccuracyJob | MemoryJob | GapJob | ProfileJob


class JobError(msgspec.Struct, tag="error", frozen=True, kw_only=True):
    """The failure of a job: message, hint (the next step), and the traceback for ``--debug`` and the log."""

    message: str
    hint: str = ""
    traceback: str = ""
    kind: str = ""


class Done(msgspec.Struct, tag="done", frozen=True, kw_only=True):
    """The result of a job, in the field of its type (see ``result_of``)."""

    bundle: BundleResult | None = None
    lowered: LowerResult | None = None
    block: Block | None = None
    accuracy: Accuracy | None = None
    memory: Memory | None = None
    gap: NumericGap | None = None
    profile: ProfileResult | None = None


_RESULT_FIELDS: dict[type, str] = {
    BundleJob: "bundle",
    LowerJob: "lowered",
    MeasureJob: "block",
    AccuracyJob: "accuracy",
    MemoryJob: "memory",
    GapJob: "gap",
    ProfileJob: "profile",
}


def result_of(job: JobFor[R], done: Done) -> R | None:
    """Return the result of ``job`` from its answer; None if the answer does not contain it."""
    return cast("R | None", getattr(done, _RESULT_FIELDS[type(job)]))


class LogMessage(msgspec.Struct, tag="said", frozen=True, kw_only=True):
    """An event that a worker reports while it does its job."""

    event: Event


Answer = Done | JobError | LogMessage
ForkServerKind = Literal["measure", "prepare"]


def fork_server_for(job: Job) -> ForkServerKind:
    """Return the fork server for a job: only jobs that export need the ahead-of-time code."""
    return "prepare" if isinstance(job, LowerJob | GapJob) else "measure"


class Fork(msgspec.Struct, tag="fork", frozen=True, kw_only=True):
    """Do ``job`` in a fresh worker, known to the runner as ``number``."""

    number: int
    job: Job


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
