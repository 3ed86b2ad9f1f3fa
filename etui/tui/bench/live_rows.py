"""The figures of runs that are being measured: the median so far and that of each block."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from etui.results import LIVE_STATUSES
from etui.tui.feed import LiveSession
from etui.tui.runs_columns import LiveRow


def live_rows(sessions: Iterable[LiveSession]) -> dict[str, LiveRow]:
    """Return the figures of the live runs that have blocks, by run id."""
    rows = {}
    for live in sessions:
        labels = {run_id: variant.label for run_id, variant in live.session.runs}
        for run in live.runs:
            medians = live.medians.get(labels.get(run.id, ""), ())
            if medians and run.status in LIVE_STATUSES:
                rows[run.id] = LiveRow(
                    median_ms=statistics.median(medians), medians_ms=medians, planned_blocks=live.planned_blocks
                )
    return rows


def measured_blocks(sessions: Iterable[LiveSession], run_id: str) -> int:
    """Return the number of blocks so far of a run and its eager baseline; 0 if it is not live."""
    for live in sessions:
        for each, variant in live.session.runs:
            if each == run_id:
                return len(live.medians.get(variant.label, ())) + len(live.medians.get(variant.eager_label, ()))
    return 0
