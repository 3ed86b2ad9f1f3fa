"""Which layers of a numeric gap have a large error."""

from __future__ import annotations

import pytest

from etui.analysis.numeric_gap import exceeds_threshold, first_past
from etui.insight import LayerGap


@pytest.mark.parametrize(
    ("layer", "off"),
    [
        (LayerGap(name="near", elements=4, mse=0.1, max_abs=0.5, sqnr_db=20.1), False),
        (LayerGap(name="far", elements=4, mse=0.1, max_abs=0.5, sqnr_db=19.9), True),
        (LayerGap(name="exact", elements=4, mse=0.0, max_abs=0.0, exact=True), False),
        (LayerGap(name="not finite", elements=4, mse=0.0, max_abs=0.0, sqnr_db=90.0, non_finite=1), True),
        (LayerGap(name="noise where the reference is zero", elements=4, mse=25.0, max_abs=5.0), True),
    ],
)
def test_layers_with_a_large_error(layer: LayerGap, off: bool) -> None:
    assert exceeds_threshold(layer, 20.0) is off
    assert first_past([layer], 20.0) == (0 if off else None)
