"""The run that another is to be held against: FP32 of the same session and delegate."""

from __future__ import annotations

from etui.results import RunDocument
from etui.store.conditions import Condition
from etui.store.store import Store


def fp32_siblings(store: Store, document: RunDocument) -> list[RunDocument]:
    """The FP32 runs of a run's session and delegate, itself left out; none for an FP32 run. Raises StoreError."""
    if document.precision == "fp32":
        return []
    where = [
        Condition("session", "=", document.session.id),
        Condition("precision", "=", "fp32"),
        Condition("delegate", "=", document.delegate),
    ]
    return [store.document(one, operators=False) for one in store.run_ids(where) if one != document.id]
