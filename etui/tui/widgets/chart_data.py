"""Converts a run's document and its past runs to the data of the charts."""

from __future__ import annotations

from collections.abc import Sequence

from etui.analysis import trust
from etui.analysis.trust import Trust
from etui.charts.data import Doubt, Past, Series
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES, Block, Flag, LatencyStats, RunDocument
from etui.spec import EAGER

MOST_SAMPLES = 10_000
"""Above this number only every n-th sample is drawn: the chart looks the same and a key press stays fast."""


def program_series(document: RunDocument) -> Series:
    """Return the run's samples."""
    return _series(document.configuration, document.blocks, document.latency_ms, document.flags)


def named_series(name: str, document: RunDocument) -> Series:
    """Return the run's samples under the given name."""
    return _series(name, document.blocks, document.latency_ms, document.flags)


def eager_series(document: RunDocument) -> Series:
    """Return the eager samples of the run's session."""
    return _series(EAGER, document.eager_blocks, document.eager_latency_ms, document.eager_flags)


def past_runs(document: RunDocument, past: Sequence[RunSummary]) -> list[Past]:
    """Return the past runs of the configuration, this run included if it has ended, oldest first."""
    runs = [_past(run) for run in past if run.id != document.id and run.status not in LIVE_STATUSES]
    if document.status not in LIVE_STATUSES:
        runs.append(_chosen(document))
    return sorted(runs, key=lambda run: run.at)


def _series(name: str, blocks: Sequence[Block], stats: LatencyStats | None, flags: Sequence[Flag]) -> Series:
    total = sum(len(block.samples_ms) for block in blocks)
    stride = -(-total // MOST_SAMPLES) or 1
    return Series(
        name=name,
        blocks=[block.samples_ms[::stride] for block in blocks],
        numbers=[block.index for block in blocks],
        count=total,
        median=stats.median if stats else None,
        p95=stats.p95 if stats else None,
        half_width=trust.half_width(stats.median, stats.ci95) if stats else None,
        doubt=_doubt(stats, flags),
    )


def _doubt(stats: LatencyStats | None, flags: Sequence[Flag]) -> Doubt:
    if stats is None:
        return ""
    doubts: dict[Trust, Doubt] = {"good": "", "caution": "warn", "poor": "bad"}
    return doubts[trust.of_latency(stats.median, stats.ci95, [flag.name for flag in flags])]


def _past(run: RunSummary) -> Past:
    return Past(
        at=run.created_at,
        failed=run.status != "done",
        median_ms=run.latency_median_ms,
        interval_ms=run.latency_ci95_ms,
        mae=run.mae,
        verdict=run.verdict,
    )


def _chosen(document: RunDocument) -> Past:
    stats, accuracy = document.latency_ms, document.accuracy
    return Past(
        at=document.created_at,
        is_chosen=True,
        failed=document.status != "done",
        median_ms=stats.median if stats else None,
        interval_ms=stats.ci95 if stats else None,
        mae=accuracy.end_to_end.overall.mae if accuracy else None,
        verdict=accuracy.verdict if accuracy else None,
    )
