"""The roofline of a run: its model's summary, its times and the peaks of its machine."""

from __future__ import annotations

from collections.abc import Sequence

from etui.analysis.roofline import Roofline, ValueBytes, points_of
from etui.catalog.delegates import runs_on_cpu
from etui.catalog.precisions import recipe
from etui.errors import UsageError
from etui.machine_peaks import MachinePeaks
from etui.model_summary import MeasuredRun, ModelSummary
from etui.results import RunDocument
from etui.store import Store
from etui.store.kept_peaks import peaks_for
from etui.text import counted, number, plain

_SAME_SPEED = 1.25
"""Up to this ratio, times of a profile and of the run are considered to be of the same speed of the machine."""

_HALF = ValueBytes(activation=2, weight=2)
_SIZES = {"fp32": ValueBytes(activation=4, weight=4), "fp16": _HALF, "bf16": _HALF}


def roofline_of(document: RunDocument, summary: ModelSummary) -> Roofline | None:
    """Return the roofline of a run of a summarized model; None if the run has no median latency."""
    latency_ms = document.latency_ms.median if document.latency_ms is not None else None
    if not latency_ms or not summary.modules:
        return None
    environment, profile = document.environment, document.profile
    threads = profile.threads if profile is not None else document.threads
    on_cpu = runs_on_cpu(document.delegate)

    def measured_peaks(threads: int | None) -> MachinePeaks | None:
        if environment is None or threads is None or not on_cpu:
            return None
        return peaks_for(environment.box, environment.cpu, threads)

    side = profile.program if profile is not None else None
    precision = document.arithmetic or document.precision
    return Roofline(
        run=document.id,
        configuration=document.configuration,
        threads=threads,
        host=environment.box if environment is not None else "",
        latency_ms=latency_ms,
        has_profile=side is not None,
        points=points_of(
            summary,
            latency_ms,
            side,
            precision,
            _sizes(document),
            measured_peaks(threads),
            measured_peaks(document.threads),
        ),
        peaks=measured_peaks(threads),
        operators_ms=side.operators_ms if side is not None else None,
        unattributed_share=side.unmapped_share if side is not None else None,
        notes=_notes(document, summary),
        on_cpu=on_cpu,
    )


def run_with_roofline(store: Store | None, runs: Sequence[MeasuredRun], model: str) -> RunDocument:
    """Return the run of a model to show in a roofline: the fastest with a profile, else the fastest.

    Raises UsageError if the model has no runs.
    """
    if store is None or not runs:
        raise UsageError(
            f"no run of {plain(model)} was measured at this shape",
            f"measure it with `etui run {plain(model)}`, then `etui profile`",
        )
    documents = (store.document(run.run) for run in runs)
    return next((document for document in documents if document.profile is not None), None) or store.document(
        runs[0].run
    )


def _sizes(document: RunDocument) -> ValueBytes | None:
    """Return the least sizes of values in the program of a run; None if they are not known. Dynamic quantization keeps
    activations in FP32."""
    if not runs_on_cpu(document.delegate):
        return None
    if document.arithmetic is not None or document.model.dtype:
        return _SIZES.get(document.arithmetic or document.model.dtype)
    if document.precision in _SIZES:
        return _SIZES[document.precision]
    if document.precision.startswith("int8"):
        dynamic = "dynamic" in recipe(document.model.family, document.precision, document.delegate)
        return ValueBytes(activation=4 if dynamic else 1, weight=1)
    return ValueBytes(activation=4, weight=0.5) if document.precision == "8da4w" else None


def _notes(document: RunDocument, summary: ModelSummary) -> list[str]:
    notes = []
    if summary.uncounted:
        calls = sum(summary.uncounted.values())
        notes.append(f"the work of {counted(calls, 'operator call')} is not known, so the model has no GFLOP/s")
    profile, latency = document.profile, document.latency_ms
    if profile is not None and latency is not None and latency.median:
        profiled_ms = profile.program.untraced_ms or profile.program.inference_ms
        if not 1 / _SAME_SPEED <= profiled_ms / latency.median <= _SAME_SPEED:
            notes.append(
                f"an inference took {number(profiled_ms)} ms in the profile and {number(latency.median)} ms in the run:"
                " the machine's speed had changed, so modules and model are not comparable"
            )
    if profile is not None and document.threads is not None and profile.threads != document.threads:
        own, profiled = counted(document.threads, "thread"), counted(profile.threads, "thread")
        notes.append(
            f"the run used {own} and its profile {profiled}: each is compared with the peaks of its own number, and"
            " modules and model are not comparable"
        )
    if document.dynamic:
        notes.append("the program takes a range of shapes; the summary is of one")
    return notes
