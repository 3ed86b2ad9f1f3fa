"""Find the runs of a summarized model, to show what was measured next to what was counted."""

from __future__ import annotations

from etui.catalog.find import find_model, is_same_file
from etui.facts import RunSummary
from etui.model_summary import MeasuredRun, ModelSummary
from etui.services.summarize import Request
from etui.store import Condition, Store

MOST_RUNS = 12
_MOST_READ = 1_000


def measured_runs(store: Store, request: Request, summary: ModelSummary) -> list[MeasuredRun]:
    """Return the newest run of each precision, delegate and number of threads at the shape of the summary, the fastest
    first. Runs of another model of the same name are omitted, also those of a user's file with other content.

    Raises StoreError, and UsageError if the file of a user's model is gone.
    """
    identity = find_model(request.model).identity()
    where = [Condition("model", "=", summary.model), Condition("status", "=", "done")]
    newest: dict[tuple[object, ...], MeasuredRun] = {}
    for run in store.summaries(where, limit=_MOST_READ):
        key = (run.precision, run.delegate, run.threads)
        if key in newest or len(newest) == MOST_RUNS or not _is_at_shape(run, request):
            continue
        if run.latency_median_ms is not None and _is_of(store, run, identity):
            newest[key] = _measured(run, run.latency_median_ms, summary)
    return sorted(newest.values(), key=lambda run: run.latency_ms)


def _is_at_shape(run: RunSummary, request: Request) -> bool:
    shape = request.shape
    wanted = (shape.input_size, shape.batch, shape.sequence, None)
    return (run.input_size, run.batch, run.sequence, run.method) == wanted and not run.dynamic


def _is_of(store: Store, run: RunSummary, identity: str) -> bool:
    """Whether a run is of the model with this identity."""
    return is_same_file(store.document(run.id, operators=False).model.identity, identity)


def _measured(run: RunSummary, latency_ms: float, summary: ModelSummary) -> MeasuredRun:
    return MeasuredRun(
        run=run.id,
        precision=run.precision,
        delegate=run.delegate,
        threads=run.threads,
        latency_ms=latency_ms,
        eager_latency_ms=run.eager_latency_median_ms,
        gmacs_per_s=summary.macs / latency_ms / 1e6 if summary.macs and latency_ms else None,
        size_bytes=run.size_bytes,
    )
