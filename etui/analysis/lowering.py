"""Changes of a graph by each stage of lowering: the operators that it removed and added."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.insight import GraphStage

PLANNED = "planned"
"""The stage that replaces every operator by the overload that writes to planned memory, which is not a change."""


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """One stage compared with the previous one: the number of nodes after it, and the counts of the operators added and
    removed, the largest first. ``first`` marks the stage without a previous one."""

    name: str
    nodes: int
    seconds: float | None
    added: dict[str, int]
    removed: dict[str, int]
    first: bool = False


def changes(stages: Sequence[GraphStage]) -> list[StageChange]:
    """Return the change that each stage made."""
    results: list[StageChange] = []
    before: dict[str, int] | None = None
    for stage in stages:
        now, earlier = stage.operators, before or {}
        if stage.name == PLANNED:
            now, earlier = _by_name(now), _by_name(earlier)
        differences = {
            name: now.get(name, 0) - earlier.get(name, 0) for name in ({} if before is None else {**earlier, **now})
        }
        results.append(
            StageChange(
                name=stage.name,
                nodes=sum(stage.operators.values()),
                seconds=stage.seconds,
                added=_largest_first({name: count for name, count in differences.items() if count > 0}),
                removed=_largest_first({name: -count for name, count in differences.items() if count < 0}),
                first=before is None,
            )
        )
        before = stage.operators
    return results


def _largest_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_name(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of operators summed over overloads; a call of a delegate has no overload."""
    totals: dict[str, int] = {}
    for name, count in counts.items():
        base_name = name.rpartition(".")[0] if name.count(".") == 2 else name
        totals[base_name] = totals.get(base_name, 0) + count
    return totals
