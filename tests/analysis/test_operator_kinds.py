"""Kinds of work, derived from an operator's name and from its origins."""

from __future__ import annotations

import pytest

from etui.analysis.operator_kinds import kind_of, kind_of_operator
from etui.insight import Operator, Origin


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Convolution (NHWC, F32) IGEMM #1", "convolution"),
        ("Deconvolution (NHWC, F32)", "convolution"),
        ("aten::conv2d", "convolution"),
        ("Convert (NC) #1", "quantizing and dequantizing"),
        ("Resize Bilinear (NHWC) #1", "resizing"),
        ("upsample_bilinear2d.vec_out", "resizing"),
        ("aten.upsample_trilinear3d.vec", "resizing"),
        ("Fully Connected (NC, F32) GEMM #2", "linear layers"),
        ("aten::linear", "linear layers"),
        ("aten::add_", "element-wise arithmetic"),
        ("Add (ND)", "element-wise arithmetic"),
        ("exponential", "exponential"),
    ],
)
def test_kind_of_work_from_the_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_undivided_delegate_is_not_an_operator_name() -> None:
    whole = Operator(
        name="OpenvinoBackend", calls=1, median_ms=1.0, p90_ms=None, share=1.0, delegate="OpenvinoBackend", subgraph=0
    )
    assert "OpenvinoBackend" in kind_of_operator(whole)


def test_convolution_run_as_a_matrix_multiplication_is_a_convolution() -> None:
    def made_of(*operators: str) -> Operator:
        origin = Origin(operators=list(operators))
        return Operator(
            name="Fully Connected (NC, F32) GEMM #1", calls=1, median_ms=1.0, p90_ms=None, share=1.0, origin=origin
        )

    assert kind_of_operator(made_of("aten.conv2d.default")) == "convolution"
    assert kind_of_operator(made_of("aten.linear.default")) == "linear layers"
    assert kind_of_operator(made_of()) == "linear layers"
