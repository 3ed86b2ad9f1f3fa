"""What a numeric gap means: which layers are off, the first of them, and the order in which they matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from etui.insight import LayerGap, NumericGap

Order = Literal["depth", "contribution"]

DEFAULT_THRESHOLD_DB = 20.0
"""The SQNR threshold of a layer in dB if the run has no SQNR tolerance: an error of a tenth of the signal. With a
tolerance, that is the threshold, because a layer below it is a likely cause."""


def is_off(layer: LayerGap, threshold_db: float) -> bool:
    """Whether a layer's values are further from the reference than the threshold allows, or not even finite. An error
    where the reference is silent has no SQNR and is past any threshold."""
    if layer.non_finite > 0 or (layer.sqnr_db is None and layer.mse > 0):
        return True
    return layer.sqnr_db is not None and layer.sqnr_db < threshold_db


def first_past(layers: Sequence[LayerGap], threshold_db: float) -> int | None:
    """The place of the first layer that is off, None where none is."""
    return next((place for place, layer in enumerate(layers) if is_off(layer, threshold_db)), None)


def ordered(gap: NumericGap, order: Order) -> list[int]:
    """The places of the layers in the order of the graph, or the largest contribution first; what has none comes last,
    the worst SQNR first."""
    places = list(range(len(gap.layers)))
    if order == "depth":
        return places

    def key(place: int) -> tuple[bool, float, bool, float]:
        layer = gap.layers[place]
        return (
            layer.contribution is None,
            -(layer.contribution or 0.0),
            layer.sqnr_db is None,
            layer.sqnr_db if layer.sqnr_db is not None else 0.0,
        )

    return sorted(places, key=key)
