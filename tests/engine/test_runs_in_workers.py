"""What preparation records about a program: the graph at each stage, and undelegated nodes with their causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from etui.analysis.delegation import advice
from etui.engine.delegates import delegate_support
from etui.engine.lowering.delegation import delegation_of
from etui.engine.lowering.flat_export import export
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.quantize import Graph, quantize
from etui.engine.lowering.undelegated import undelegated_nodes
from etui.jobs import LowerResult
from etui.programs.program import read_program
from etui.programs.sections import leaves
from etui.results import Delegation
from tests.documents import make_document
from tests.engine.conftest import TINY, Workshop

CONVOLUTIONAL = f"{TINY}:convolutional"
INDEXED = f"{TINY}:indexed"
X = (torch.randn(4, 32),)


@pytest.mark.slow
def test_program_has_stages_sections_and_undelegated_nodes(workshop: Workshop) -> None:
    bundle = workshop.bundle(CONVOLUTIONAL)
    int8 = workshop.lower(CONVOLUTIONAL, bundle, "int8")
    assert [stage.name for stage in int8.graph_stages] == [
        "aten", "quantized", "core aten", "edge", "delegated", "planned",
    ]  # fmt: skip
    aten, quantized, core, edge, delegated, planned = (stage.operators for stage in int8.graph_stages)
    assert aten["aten.conv2d.default"] == 1 and "aten.convolution.default" not in aten
    assert any("quantize_per_tensor" in name for name in quantized)
    assert core["aten.convolution.default"] == edge["aten.convolution.default"] == 1
    assert delegated == {"call_delegate XnnpackBackend": 2, "aten.mean.dim": 1}
    assert planned == {"call_delegate XnnpackBackend": 2, "aten.mean.out": 1}
    assert int8.delegation is not None
    assert [(node.operator, node.breaks) for node in int8.delegation.outside] == [("aten.mean.dim", True)]
    assert all(stage.seconds is not None and stage.seconds >= 0 for stage in int8.graph_stages)
    assert sum(one.size_bytes for one in leaves(int8.artifact.sections)) == Path(int8.path).stat().st_size

    plain = workshop.lower(CONVOLUTIONAL, bundle, "fp32", "portable")
    assert [stage.name for stage in plain.graph_stages] == ["aten", "core aten", "edge", "planned"]
    assert plain.graph_stages[-1].operators["aten.convolution.out"] == 1
    assert plain.delegation is not None and plain.delegation.outside == []


@pytest.mark.slow
@pytest.mark.parametrize("delegate", ["portable", "xnnpack"])
def test_planned_stage_counts_the_programs_instructions(workshop: Workshop, delegate: str) -> None:
    result = workshop.lower(INDEXED, workshop.bundle(INDEXED), "fp32", delegate)
    program = read_program(memoryview(Path(result.path).read_bytes()))
    planned = result.graph_stages[-1].operators
    assert result.graph_stages[-1].name == "planned"
    assert sum(planned.values()) == program.methods[0].instructions
    assert {name: count for name, count in planned.items() if "call_delegate" not in name} == program.methods[
        0
    ].operators


def lowered(graph: Graph, delegate: str = "xnnpack", stages: GraphStages | None = None) -> tuple[bytes, Delegation]:
    """Return a graph's program and its delegation; ``stages`` record the graph if given."""
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    with stages.watching() if stages is not None else nullcontext():
        edge = to_edge_transform_and_lower(
            graph.program,
            partitioner=delegate_support(delegate).partitioners("fp32"),
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
    module = edge.exported_program().graph_module
    delegation = msgspec.structs.replace(delegation_of(module), outside=undelegated_nodes(module))
    program: bytes = edge.to_executorch().buffer
    return program, delegation


@pytest.mark.slow
def test_recording_stages_does_not_change_the_program() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32), nn.Linear(32, 32)).eval()
    for delegate in ("xnnpack", "portable"):
        stages = GraphStages()
        watched, _ = lowered(Graph(export(module, X), module), delegate, stages)
        alone, _ = lowered(Graph(export(module, X), module), delegate)
        assert watched == alone
        assert [stage.name for stage in stages.stages] == ["core aten", "edge"]


# Causes, from graphs that are actually lowered in this way


class _Fused(nn.Module):
    def forward(self, query: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)


