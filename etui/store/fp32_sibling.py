"""Find the FP32 runs of the same session and delegate, to compare a run with."""

from __future__ import annotations

from etui.results import RunDocument
from etui.store.conditions import Condition
from etui.store.store import Store


def fp32_siblings(store: Store, document: RunDocument) -> list[RunDocument]:
    """Return the FP32 runs of a run's session and delegate; an empty list for an FP32 run. Raises StoreError."""
    if document.precision == "fp32":
        return []
    where = [
        Condition("session", "=", document.session.id),
        Condition("precision", "=", "fp32"),
        Condition("delegate", "=", document.delegate),
    ]
    return [store.document(run_id, operators=False) for run_id in store.run_ids(where) if run_id != document.id]
