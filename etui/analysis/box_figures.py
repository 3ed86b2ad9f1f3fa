"""What a run measured for the boxes of a folded graph: time by operator, numerical error by layer, and delegation.

Results name the module and the operator that they come from, not the call of the module. A result that may belong to
several boxes is part of the figures of each of them, which are then bounds (``shared``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from etui.analysis.graph_folding import Box
from etui.analysis.numeric_gap import exceeds_threshold
from etui.analysis.operator_kinds import bare_name
from etui.insight import LayerGap, NumericGap, Origin, Profile
from etui.results import Delegation


class TimeOf(msgspec.Struct, kw_only=True, frozen=True):
    """The time of a box: milliseconds per inference, and its share (0 to 1) of the time of all operators. ``shared``:
    it is at most that, because some of the operators may be in other boxes."""

    median_ms: float
    share: float
    operators: int
    shared: bool


class GapOf(msgspec.Struct, kw_only=True, frozen=True):
    """The error of a box: the worst of the layers compared in it, and the number of those beyond the threshold.
    ``shared``: it may be smaller, because some of the layers may be in other boxes."""

    layers: int
    worst: LayerGap
    beyond: int
    shared: bool


class UndelegatedIn(msgspec.Struct, kw_only=True, frozen=True):
    """The undelegated operators of a box with their number; empty if all were delegated or removed. ``shared``: they
    are at most these, because some of them may be in other boxes."""

    operators: dict[str, int]
    shared: bool

    @property
    def count(self) -> int:
        """The number of undelegated operators."""
        return sum(self.operators.values())


class _Placed:
    """Which results belong to which boxes: ``of[box]`` are indices of results, ``shared[box]`` whether some of them may
    be in other boxes, ``nowhere`` the results that belong to none."""

    def __init__(self, origins: Sequence[Origin], boxes: Sequence[Box]) -> None:
        self.of: list[list[int]] = [[] for _ in boxes]
        self.shared = [False] * len(boxes)
        self.nowhere: list[int] = []
        self._modules: dict[str, list[int]] = {}
        self._own: dict[str, list[tuple[int, frozenset[str]]]] = {}
        for number, box in enumerate(boxes):
            if box.kind == "module":
                self._modules.setdefault(box.path, []).append(number)
            elif box.kind == "operators":
                self._own.setdefault(box.path, []).append((number, frozenset(map(_bare, box.operators))))
        for result, origin in enumerate(origins):
            found = self._boxes(origin)
            for number in found:
                self.of[number].append(result)
                self.shared[number] = self.shared[number] or len(found) > 1
            if not found:
                self.nowhere.append(result)

    def _boxes(self, origin: Origin) -> list[int]:
        if not origin.is_known:
            return []
        parts = origin.module.split(".") if origin.module else []
        for end in range(1, len(parts) + 1):
            if found := self._modules.get(".".join(parts[:end])):
                return found
        names = frozenset(map(_bare, origin.operators))
        return [number for number, inside in self._own.get(origin.module, ()) if not names or names & inside]


def _bare(operator: str) -> str:
    return bare_name(operator).rstrip("_")


def times(profile: Profile, boxes: Sequence[Box]) -> tuple[list[TimeOf | None], float]:
    """Return the time of each box in the program, and the share (0 to 1) of the operators' time that is in no box.

    The time of a box is None if no measured operator comes from it, for example because it was fused into another.
    """
    operators = profile.program.operators
    placed = _Placed([each.origin for each in operators], boxes)
    found: list[TimeOf | None] = []
    for indices, shared in zip(placed.of, placed.shared, strict=True):
        inside = [operators[index] for index in indices]
        median_ms, share = sum(each.median_ms for each in inside), sum(each.share for each in inside)
        of_box = TimeOf(median_ms=median_ms, share=share, operators=len(inside), shared=shared)
        found.append(of_box if inside else None)
    return found, sum(operators[index].share for index in placed.nowhere)


def gaps(gap: NumericGap, boxes: Sequence[Box]) -> tuple[list[GapOf | None], int]:
    """Return the error of each box, None if none of its layers was compared, and the number of layers in no box."""
    placed = _Placed([each.origin for each in gap.layers], boxes)
    found: list[GapOf | None] = []
    for indices, shared in zip(placed.of, placed.shared, strict=True):
        layers = [gap.layers[index] for index in indices]
        if not layers:
            found.append(None)
            continue
        beyond = sum(exceeds_threshold(each, gap.threshold_db) for each in layers)
        found.append(GapOf(layers=len(layers), worst=min(layers, key=_badness), beyond=beyond, shared=shared))
    return found, len(placed.nowhere)


def _badness(layer: LayerGap) -> tuple[bool, bool, float]:
    """Return a key that sorts the worst layer first: values that are not finite, an error against zeros, then SQNR."""
    error_against_zeros = layer.sqnr_db is None and layer.mse > 0
    return not layer.non_finite, not error_against_zeros, layer.sqnr_db if layer.sqnr_db is not None else float("inf")


def undelegated(delegation: Delegation, boxes: Sequence[Box]) -> tuple[list[UndelegatedIn], int]:
    """Return the undelegated operators of each box, and the number of those whose box is not known."""
    placed = _Placed([each.origin for each in delegation.outside], boxes)
    found = [
        UndelegatedIn(
            operators=dict(Counter(delegation.outside[index].operator for index in indices).most_common()),
            shared=shared,
        )
        for indices, shared in zip(placed.of, placed.shared, strict=True)
    ]
    not_recorded = max(0, delegation.undelegated_nodes - len(delegation.outside))
    return found, len(placed.nowhere) + not_recorded
