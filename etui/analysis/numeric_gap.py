"""Evaluation of a numeric gap: the layers beyond an error threshold, the first of them, and the order of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from etui.insight import LayerGap, NumericGap

Order = Literal["depth", "contribution"]

DEFAULT_THRESHOLD_DB = 20.0
"""The SQNR threshold of a layer in dB if the run has no SQNR tolerance: an error of a tenth of the signal. With an
SQNR tolerance, the tolerance is the threshold, because a layer below it is a likely cause."""


def exceeds_threshold(layer: LayerGap, threshold_db: float) -> bool:
    """Whether a layer's values differ from the reference by more than the threshold allows, or are not finite. An error
    against a reference of zeros has no SQNR and exceeds every threshold."""
    if layer.non_finite > 0 or (layer.sqnr_db is None and layer.mse > 0):
        return True
    return layer.sqnr_db is not None and layer.sqnr_db < threshold_db


def first_past(layers: Sequence[LayerGap], threshold_db: float) -> int | None:
    """Return the index of the first layer beyond the threshold; None if there is none."""
    return next((index for index, layer in enumerate(layers) if exceeds_threshold(layer, threshold_db)), None)


def ordered(gap: NumericGap, order: Order) -> list[int]:
    """Return the indices of the layers in the order of the graph (``depth``), or by decreasing ``contribution``; layers
    without a contribution come last, the worst SQNR first."""
    indices = list(range(len(gap.layers)))
    if order == "depth":
        return indices

    def key(index: int) -> tuple[bool, float, bool, float]:
        layer = gap.layers[index]
        return (
            layer.contribution is None,
            -(layer.contribution or 0.0),
            layer.sqnr_db is None,
            layer.sqnr_db if layer.sqnr_db is not None else 0.0,
        )

    return sorted(indices, key=key)
