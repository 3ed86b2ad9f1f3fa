"""Results are shown at the boxes that they come from; what may belong to several is a bound for each of them."""

from __future__ import annotations

import pytest

from etui.analysis.box_figures import gaps, times, undelegated
from etui.analysis.graph_folding import fold
from etui.insight import LayerGap, NumericGap, Operator, OperatorSide, Origin, Profile, UndelegatedNode
from etui.results import Delegation
from tests.model_graphs import residual


def measured(*operators: tuple[str, str, str, float]) -> Profile:
    """A profile of operators: name, module, class, share of 10 ms."""
    listed = [
        Operator(
            name=name, calls=1, median_ms=10 * share, p90_ms=None, share=share,
            origin=Origin(module=module, module_type=kind, operators=[name] if name.startswith("aten") else []),
        )
        for name, module, kind, share in operators
    ]  # fmt: skip
    side = OperatorSide(inferences=9, inference_ms=10.0, operators_ms=10.0, operators=listed)
    return Profile(created_at="2026-11-20T10:05:00.000Z", threads=1, program=side)


def test_times_add_up_over_the_modules_of_a_box() -> None:
    boxes = fold(residual(), 1).boxes
    profile = measured(
        ("aten.conv2d.default", "stem", "Conv2d", 0.5),
        ("aten.conv2d.default", "body.0.conv", "Conv2d", 0.2),
        ("aten.add_.Tensor", "body.1", "Block", 0.1),
        ("aten.mean.dim", "", "Net", 0.05),
        ("aten.quantize.default", "", "Net", 0.05),
        ("transpose", "", "", 0.1),
    )
    found, elsewhere = times(profile, boxes)
    shares = [None if time is None else round(time.share, 6) for time in found]
    assert shares == [None, 0.5, 0.3, 0.05, None]
    assert elsewhere == pytest.approx(0.15)  # an operator of the model that no box has, and one of unknown origin
    assert not any(time.shared for time in found if time is not None)
    assert sum(time.share for time in found if time is not None) + elsewhere == pytest.approx(1)


def test_a_result_of_a_module_that_several_boxes_show_is_a_bound_for_each() -> None:
    folded = fold(residual(), 3)
    profile = measured(("aten.relu.default", "body.0.act", "ReLU", 0.4), ("aten.conv2d", "body.0.conv", "Conv2d", 0.6))
    found, elsewhere = times(profile, folded.boxes)
    by_path = {(box.path, box.call): time for box, time in zip(folded.boxes, found, strict=True)}
    calls = [by_path["body.0.act", 1], by_path["body.0.act", 2]]
    assert all(time is not None and time.shared and time.share == 0.4 for time in calls)
    conv = by_path["body.0.conv", 1]
    assert conv is not None and not conv.shared
    assert by_path["body.1.conv", 1] is None
    assert elsewhere == 0
    (whole,) = [time for time in times(profile, fold(residual(), 2).boxes)[0] if time is not None]
    assert whole.share == pytest.approx(1)
    assert not whole.shared


def layer(module: str, sqnr_db: float | None, **more: object) -> LayerGap:
    fields = {"mse": 0.1, "max_abs": 0.2, "elements": 4} | more
    return LayerGap(name=module, sqnr_db=sqnr_db, origin=Origin(module=module, module_type="Conv2d"), **fields)  # type: ignore[arg-type]


def test_the_error_of_a_box_is_that_of_its_worst_layer() -> None:
    boxes = fold(residual(), 2).boxes
    layers = [layer("body.0.conv", 30.0), layer("body.0.act", 12.0), layer("body.1.conv", None, non_finite=3)]
    layers += [layer("body.1.act", 5.0), layer("stem", None, mse=0.0, exact=True), layer("gone", 1.0)]
    gap = NumericGap(
        created_at="2026-11-20T10:05:00.000Z", against="FP32 eager PyTorch", method="", inputs=1, threshold_db=15.0,
        layers=layers,
    )  # fmt: skip
    found, elsewhere = gaps(gap, boxes)
    worst = {box.path: one.worst.name for box, one in zip(boxes, found, strict=True) if one is not None}
    assert worst == {"stem": "stem", "body.0": "body.0.act", "body.1": "body.1.conv"}
    assert [one.beyond for one in found if one is not None] == [0, 1, 2]
    assert elsewhere == 1


def test_undelegated_operators_are_counted_by_box() -> None:
    boxes = fold(residual(), 2).boxes
    nodes = [UndelegatedNode(operator="aten.add.Tensor", origin=Origin(module="body.0", operators=["aten.add_"]))] * 2
    nodes += [UndelegatedNode(operator="aten.mean.dim", origin=Origin(module_type="Net", operators=["aten.mean.dim"]))]
    delegation = Delegation(
        delegated_nodes=5, undelegated_nodes=6, subgraphs=2, undelegated_operators={}, outside=nodes
    )  # fmt: skip
    found, elsewhere = undelegated(delegation, boxes)
    assert [each.count for each in found] == [0, 0, 2, 0, 1, 0]
    assert elsewhere == 3  # not recorded