class _Written(nn.Module):
    def forward(self, query: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.softmax(query @ query.transpose(-1, -2) * 0.25 + mask, -1) @ query


class _Never(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 32)
        self.first = nn.Linear(32, 32)
        self.norm = nn.LayerNorm(32)
        self.second = nn.Linear(32, 32)
        self.groups = nn.GroupNorm(4, 32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.second(self.norm(self.first(self.table(ids))))
        hidden = torch.where(hidden > 0, hidden, hidden * 2).expand(3, -1, -1).contiguous()
        out: torch.Tensor = self.groups(hidden.transpose(1, 2))
        return out


def _exported(module: nn.Module, *inputs: torch.Tensor) -> Graph:
    return Graph(export(module.eval(), inputs), module)


def _attention(module: nn.Module) -> Graph:
    return _exported(module, torch.randn(1, 2, 8, 16), torch.randn(1, 1, 8, 8))


def _gelu(written_out: bool) -> Graph:
    from transformers.activations import NewGELUActivation

    gelu = NewGELUActivation() if written_out else nn.GELU(approximate="tanh")
    return _exported(nn.Sequential(nn.Linear(32, 32), gelu, nn.Linear(32, 32)), *X)


def _conv1d(replaced: bool) -> Graph:
    from transformers.pytorch_utils import Conv1D

    first = nn.Linear(32, 32) if replaced else Conv1D(32, 32)
    module = nn.Sequential(first, nn.ReLU(), nn.Linear(32, 32)).eval()
    return quantize(module, export(module, X), X, [], "int8-dynamic/1")


def _dynamic(per_channel: bool) -> Graph:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    module = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32)).eval()
    quantizer: Any = XNNPACKQuantizer()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=per_channel, is_dynamic=True))
    prepared = prepare_pt2e(export(module, X).module(), quantizer)
    prepared(*X)
    converted = convert_pt2e(prepared)
    return Graph(export(converted, X), converted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "precision", "causes"),
    [
        (lambda: _attention(_Fused()), "fp32", ["fused attention", "never delegated"]),
        (lambda: _attention(_Written()), "fp32", ["never delegated"]),
        (lambda: _gelu(True), "fp32", ["pow of a written-out GELU"]),
        (lambda: _gelu(False), "fp32", []),
        (lambda: _conv1d(False), "int8-dynamic", ["addmm not quantized"]),
        (lambda: _conv1d(True), "int8-dynamic", []),
        (lambda: _dynamic(False), "int8-dynamic", ["dynamic per-tensor linear"]),
        (lambda: _dynamic(True), "int8-dynamic", []),
        (lambda: _exported(_Never(), torch.arange(8).unsqueeze(0)), "fp32", ["never delegated"]),
    ],
)
def test_advice_names_the_cause(make: Callable[[], Graph], precision: str, causes: list[str]) -> None:
    import executorch.kernels.quantized  # noqa: F401 - the out variants of the quantized operators

    graph, stages = make(), GraphStages()
    stages.add("quantized" if precision != "fp32" else "aten", graph.program.graph_module, None)
    document = make_document(precision=precision)
    _, document.delegation = lowered(graph, stages=stages)
    document.graph_stages = stages.stages
    assert [one.cause for one in advice(document)] == causes


@pytest.mark.slow
def test_undelegated_node_has_its_origin_and_whether_it_splits_the_graph() -> None:
    graph = _exported(_Never(), torch.arange(8).unsqueeze(0))
    _, delegation = lowered(graph)
    by_operator = {node.operator: node for node in delegation.outside}
    norm, table = by_operator["aten.native_layer_norm.default"], by_operator["aten.embedding.default"]
    assert (norm.origin.module, norm.origin.module_type, norm.breaks) == ("norm", "LayerNorm", True)
    assert norm.origin.operators == ["aten.layer_norm.default"]
    assert norm.origin.stack[-1].startswith("torch/nn/modules/normalization.py:")
    assert (table.origin.module, table.breaks) == ("table", False)
    assert any("self.second(self.norm(" in line for line in norm.origin.stack)
    assert Counter(node.operator for node in delegation.outside) == delegation.undelegated_operators


def test_programs_cached_without_stages_can_be_read() -> None:
    old = {
        "path": "p",
        "artifact": {"kind": "pte", "size_bytes": 1, "sha256": "a", "key": "k"},
        "stages": [],
        "delegation": {
            "delegated_nodes": 1,
            "undelegated_nodes": 0,
            "subgraphs": 1,
            "undelegated_operators": {},
        },
    }
    lowered = msgspec.json.decode(msgspec.json.encode(old), type=LowerResult)
    assert lowered.graph_stages == [] and lowered.artifact.sections == []
