"""Undelegated nodes, and advice that is given only if the facts of the run show the case."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from etui.analysis.delegation import advice, node_share, time_share
from etui.analysis.lowering import changes
from etui.analysis.operator_kinds import bare_name, kind_of
from etui.insight import GraphStage, Origin, UndelegatedNode
from etui.results import Delegation, RunDocument
from tests.documents import ENVIRONMENT, make_document
from tests.facts import lacking
from tests.insights import look_inside


def undelegated(*nodes: UndelegatedNode, delegated: int = 60) -> Delegation:
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.operator] = counts.get(node.operator, 0) + 1
    return Delegation(
        delegated_nodes=delegated,
        undelegated_nodes=len(nodes),
        subgraphs=2,
        undelegated_operators=counts,
        outside=list(nodes),
    )


def node(operator: str, *, breaks: bool = False, kind: str = "", source: str = "", line: str = "") -> UndelegatedNode:
    origin = Origin(module_type=kind, operators=[source] if source else [], stack=[line] if line else [])
    return UndelegatedNode(operator=operator, origin=origin, breaks=breaks)


def run(precision: str = "fp32", delegate: str = "xnnpack", **facts: Any) -> RunDocument:
    document = make_document(precision=precision, delegate=delegate)
    document.delegation = facts.pop("delegation", undelegated())
    for name, value in facts.items():
        setattr(document, name, value)
    return document


NORM = node("aten.native_layer_norm.default", breaks=True)
QPARAMS = node("quantized_decomposed.choose_qparams.tensor")
ADDMM = node("aten.addmm.default")
SDPA = node("aten.where.self", source="aten.scaled_dot_product_attention.default")
POW = node("aten.pow.Tensor_Scalar", kind="NewGELUActivation")
CONVOLUTION = node("aten.convolution.default")
QUANTIZED = [GraphStage(name="quantized", operators={"aten.addmm.default": 2, "aten.linear.default": 3})]
NO_HALVES = msgspec.structs.replace(ENVIRONMENT, cpu_flags=["avx2", "avx512_bf16"])
HALVES = msgspec.structs.replace(ENVIRONMENT, cpu_flags=["avx2", "avx512_fp16"])
ARM = msgspec.structs.replace(ENVIRONMENT, cpu_flags=["asimdhp", "fphp"])


@pytest.mark.parametrize(
    ("document", "causes"),
    [
        (run(), []),
        (run(delegation=undelegated(NORM)), ["never delegated"]),
        (run(delegate="openvino", delegation=undelegated(NORM)), []),
        (run(delegation=undelegated(ADDMM)), []),
        (run("int8-dynamic", delegation=undelegated(QPARAMS, ADDMM)), ["dynamic per-tensor linear"]),
        (run("int8", graph_stages=QUANTIZED), ["addmm not quantized"]),
        (run("fp32", graph_stages=QUANTIZED), []),
        (run("int8", "openvino", graph_stages=QUANTIZED), []),
        (run(delegation=undelegated(SDPA)), ["fused attention", "never delegated"]),
        (run(delegation=undelegated(POW)), ["pow of a written-out GELU"]),
        (run(delegation=undelegated(node("aten.pow.Tensor_Scalar", kind="RMSNorm"))), []),
        (
            run(delegate="portable", delegation=undelegated(CONVOLUTION, delegated=0)),
            ["convolution without a delegate"],
        ),
        (run(delegate="portable", delegation=undelegated(ADDMM, delegated=0)), []),
        (run(delegation=undelegated(CONVOLUTION, delegated=0)), ["took nothing"]),
        (run(delegate="openvino", arithmetic="bf16"), ["bf16"]),
        (run(delegate="openvino"), []),
        (run("fp16", environment=NO_HALVES), ["no fp16 arithmetic"]),
        (run("fp16", environment=HALVES), []),
        (run("fp16", environment=ARM), []),
        (run("fp16", environment=None), []),
        (run("fp32", environment=NO_HALVES), []),
        (run(delegation=None), []),
    ],
)
def test_advice_is_given_only_if_the_facts_show_the_case(document: RunDocument, causes: list[str]) -> None:
    assert [one.cause for one in advice(document)] == causes


def test_advice_counts_its_nodes() -> None:
    (hint,) = advice(run(delegation=undelegated(NORM, NORM, node("aten.expand_copy.default"))))
    assert not lacking(hint.seen, "2 layer_norm", "1 expand", "2 of them")
    assert hint.nodes == 3 and hint.operators == ["aten.native_layer_norm.default", "aten.expand_copy.default"]
    profiled = look_inside(run())
    portable = run(delegate="portable", delegation=undelegated(CONVOLUTION, delegated=0), profile=profiled.profile)
    assert "% of the time" in advice(portable)[0].seen


def test_shares_of_nodes_and_time() -> None:
    assert node_share(undelegated(NORM, delegated=3)) == 0.75
    assert node_share(undelegated(delegated=0)) is None
    document = look_inside(make_document())
    assert document.profile is not None
    inside = sum(one.share for one in document.profile.program.operators if one.delegate)
    assert time_share(document) == pytest.approx(inside) and 0 < inside < 1
    assert time_share(make_document()) is None
    document.delegate = "portable"
    assert time_share(document) is None


@pytest.mark.parametrize(
    ("operator", "bare", "kind"),
    [
        ("aten.convolution.default", "convolution", "convolution"),
        ("convolution.out", "convolution", "convolution"),
        ("native_batch_norm.no_stats_out", "native_batch_norm", "batch_norm"),
        ("aten::conv2d", "conv2d", "convolution"),
        ("Convert (NC, F32, QS8)", "convert", "quantizing and dequantizing"),
        ("aten::upsample_bilinear2d", "upsample_bilinear2d", "resizing"),
        ("Resize Bilinear (NHWC)", "resize bilinear", "resizing"),
        ("aten::add_", "add_", "element-wise arithmetic"),
        ("Convolution (NHWC, F32) IGEMM", "convolution", "convolution"),
        ("Fully Connected (NC, F32) GEMM", "fully connected", "linear layers"),
        ("aten::addmm.out", "addmm", "linear layers"),
        ("Batch Matrix Multiply (NC, F32)", "batch matrix multiply", "matrix multiplication"),
        ("aten_native_layer_norm_default", "native_layer_norm", "layer_norm"),
        ("quantized_decomposed.choose_qparams.tensor", "choose_qparams", "quantizing and dequantizing"),
        ("aten.expand_copy.out", "expand_copy", "moving data"),
        ("my.own_operator.default", "own_operator", "own_operator"),
    ],
)
def test_operator_names_of_three_dialects_have_one_kind(operator: str, bare: str, kind: str) -> None:
    assert (bare_name(operator), kind_of(operator)) == (bare, kind)


def test_changes_of_a_graph_stage() -> None:
    stages = [
        GraphStage(name="aten", operators={"aten.conv2d.default": 2, "aten.relu.default": 1}, seconds=1.0),
        GraphStage(name="core aten", operators={"aten.convolution.default": 2, "aten.relu.default": 1}),
        GraphStage(name="delegated", operators={"call_delegate XnnpackBackend": 1}),
    ]
    first, second, third = changes(stages)
    assert (first.first, first.nodes, first.added, first.removed) == (True, 3, {}, {})
    assert (second.added, second.removed) == ({"aten.convolution.default": 2}, {"aten.conv2d.default": 2})
    assert third.removed == {"aten.convolution.default": 2, "aten.relu.default": 1} and third.nodes == 1
    assert changes([]) == []


def test_overloads_changed_by_memory_planning_are_not_a_change() -> None:
    edge = GraphStage(name="delegated", operators={"aten.mean.dim": 2, "aten.alias_copy.default": 1})
    planned = GraphStage(name="planned", operators={"aten.mean.out": 2, "view": 1})
    assert changes([edge, planned])[1].added == {"view": 1}
    assert changes([edge, planned])[1].removed == {"aten.alias_copy": 1}
