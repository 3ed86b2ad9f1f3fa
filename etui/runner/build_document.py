"""Build the document of a run from the results of its jobs: figures, flags, and all stored facts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from etui import __version__
from etui.analysis.flags import find_eager_flags, find_flags
from etui.analysis.latency import latency_stats, speedup
from etui.catalog.delegates import needs_gpu
from etui.jobs import BundleResult, LowerResult
from etui.results import (
    Accuracy,
    Block,
    CallTiming,
    Environment,
    Flag,
    Memory,
    ModelInfo,
    QuietCheck,
    RunDocument,
    SessionInfo,
    Stage,
    Status,
)
from etui.runner.program_cache import own_versions
from etui.spec import Variant, stored_name
from etui.store import QueuedSession


@dataclass
class RunResults:
    """The results of one run so far; completed job by job. ``prepared_with`` is the bundle that its program is prepared
    with: its own, except for a program that takes a range of shapes."""

    id: str
    variant: Variant
    model: ModelInfo
    bundle: BundleResult | None = None
    lowered: LowerResult | None = None
    blocks: list[Block] = field(default_factory=list)
    superseded: list[Block] = field(default_factory=list)
    accuracy: Accuracy | None = None
    memory: Memory | None = None
    measured_stages: list[Stage] = field(default_factory=list)
    started_at: str | None = None
    stopped_early: bool = False
    prepared_with: BundleResult | None = None

    @property
    def has_own_program(self) -> bool:
        """Whether the program was prepared with the run's own inputs. One for a range of shapes was not, except that of
        the run whose inputs it was prepared with; in a duel those are not known."""
        if self.bundle is None or self.prepared_with is None:
            return not self.variant.dynamic
        return self.prepared_with.key == self.bundle.key


@dataclass
class EagerResults:
    """The results of one eager baseline so far."""

    blocks: list[Block] = field(default_factory=list)
    superseded: list[Block] = field(default_factory=list)
    memory: Memory | None = None


@dataclass
class SessionResults:
    """Results that runs of a session share; ``eager`` has those of each baseline by its label."""

    queued: QueuedSession
    environment: Environment | None = None
    eager: defaultdict[str, EagerResults] = field(default_factory=lambda: defaultdict(EagerResults))
    threads: int | None = None
    planned_blocks: int = 0
    quiet: QuietCheck | None = None


def build_document(
    session: SessionResults, run: RunResults, status: Status, error: str | None, finished_at: str
) -> RunDocument:
    """Return the document of one run that has ended."""
    document = msgspec.structs.replace(
        document_so_far(session, run), status=status, error=error, finished_at=finished_at
    )
    # The status of an aborted session already explains missing blocks; a used-up budget is a fact of the variant.
    explains_blocks = status == "done" or run.stopped_early
    return with_figures(document, planned_blocks=session.planned_blocks if explains_blocks else None)


def _task(bundle: BundleResult | None) -> dict[str, object] | msgspec.UnsetType:
    """Return what is needed to use the program; that of published weights follows from the model."""
    if bundle is None or bundle.task is None or bundle.weights.kind != "checkpoint":
        return msgspec.UNSET
    return bundle.task


def document_so_far(session: SessionResults, run: RunResults) -> RunDocument:
    """Return the document of a run that has not ended, without figures."""
    bundle, lowered, spec = run.bundle, run.lowered, session.queued.spec
    inputs = bundle.inputs if bundle else None
    if inputs is not None:
        used = lowered.calibration_count if lowered else None
        prepared = bundle if run.has_own_program else run.prepared_with
        known = prepared is not None and used == prepared.inputs.calibration_count
        calibration = prepared.inputs.calibration_sha256 if prepared is not None and known else None
        inputs = msgspec.structs.replace(inputs, calibration_count=used, calibration_sha256=calibration)
    eager = session.eager.get(run.variant.eager_label) or EagerResults()
    stages = [*(bundle.stages if bundle else []), *(lowered.stages if lowered else []), *run.measured_stages]
    memory = run.memory
    if lowered is not None and lowered.planned_bytes is not None:
        memory = msgspec.structs.replace(memory or Memory(), planned_bytes=lowered.planned_bytes)
    return RunDocument(
        etui_version=__version__,
        id=run.id,
        session=SessionInfo(id=session.queued.id, created_at=session.queued.created_at, spec=msgspec.to_builtins(spec)),
        status="measuring" if run.blocks else "preparing",
        created_at=session.queued.created_at,
        started_at=run.started_at,
        model=bundle.model if bundle else run.model,
        precision=run.variant.precision,
        delegate=run.variant.delegate,
        preset=spec.preset,
        weights=bundle.weights if bundle else None,
        inputs=inputs,
        task=_task(bundle),
        threads=run.variant.threads or session.threads,
        arithmetic=lowered.arithmetic if lowered else None,
        accuracy=run.accuracy,
        memory=memory,
        eager_memory=eager.memory,
        delegation=lowered.delegation if lowered else None,
        # Eager on a GPU has no program: its file only says how the module is executed.
        artifact=lowered.artifact if lowered and lowered.artifact.kind != "json" else None,
        stages=stages,
        graph_stages=lowered.graph_stages if lowered else [],
        environment=_environment(session, run),
        quiet=session.quiet,
        repeats=run.variant.repeats.run if run.variant.repeats else None,
        variant=stored_name(run.variant),
        input_size=run.variant.input_size,
        batch=run.variant.batch,
        sequence=run.variant.sequence,
        dynamic=run.variant.dynamic,
        method=run.variant.method,
        # Copies: the session may continue while this document waits to be stored.
        blocks=list(run.blocks),
        eager_blocks=list(eager.blocks),
        superseded_blocks=[*run.superseded, *eager.superseded],
    )


def _environment(session: SessionResults, run: RunResults) -> Environment | None:
    """Return the session's environment with the versions that only this run depends on."""
    environment, own = session.environment, own_versions(run.variant.delegate)
    if environment is None or not own:
        return environment
    return msgspec.structs.replace(environment, runtime_versions=own)


