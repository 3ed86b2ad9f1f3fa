"""The partitioner of each delegate, the arithmetic it computes in, and how much of a lowered graph is delegated."""

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
    """Return the partitioners of a delegate; none for portable.

    ``precision`` matters for Core ML, which would compute an FP32 graph in 16 bits.

    Raises:
        PreparationError: the delegate's tools are not installed.
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
    raise PreparationError(f"lowering for {delegate} is not supported", "see `etui delegates`")


def ethos_u_target() -> Any:
    """Return the Ethos-U configuration that programs are compiled for; quantizer and partitioner must use the same."""
    from executorch.backends.arm.ethosu import EthosUCompileSpec

    return EthosUCompileSpec("ethos-u85-256")


def real_arithmetic(delegate: str, precision: str) -> str | None:
    """Return the arithmetic that a delegate uses if it differs from the precision, else None.

    On a CPU with bfloat16 instructions OpenVINO computes FP32 and FP16 programs in bfloat16, according to its property
    INFERENCE_PRECISION_HINT. (In quantized programs this applies only to the operators that are not quantized.)
    """
    if delegate != "openvino" or precision not in _ARITHMETIC.values():
        return None
    import openvino

    hint = openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
    name = _ARITHMETIC.get(hint.get_type_name())
    return None if name == precision else name


def delegation_of(graph_module: torch.fx.GraphModule) -> Delegation:
    """Count the delegated and undelegated operators and the delegated subgraphs of a lowered graph.

    Counts as ``executorch.devtools.backend_debug`` does, without nodes that only unpack a result (and without importing
    pandas).
    """
    delegated = subgraphs = 0
    undelegated: Counter[str] = Counter()
    for node in graph_module.graph.nodes:
        if node.op == "get_attr" and node.name.startswith("lowered_module_"):
            subgraphs += 1
            lowered: Any = getattr(graph_module, node.name)
            delegated += sum(_is_operator(inner) for inner in lowered.original_module.graph.nodes)
        elif _is_operator(node):
            undelegated[operator_name(node)] += 1
    return Delegation(
        delegated_nodes=delegated,
        undelegated_nodes=undelegated.total(),
        subgraphs=subgraphs,
        undelegated_operators=dict(undelegated.most_common()),
    )


def _is_operator(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and operator_name(node) not in NOT_OPERATORS
