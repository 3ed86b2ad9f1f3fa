"""A module is compared with the limit that its work and the measured peaks give; what is not known is not guessed."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.roofline import RooflinePoint, ValueBytes, points_of
from etui.insight import OperatorSide
from etui.machine_peaks import MachinePeaks
from tests.profiles import make_operator
from tests.rooflines import net, peaks, side

FLOATS = ValueBytes(activation=4, weight=4)


def points(
    operators: OperatorSide | None,
    *,
    latency_ms: float = 25.0,
    precision: str = "fp32",
    sizes: ValueBytes | None = FLOATS,
    limits: MachinePeaks | None = None,
) -> dict[str, RooflinePoint]:
    found = points_of(net(), latency_ms, operators, precision, sizes, limits, limits)
    return {point.path: point for point in found}


def test_work_on_few_bytes_is_limited_by_computing_and_work_on_many_by_memory() -> None:
    found = points(side(), limits=peaks())
    conv, head = found["body.conv"], found["head"]
    assert conv.gops_per_s == pytest.approx(2 * 500e6 / 20e-3 / 1e9)
    assert conv.bound == "compute"
    assert [conv.limit_gops_per_s, conv.of_limit] == pytest.approx([100, 0.5])
    assert head.least_bytes == 4 * (1_000_000 + 2_000)
    assert head.gbytes_per_s == pytest.approx(4.008e6 / 2e-3 / 1e9)
    assert head.intensity == pytest.approx(2e6 / 4.008e6)
    assert head.bound == "memory"
    assert head.of_limit == pytest.approx(4.008e6 / 10e9 / 2e-3)
    assert head.limit_gops_per_s == pytest.approx(10 * 2e6 / 4.008e6)


def test_the_model_has_the_latency_of_the_run_and_a_module_the_sum_of_its_operators() -> None:
    found = points(side(), limits=peaks())
    assert [found[path].time_ms for path in ("", "body")] == [25.0, 21.0]
    assert found[""].gops_per_s == pytest.approx(2 * 501e6 / 25e-3 / 1e9)


def test_a_module_without_multiply_adds_has_bytes_but_no_limit() -> None:
    norm = points(side(), limits=peaks())["body.norm"]
    assert norm.gbytes_per_s == pytest.approx(4 * 100_000 / 1e-3 / 1e9)
    assert (norm.gops_per_s, norm.bound, norm.of_limit) == (None, None, None)


def test_multiply_adds_that_are_not_timed_are_not_attributed_to_any_module_around_them() -> None:
    operators = [operator for operator in side().operators if operator.origin.module != "body.conv"]
    found = points(msgspec.structs.replace(side(), operators=operators), limits=peaks())
    assert {path for path, point in found.items() if point.attribution == "not attributed"} == {"body", "body.conv"}
    assert found["body"].time_ms is None
    assert found["head"].of_limit is not None
    assert found[""].gops_per_s is not None


def test_a_subgraph_that_is_timed_as_a_whole_is_attributed_to_no_layer() -> None:
    whole = make_operator("openvino", "body", 20.0, 1.0, delegate="openvino")
    found = points(msgspec.structs.replace(side(), operators=[whole]), limits=peaks())
    assert {point.attribution for path, point in found.items() if path} == {"not attributed", "no operators"}


def test_integer_work_is_compared_with_the_integer_peak_and_mixed_work_with_both() -> None:
    found = points(
        side(conv="Convolution (NHWC, QC8) IGEMM", conv_ms=5.0),
        precision="int8",
        sizes=ValueBytes(activation=1, weight=1),
        limits=peaks(),
    )
    assert found["body.conv"].limit_gops_per_s == pytest.approx(400)
    assert found["body.conv"].arithmetic == ["int8"]
    whole = found[""]
    assert whole.arithmetic == ["fp32", "int8"]
    assert whole.of_limit == pytest.approx((1000e6 / 400e9 + 2e6 / 100e9) / 25e-3)


def test_four_bit_weights_have_no_measured_peak() -> None:
    found = points(side(conv="Fully Connected (NC, QD8, F32, QB4W) GEMM"), precision="8da4w", limits=peaks())
    assert (found["body.conv"].bound, found[""].bound) == (None, None)
    assert found["body.conv"].gops_per_s is not None


def test_a_limit_that_is_exceeded_is_not_capped() -> None:
    found = points(side(conv_ms=5.0, head_ms=0.1), limits=peaks())
    assert found["body.conv"].of_limit == pytest.approx(2.0)
    assert found["head"].of_limit == pytest.approx(4.008)


def test_nothing_is_compared_with_peaks_that_were_not_measured() -> None:
    without_memory = peaks(rates=[rate for rate in peaks().rates if rate.kind != "memory"])
    for limits in (None, without_memory):
        conv = points(side(), limits=limits)["body.conv"]
        assert (conv.bound, conv.limit_gops_per_s, conv.of_limit) == (None, None, None)
        assert conv.gops_per_s == pytest.approx(50)


def test_without_a_profile_only_the_model_is_known() -> None:
    found = points(None, limits=peaks())
    assert list(found) == [""]
    assert found[""].of_limit == pytest.approx(2 * 501e6 / 100e9 / 25e-3)
    assert points(None, precision="int8", limits=peaks())[""].bound is None


def test_unknown_work_has_no_rate() -> None:
    summary = net()
    modules = [
        msgspec.structs.replace(module, unknown_calls=1) if module.path in ("", "head") else module
        for module in summary.modules
    ]
    unknown = msgspec.structs.replace(summary, modules=modules)
    found = {point.path: point for point in points_of(unknown, 25.0, side(), "fp32", FLOATS, peaks(), peaks())}
    assert [found[path].gops_per_s for path in ("", "head")] == [None, None]
    assert found["body.conv"].gops_per_s is not None
