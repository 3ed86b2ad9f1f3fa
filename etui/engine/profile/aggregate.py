"""From the times of operators in each inference to a side of a profile: medians, high percentiles and shares."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from etui.insight import Operator, OperatorSide, Origin

FEWEST_FOR_P90 = 10


class Seen(NamedTuple):
    """One operator as it was seen: ``key`` tells it from the others and is the same in each inference."""

    key: tuple[object, ...]
    name: str
    delegate: str | None
    subgraph: int | None
    origin: Origin


Times = dict[tuple[object, ...], tuple[int, float]]
"""How often each operator was called in one inference, and the milliseconds of its calls together."""


def side_of(
    seen: Sequence[Seen], inferences: Sequence[Times], traced_ms: Sequence[float], untraced_ms: Sequence[float]
) -> OperatorSide:
    """A side of a profile. ``seen`` stands in the order of execution; what an inference lacks took no time in it."""
    medians: list[tuple[Seen, int, float, float | None]] = []
    for one in seen:
        found = [times.get(one.key, (0, 0.0)) for times in inferences]
        own = [spent for _, spent in found]
        median, p90 = statistics.median(own), None
        if len(own) >= FEWEST_FOR_P90:
            # Between two equal values the interpolation may round to less than both.
            p90 = max(median, statistics.quantiles(own, n=10, method="inclusive")[-1])
        medians.append((one, max(calls for calls, _ in found), median, p90))
    total = sum(median for _, _, median, _ in medians)
    operators = [
        Operator(
            name=one.name,
            calls=calls,
            median_ms=median,
            p90_ms=p90,
            share=median / total if total > 0 else 0.0,
            delegate=one.delegate,
            subgraph=one.subgraph,
            origin=one.origin,
        )
        for one, calls, median, p90 in medians
    ]
    return OperatorSide(
        inferences=len(inferences),
        inference_ms=statistics.median(traced_ms),
        operators_ms=total,
        operators=operators,
        untraced_ms=statistics.median(untraced_ms) if untraced_ms else None,
        unmapped_share=sum(operator.share for operator in operators if not is_known(operator.origin)),
    )


def is_known(origin: Origin) -> bool:
    """Whether an origin tells where in the model something comes from; the model itself has a type and no path."""
    return bool(origin.module or origin.module_type or origin.stack)
