"""Matrix products and convolutions, the work with which these libraries come closest to the peak of the cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from etui.engine.delegates import delegate_support
from etui.engine.lowering.flat_export import export
from etui.engine.lowering.quantize import halve, plain_graph, quantize
from etui.engine.models.call_structure import plain_structure
from etui.engine.peaks.timing import rate_of, timed
from etui.engine.runtime.execution import LoadedProgram
from etui.errors import PreparationError
from etui.machine_peaks import Arithmetic, Rate

_LAYERS = 4
"""Layers of a program: converting its inputs to 8 bits and back is then a small part of the time."""
_KERNEL = 3


class Layers(NamedTuple):
    """Equal layers one after the other: ``make`` returns one, ``shape`` is that of the inputs and outputs of each, and
    ``operations`` is the number of operations of one layer; a multiply-add counts as two."""

    text: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    operations: float


def linear_layers(size: int) -> Layers:
    """Return linear layers of ``size`` inputs and outputs on ``size`` rows."""
    text = f"{_LAYERS} linear layers of {size} x {size} on {size} rows"
    return Layers(text, lambda: nn.Linear(size, size, bias=False), (size, size), 2.0 * size**3)


def convolutions(channels: int, side: int) -> Layers:
    """Return convolutions of 3 x 3 from ``channels`` to as many on ``side`` x ``side`` positions."""

    def make() -> nn.Module:
        return nn.Conv2d(channels, channels, _KERNEL, padding=_KERNEL // 2, bias=False)

    text = f"{_LAYERS} convolutions of 3 x 3, {channels} channels on {side} x {side}"
    return Layers(text, make, (1, channels, side, side), 2.0 * (_KERNEL * channels * side) ** 2)


def matrix_product(size: int, repeat_s: float) -> Rate:
    """Return the rate of PyTorch's product of two FP32 matrices of ``size`` rows and columns."""
    left, right, result = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    return rate_of(
        "fp32",
        "PyTorch",
        f"{size} x {size} x {size}",
        2.0 * size**3,
        timed(lambda: torch.mm(left, right, out=result)),
        repeat_s,
    )


def write_program(precision: Arithmetic, layers: Layers, path: Path) -> None:
    """Write a program of layers for XNNPACK.

    Raises:
        PreparationError: XNNPACK does not execute all of it.
    """
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    torch.manual_seed(0)
    module = nn.Sequential(*(layers.make() for _ in range(_LAYERS))).eval()
    inputs, structure = (torch.randn(layers.shape),), plain_structure(1)
    if precision == "int8":
        exported = export(module, inputs, structure)
        graph = quantize(module, exported, inputs, [inputs], "int8-static/xnnpack")
    else:
        graph = (halve if precision == "fp16" else plain_graph)(module, inputs, structure)
    edge: Any = to_edge_transform_and_lower(
        graph.program,
        partitioner=delegate_support("xnnpack").partitioners(precision),
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )
    lowered = edge.exported_program().graph_module
    others = [str(node.target) for node in lowered.graph.nodes if node.op == "call_function" and _computes(node)]
    if others:
        raise PreparationError(f"XNNPACK does not execute {', '.join(sorted(set(others)))}")
    with path.open("wb") as file:
        edge.to_executorch().write_to_file(file)


def xnnpack_rate(precision: Arithmetic, layers: Layers, path: Path, repeat_s: float) -> Rate:
    """Return the rate of a program of ``write_program``, without the copies of its inputs and outputs."""
    program = LoadedProgram(path, delegate="xnnpack")
    inputs = program.fit((torch.randn(layers.shape),))
    return rate_of(
        precision,
        "XNNPACK",
        layers.text,
        _LAYERS * layers.operations,
        lambda: program.parts_ns(inputs)[1] / 1e9,
        repeat_s,
    )


def _computes(node: torch.fx.Node) -> bool:
    name = str(node.target)
    return "executorch_call_delegate" not in name and "getitem" not in name and "quantize" not in name
