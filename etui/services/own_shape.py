"""Report runs that a filter on the requested shape leaves out because they have the model's own shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etui.facts import RunSummary
from etui.store.conditions import Condition

if TYPE_CHECKING:
    from etui.store import Store

_REQUESTED = (RunSummary.input_size, RunSummary.batch, RunSummary.sequence)


def own_shape_note(store: Store, where: Sequence[Condition]) -> str:
    """Return that runs would match a filter but for a part of the shape that was not requested for them, and how to
    find them; empty if there are none. Only conditions that all must hold are examined. Raises StoreError."""
    notes = []
    for fact in _REQUESTED:
        own = [condition for condition in where if condition.column == fact.columns[0] and _needs_value(condition)]
        others = [condition for condition in where if condition not in own]
        if own and store.summaries([*others, Condition(fact.columns[0], "is missing")], limit=1):
            key = fact.filter.key if fact.filter else fact.name
            notes.append(f"not listed: runs at the model's own {fact.title} (-has:{key})")
    return "; ".join(notes)


def _needs_value(condition: Condition) -> bool:
    """Whether a run without a value cannot match."""
    return not condition.negated and condition.operator not in ("is missing", "!=")
