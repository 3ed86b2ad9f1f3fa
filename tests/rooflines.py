"""A small model with a profile and peaks, whose places in the roofline are easily computed."""

from __future__ import annotations

from typing import Any

import msgspec

from etui.insight import Operator, OperatorSide
from etui.machine_peaks import MachinePeaks, Rate, RateKind
from etui.model_summary import ModelSummary, ModuleSummary, TensorInfo
from tests.model_summaries import made_up
from tests.profiles import make_operator

VALUES = TensorInfo(shape=[1, 1000], dtype="float32")


def net() -> ModelSummary:
    """Return a model of a convolution of 500 M multiply-adds on few bytes, a linear layer of 1 M multiply-adds on as
    many weights, and a normalization."""
    layers = [
        _module("body.conv", "Conv2d", macs=500_000_000, own_mac_calls=1, weight_values=1_000, io_values=100_000),
        _module("body.norm", "LayerNorm", io_values=100_000),
        _module("head", "Linear", macs=1_000_000, own_mac_calls=1, weight_values=1_000_000, io_values=2_000),
    ]
    body = _module("body", "Sequential", macs=500_000_000, weight_values=1_000, io_values=100_000)
    whole = _module("", "Net", macs=501_000_000, weight_values=1_001_000, io_values=102_000)
    return msgspec.structs.replace(made_up(), macs=whole.macs, uncounted={}, modules=[whole, body, *layers])


def _module(path: str, kind: str, *, macs: int = 0, own_mac_calls: int = 0, **counts: Any) -> ModuleSummary:
    return ModuleSummary(
        path=path,
        type=kind,
        depth=path.count(".") + 1 if path else 0,
        calls=1,
        inputs=[VALUES],
        outputs=[VALUES],
        macs=macs,
        own_macs=macs if own_mac_calls else 0,
        own_mac_calls=own_mac_calls,
        **counts,
    )


def side(*, conv: str = "Convolution (NHWC, F32) IGEMM", conv_ms: float = 20.0, head_ms: float = 2.0) -> OperatorSide:
    """Return the operators of its program: 20 ms for the convolution, 1 ms for the normalization, 2 ms for the linear
    layer."""
    operators: list[Operator] = [
        make_operator(f"{conv} #1", "body.conv", conv_ms, 0.8, delegate="XnnpackBackend"),
        make_operator("native_layer_norm.out", "body.norm", 1.0, 0.1),
        make_operator("Fully Connected (NC, F32) GEMV #1", "head", head_ms, 0.1, delegate="XnnpackBackend"),
    ]
    return OperatorSide(inferences=5, inference_ms=25.0, operators_ms=23.0, operators=operators, untraced_ms=24.0)


def peaks(**changes: Any) -> MachinePeaks:
    """Return 100 GFLOP/s in FP32, 400 GOP/s in INT8 and 10 GB/s, with two threads on the machine of the tests."""
    rates = [rate("fp32", 100.0), rate("fp32", 60.0, "PyTorch"), rate("int8", 400.0), rate("memory", 10.0)]
    made = MachinePeaks(
        host="bench-1", cpu="A CPU", threads=2, measured_at="2026-11-20T09:00:00.000Z", rates=rates, cpus=[0, 1]
    )
    return msgspec.structs.replace(made, **changes)


def rate(kind: RateKind, peak: float, library: str = "XNNPACK") -> Rate:
    """Return a rate with this peak, the upper quartile, and a median that is 5 % less."""
    return Rate(kind=kind, library=library, work="a product", median=0.95 * peak, low=0.9 * peak, high=peak, repeats=9)
