"""What each delegate needs for lowering: its partitioner, and the arithmetic it computes in."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import torch

from etui.engine.lowering.graph_stages import NOT_OPERATORS, operator_name
from etui.errors import PreparationError
from etui.results import Delegation

_ARITHMETIC = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}


def partitioners(delegate: str, precision: str) -> list[Any]:
    """The partitioners that give a graph's nodes to a delegate; none for portable.

    ``precision`` matters to Core ML, which would compute an FP32 graph in 16 bits. Raises PreparationError
    where the delegate's tools are not installed.
    """
    try:
        return _partitioners(delegate, precision)
    except ImportError as error:
        raise PreparationError(
            f"the tools for {delegate} cannot be imported: {error}", "see `etui delegates` for what to install"
        ) from error


def _partitioners(delegate: str, precision: str) -> list[Any]:
    match delegate:
        case "portable":
            return []
        case "xnnpack":
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

            return [XnnpackPartitioner()]
        case "openvino":
            from executorch.backends.openvino.partitioner import OpenvinoPartitioner
            from executorch.exir.backend.backend_details import CompileSpec

            return [OpenvinoPartitioner([CompileSpec("device", b"CPU")])]
        case "coreml":
            from executorch.backends.apple.coreml.compiler import CoreMLBackend
            from executorch.backends.apple.coreml.partition import CoreMLPartitioner

            kinds = importlib.import_module("coremltools").precision
            chosen = kinds.FLOAT16 if precision == "fp16" else kinds.FLOAT32
            return [CoreMLPartitioner(compile_specs=CoreMLBackend.generate_compile_specs(compute_precision=chosen))]
        case "vulkan":
            from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

            return [VulkanPartitioner()]
        case "webgpu":
            from executorch.backends.webgpu.partitioner.partitioner import WebGPUPartitioner

            return [WebGPUPartitioner()]
        case "ethos-u":
            from executorch.backends.arm.ethosu import EthosUPartitioner

            return [EthosUPartitioner(ethos_u_target())]
    raise PreparationError(f"there is no way to lower for {delegate}", "see `etui delegates`")


def ethos_u_target() -> Any:
    """The Ethos-U that programs are compiled for: quantizer and partitioner must agree on it."""
    from executorch.backends.arm.ethosu import EthosUCompileSpec

    return EthosUCompileSpec("ethos-u85-256")


def real_arithmetic(delegate: str, precision: str) -> str | None:
    """The arithmetic a delegate uses where that is not the precision's own, else None; OpenVINO is asked what it does.

    On a CPU with bfloat16 instructions it computes FP32 and FP16 programs alike in bfloat16. (In quantized programs
    that holds for what is not quantized, which names no arithmetic of the whole.)
    """
    if delegate != "openvino" or precision not in _ARITHMETIC.values():
        return None
    import openvino

    hint = openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
    name = _ARITHMETIC.get(hint.get_type_name())
    return None if name == precision else name


def delegation(graph_module: torch.fx.GraphModule) -> Delegation:
    """How many operators of a lowered graph the delegate took, in how many subgraphs, and which it left.

    Counts as ``executorch.devtools.backend_debug`` does, less the nodes that only take a result apart (and without
    the pandas that it imports).
    """
    delegated = subgraphs = 0
    left: Counter[str] = Counter()
    for node in graph_module.graph.nodes:
        if node.op == "get_attr" and node.name.startswith("lowered_module_"):
            subgraphs += 1
            lowered: Any = getattr(graph_module, node.name)
            delegated += sum(_is_operator(inner) for inner in lowered.original_module.graph.nodes)
        elif _is_operator(node):
            left[operator_name(node)] += 1
    return Delegation(
        delegated_nodes=delegated,
        undelegated_nodes=left.total(),
        subgraphs=subgraphs,
        undelegated_operators=dict(left.most_common()),
    )


def _is_operator(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and operator_name(node) not in NOT_OPERATORS
