"""What each stage of lowering made of a graph: the operators it took away and those it put in their place."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.insight import GraphStage

PLANNED = "planned"
"""The stage in which every operator is replaced by the overload that writes to planned memory: that is no change."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One stage beside the one before: how many nodes the graph has after it, and how many of which operator came and
    went, the most first. ``first`` is the stage that has none before it."""

    name: str
    nodes: int
    seconds: float | None
    added: dict[str, int]
    removed: dict[str, int]
    first: bool = False


def changes(stages: Sequence[GraphStage]) -> list[Change]:
    """Every stage with what it changed."""
    found: list[Change] = []
    before: dict[str, int] | None = None
    for stage in stages:
        now, earlier = stage.operators, before or {}
        if stage.name == PLANNED:
            now, earlier = _by_name(now), _by_name(earlier)
        moved = {
            name: now.get(name, 0) - earlier.get(name, 0) for name in ({} if before is None else {**earlier, **now})
        }
        found.append(
            Change(
                name=stage.name,
                nodes=sum(stage.operators.values()),
                seconds=stage.seconds,
                added=_most({name: count for name, count in moved.items() if count > 0}),
                removed=_most({name: -count for name, count in moved.items() if count < 0}),
                first=before is None,
            )
        )
        before = stage.operators
    return found


def _most(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_name(counts: dict[str, int]) -> dict[str, int]:
    """The counts of operators whatever their overload; a delegate's call has none."""
    found: dict[str, int] = {}
    for name, count in counts.items():
        bare = name.rpartition(".")[0] if name.count(".") == 2 else name
        found[bare] = found.get(bare, 0) + count
    return found
