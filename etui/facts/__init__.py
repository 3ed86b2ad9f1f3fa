"""The facts of a run: one declaration for each, from which columns, filters, tables and summaries are derived."""

from etui.facts.fact import Better, Comparison, Fact, Filter, Group, ScreenColumn, Tone
from etui.facts.kinds import Value
from etui.facts.registry import (
    BY_KEY,
    BY_SHORT,
    FACTS,
    LATENCY_PER_ITEM,
    MEAN_AVERAGE_PRECISION,
    PLANNED_BYTES,
    TASK_TOP1,
    RunSummary,
    per_item_ms,
)

__all__ = [
    "BY_KEY", "BY_SHORT", "FACTS", "LATENCY_PER_ITEM", "MEAN_AVERAGE_PRECISION", "PLANNED_BYTES", "TASK_TOP1", "Better",
    "Comparison", "Fact", "Filter", "Group", "RunSummary", "ScreenColumn", "Tone", "Value", "per_item_ms",
]  # fmt: skip