def with_figures(document: RunDocument, planned_blocks: int | None = None) -> RunDocument:
    """Return a run with the figures and flags of its blocks, which are computed only here.

    ``planned_blocks`` is the number of blocks that were planned; None does not flag missing blocks.
    """
    stats, eager_stats = latency_stats(document.blocks), latency_stats(document.eager_blocks)
    fixed_samples = document.session.spec.get("repeat") is not None
    flags = find_flags(
        stats=stats,
        blocks=document.blocks,
        eager_blocks=document.eager_blocks,
        environment=document.environment,
        planned_blocks=len(document.blocks) if planned_blocks is None else planned_blocks,
        fixed_samples=fixed_samples,
        superseded=document.superseded_blocks,
        eager_stats=eager_stats,
        quiet=document.quiet,
    )
    if document.arithmetic is not None and not needs_gpu(document.delegate):
        flags.append(
            Flag(
                name=document.arithmetic,
                detail=f"the weights of the model are {document.arithmetic}, and so are eager and the program"
                if document.arithmetic == document.model.dtype
                else f"the delegate computes in {document.arithmetic} on this CPU, not in {document.precision}",
            )
        )
    return msgspec.structs.replace(
        document,
        threads=document.blocks[0].threads if document.blocks else document.threads,
        latency_ms=stats,
        eager_latency_ms=eager_stats,
        speedup=speedup(document.eager_blocks, document.blocks),
        program_load_ms=_median([block.program_load_ms for block in document.blocks]),
        method_load_ms=_median([block.method_load_ms for block in document.blocks]),
        first_inference_ms=_median([block.first_inference_ms for block in document.blocks]),
        eager_first_inference_ms=_median([block.first_inference_ms for block in document.eager_blocks]),
        call=_call_timing(document.blocks),
        flags=flags,
        eager_flags=find_eager_flags(
            eager_stats, document.eager_blocks, document.environment, document.blocks, fixed_samples
        ),
    )


def _call_timing(blocks: list[Block]) -> CallTiming | None:
    """The median of each part of a call over the blocks."""
    calls = [block.call for block in blocks if block.call is not None]
    inputs_ms, execute_ms, outputs_ms = (
        _median([getattr(call, part) for call in calls]) for part in ("inputs_ms", "execute_ms", "outputs_ms")
    )
    if inputs_ms is None or execute_ms is None or outputs_ms is None:
        return None
    return CallTiming(
        inputs_ms=inputs_ms,
        execute_ms=execute_ms,
        outputs_ms=outputs_ms,
        fixed_ms=_median([call.fixed_ms for call in calls]),
    )


def _median(values: list[float | None]) -> float | None:
    present = sorted(value for value in values if value is not None)
    if not present:
        return None
    middle = len(present) // 2
    return present[middle] if len(present) % 2 else (present[middle - 1] + present[middle]) / 2
