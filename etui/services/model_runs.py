"""Find the runs of a summarized model, to show what was measured next to what was counted."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from etui.analysis.keep_fp32 import kept_fp32
from etui.catalog.find import find_model, is_same_file
from etui.facts import RunSummary
from etui.model_summary import MeasuredRun, ModelSummary
from etui.results import RunDocument
from etui.services.summarize import Request
from etui.store import Condition, Store

MOST_RUNS = 12
_MOST_READ = 1_000
_MOST_DOCUMENTS = 100
"""Modules kept in FP32 are only known from the document, which takes longer to read than a summary."""


def measured_runs(store: Store, request: Request, summary: ModelSummary) -> list[MeasuredRun]:
    """Return the newest run of each machine, precision, delegate, number of threads and modules kept in FP32 at the
    shape of the summary: those of this machine first, and of each machine the fastest first. Runs of another model of
    the same name are omitted, also those of a user's file with other content.

    Raises StoreError, and UsageError if the file of a user's model is gone.
    """
    identity = find_model(request.model).identity()
    where = [Condition("model", "=", summary.model), Condition("status", "=", "done")]
    newest: dict[tuple[object, ...], MeasuredRun] = {}
    read = 0
    for run in store.summaries(where, limit=_MOST_READ):
        if len(newest) == MOST_RUNS or read == _MOST_DOCUMENTS:
            break
        if run.latency_median_ms is None or not _is_at_shape(run, request):
            continue
        document, read = store.document(run.id, operators=False), read + 1
        kept = kept_fp32(document)
        key = (run.box, run.precision, run.delegate, run.threads, kept)
        is_same = is_same_file(document.model.identity, identity) and _has_inputs_of(summary, document)
        if key not in newest and is_same:
            newest[key] = _measured(run, run.latency_median_ms, summary, kept)
    return sorted(newest.values(), key=lambda run: (run.machine, run.latency_ms))


def _is_at_shape(run: RunSummary, request: Request) -> bool:
    shape = request.shape
    wanted = (shape.input_size, shape.batch, shape.sequence, None)
    return (run.input_size, run.batch, run.sequence, run.method) == wanted and not run.dynamic


def _has_inputs_of(summary: ModelSummary, document: RunDocument) -> bool:
    """Whether a run had inputs of the shapes that were counted: those of a folder may have others than the example."""
    if document.inputs is None or not document.session.spec.get("data"):
        return True
    counted = sorted(list(each.shape) for each in summary.inputs)
    return counted == sorted(document.inputs.shapes)


def _measured(run: RunSummary, latency_ms: float, summary: ModelSummary, kept: Sequence[str]) -> MeasuredRun:
    return MeasuredRun(
        run=run.id,
        precision=run.precision,
        delegate=run.delegate,
        threads=run.threads,
        latency_ms=latency_ms,
        eager_latency_ms=run.eager_latency_median_ms,
        gmacs_per_s=summary.macs / latency_ms / 1e6 if summary.macs and latency_ms else None,
        size_bytes=run.size_bytes,
        keep_fp32=list(kept),
        machine=run.box if run.box and run.box != socket.gethostname() else "",
    )
