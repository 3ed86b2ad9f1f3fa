"""Aggregate the times of operators over inferences to one side of a profile: medians, 90th percentiles and shares."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from etui.insight import Operator, OperatorSide, Origin

FEWEST_FOR_P90 = 10


class TracedOperator(NamedTuple):
    """One traced operator; ``key`` identifies it and is the same in each inference."""

    key: tuple[object, ...]
    name: str
    delegate: str | None
    subgraph: int | None
    origin: Origin


Times = dict[tuple[object, ...], tuple[int, float]]
"""The number of calls of each operator in one inference, and their total time in milliseconds."""


def side_of(
    traced: Sequence[TracedOperator],
    inferences: Sequence[Times],
    traced_ms: Sequence[float],
    untraced_ms: Sequence[float],
) -> OperatorSide:
    """Return a side of a profile. ``traced`` are the operators in the order of execution; an operator that is missing
    in an inference took no time in it."""
    medians: list[tuple[TracedOperator, int, float, float | None]] = []
    for operator in traced:
        calls_and_ms = [times.get(operator.key, (0, 0.0)) for times in inferences]
        times_ms = [spent_ms for _, spent_ms in calls_and_ms]
        median, p90 = statistics.median(times_ms), None
        if len(times_ms) >= FEWEST_FOR_P90:
            # Interpolation between two equal values may round to less than both.
            p90 = max(median, statistics.quantiles(times_ms, n=10, method="inclusive")[-1])
        medians.append((operator, max(calls for calls, _ in calls_and_ms), median, p90))
    total = sum(median for _, _, median, _ in medians)
    operators = [
        Operator(
            name=operator.name,
            calls=calls,
            median_ms=median,
            p90_ms=p90,
            share=median / total if total > 0 else 0.0,
            delegate=operator.delegate,
            subgraph=operator.subgraph,
            origin=operator.origin,
        )
        for operator, calls, median, p90 in medians
    ]
    return OperatorSide(
        inferences=len(inferences),
        inference_ms=statistics.median(traced_ms),
        operators_ms=total,
        operators=operators,
        untraced_ms=statistics.median(untraced_ms) if untraced_ms else None,
        unmapped_share=sum(operator.share for operator in operators if not operator.origin.is_known),
    )
