"""Find the operator that computes the first output of a program: a sigmoid, a softmax or something else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from etui.model_graph import ModelGraph, OperatorNode
from etui.programs.files import mapped
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import read_program
from etui.programs.program_graph import PARTITION, read_graph, xnnpack_data
from etui.programs.xnnpack import output_kind

OutputFunction = Literal["sigmoid", "softmax", "linear", "other"]
"""``linear`` is a layer with weights, whose results are not limited to a range."""

_FUNCTIONS: dict[str, OutputFunction] = {
    "sigmoid": "sigmoid",
    "Sigmoid": "sigmoid",
    "_softmax": "softmax",
    "softmax": "softmax",
    "Softmax": "softmax",
    "addmm": "linear",
    "mm": "linear",
    "linear": "linear",
    "FullyConnected": "linear",
}

_SAME_VALUES = (
    "quantize_per_tensor",
    "dequantize_per_tensor",
    "clone",
    "_clone_dim_order",
    "_to_copy",
    "_to_dim_order_copy",
    "view_copy",
    "view",
    "squeeze_copy",
    "unsqueeze_copy",
    "permute_copy",
    "expand_copy",
    "executorch_prim.et_view",
)
"""Operators whose result has the values of their input, but for rounding."""


def output_function(program: Path) -> OutputFunction | None:
    """Return what the values of the first output of a program's inference are computed with; None if that is not
    visible, because a delegate other than XNNPACK does it, or the program has branches.

    Raises:
        DamagedFile: it is not a program, or it is damaged.
    """
    with mapped(program) as buffer:
        graph = read_graph(buffer, program.name)
        if graph.notes or not graph.outputs:
            return None
        sources = graph.outputs[0].sources
        while len(sources) == 1:
            node = graph.nodes[sources[0]]
            if graph.groups[node.group].delegated:
                return _of_partition(buffer, graph, node)
            name = _base(node.operator)
            if name not in _SAME_VALUES:
                return _FUNCTIONS.get(name, "other")
            sources = node.inputs
    return None


def _of_partition(buffer: memoryview, graph: ModelGraph, node: OperatorNode) -> OutputFunction | None:
    program = read_program(buffer)
    method = next(each for each in program.methods if each.name == graph.groups[0].type)
    partition = method.delegates[int(graph.groups[node.group].path.removeprefix(PARTITION))]
    data = xnnpack_data(program, partition, buffer)
    try:
        kind = output_kind(data) if data is not None else None
    except DamagedFile:
        return None
    return None if kind is None else _FUNCTIONS.get(kind, "other")


def _base(operator: str) -> str:
    """Return the name of an operator without its library and overload: ``sigmoid`` of ``aten.sigmoid.out``."""
    parts = operator.split(".")
    return parts[1] if len(parts) > 1 else operator
