"""What the runner asks one child process to do, and what the child answers: the words between runner and engine.

A worker receives one job, writes ``LogMessage`` lines and finally one ``Done`` or ``JobError`` line to its report pipe,
and exits. The runner and a fork server, which forks the workers, exchange the requests and replies at the end of this
module.
"""

from __future__ import annotations

from typing import Literal

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


class BundleJob(msgspec.Struct, tag="bundle", frozen=True, kw_only=True):
    """Build the model once for a session: find its weights, make its inputs, compute the eager reference outputs.

    The result lies in the cache as one folder, named by its content: ``weights.safetensors``, ``inputs.safetensors``,
    ``reference.safetensors`` and ``bundle.json`` (a ``BundleResult``). With the folder already there, only its key is
    computed; for a user's factory that takes a call of it, because the key covers what it builds. ``key`` names a
    bundle made earlier: if that is there and whole it is taken, whatever the same choice would make now, except for a
    factory, whose eager model is built anew in any case. ``allow_pickle`` lets a ``.pt2`` run code that its file brings
    along.
    """

    model: str
    weights: str
    seed: int
    accuracy_inputs: int
    calibration_count: int
    cache_dir: str
    key: str | None = None
    allow_pickle: bool = False


class BundleResult(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bundle lies and what it holds. ``has_eager`` is False for a ``.pte``, which has no eager side. ``seed``
    is what the model was built from, ``file_stamp`` tells whether the user's file was written since. ``allow_pickle``:
    the user allowed the ``.pt2`` it was made from to run code of its own."""

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


class LowerJob(msgspec.Struct, tag="lower", frozen=True, kw_only=True):
    """Export, quantize and lower one variant of a bundle into ``program_dir``: ``program.pte``, ``lowered.json`` (a
    ``LowerResult``) and ``reference.safetensors``, the outputs of the graph as it was before lowering (absent where
    that is the eager reference itself), ``sources.json``, ``noop.pte``, which the fixed cost of a call is measured
    with, and with ``etrecord`` an ETRecord for other tools. The
    folder appears whole or not at all."""

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


class LowerResult(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared program and what preparing it showed. ``arithmetic`` names the arithmetic a delegate really uses
    where that is not the precision's own (OpenVINO's bf16)."""

    path: str
    artifact: Artifact
    stages: list[Stage]
    planned_bytes: int | None = None
    delegation: Delegation | None = None
    arithmetic: str | None = None
    calibration_count: int | None = None
    notes: list[str] = []
    graph_stages: list[GraphStage] = []


class MeasureJob(msgspec.Struct, tag="measure", frozen=True, kw_only=True):
    """Measure one block of one variant. ``program`` None measures eager.

    ``warmup`` and ``samples`` None leave the counts to ``block_s`` (seconds of timing), ``min_samples`` and settling;
    ``limit_s`` ends the block after that many seconds, with at least one sample taken, unless ``samples`` fixes them.
    ``canary_ms`` is what the canary took in the session's other blocks, before and after. ``cpus`` are the logical CPUs
    that the child is held to, here as in the other jobs.
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


class AccuracyJob(msgspec.Struct, tag="accuracy", frozen=True, kw_only=True):
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


class MemoryJob(msgspec.Struct, tag="memory", frozen=True, kw_only=True):
    """Load and run once in a fresh process, watching its memory. ``program`` None looks at eager."""

    bundle: str
    model: str
    program: str | None
    delegate: str
    threads: int
    run_id: str | None = None
    cpus: list[int] | None = None


class GapJob(msgspec.Struct, tag="gap", frozen=True, kw_only=True):
    """Compare a run's program with FP32 eager layer by layer, on up to ``inputs`` of its bundle's inputs.

    ``threshold_db`` None takes the one of the precision, or of the ``arithmetic`` really used. ``budget_s`` is about
    how many seconds of work comparing, running the program, and trying the layers one by one may take each.
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


class ProfileJob(msgspec.Struct, tag="profile", frozen=True, kw_only=True):
    """Profile the operators of a program, or of eager where ``program`` is None.

    ``inferences`` None traces as many as fit ``budget_s`` seconds. Into ``files_dir``, where given, go the ETDump and
    a timeline of a few inferences.
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


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a profile, and what must be known with it."""

    side: OperatorSide
    notes: list[str] = []


Job = BundleJob | LowerJob | MeasureJob | AccuracyJob | MemoryJob | GapJob | ProfileJob


class JobError(msgspec.Struct, tag="error", frozen=True, kw_only=True):
    """Why a job failed: one line what, one line what to do, and the traceback for ``--debug`` and the log."""

    message: str
    hint: str = ""
    traceback: str = ""
    kind: str = ""


class Done(msgspec.Struct, tag="done", frozen=True, kw_only=True):
    """A job's result."""

    bundle: BundleResult | None = None
    lowered: LowerResult | None = None
    block: Block | None = None
    accuracy: Accuracy | None = None
    memory: Memory | None = None
    gap: NumericGap | None = None
    profile: ProfileResult | None = None


class LogMessage(msgspec.Struct, tag="said", frozen=True, kw_only=True):
    """An event a child reports on its way."""

    event: Event


Answer = Done | JobError | LogMessage
ForkServerKind = Literal["measure", "prepare"]


def fork_server_for(job: Job) -> ForkServerKind:
    """Which fork server a job's child is forked from: only what exports needs the ahead-of-time code."""
    return "prepare" if isinstance(job, LowerJob | GapJob) else "measure"


class Fork(msgspec.Struct, tag="fork", frozen=True, kw_only=True):
    """Do ``job`` in a fresh child, known to the runner as ``number``."""

    number: int
    job: Job


class Preload(msgspec.Struct, tag="preload", frozen=True, kw_only=True):
    """Import what models of this source need, so that children find it imported."""

    source: str


Request = Fork | Preload


class Ready(msgspec.Struct, tag="ready", frozen=True, kw_only=True):
    """Imports are done: of the role itself (``source`` empty), or of one preload request."""

    seconds: float
    source: str = ""
    error: str = ""


class Started(msgspec.Struct, tag="started", frozen=True, kw_only=True):
    """A child lives."""

    number: int
    pid: int


class Exited(msgspec.Struct, tag="exited", frozen=True, kw_only=True):
    """A child ended: ``status`` is its exit status, or minus the signal that killed it."""

    number: int
    status: int


Reply = Ready | Started | Exited
