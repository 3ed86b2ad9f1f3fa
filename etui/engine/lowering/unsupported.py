"""Find what ExecuTorch cannot run before a program is measured: 3D convolutions, and operators without a kernel; and
tell how far recurrent layers are unrolled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

from etui.engine.delegates.base import DelegateSupport
from etui.engine.explain.known_causes import missing_kernels
from etui.engine.explain.source_lines import model_line_in
from etui.engine.lowering.keep_fp32 import module_path
from etui.errors import PreparationError
from etui.text import counted

_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})

_LONG = 16
"""Recurrences of fewer steps are lowered without a notice."""


def refuse_unsupported(program: ExportedProgram, delegate: DelegateSupport) -> None:
    """Raise PreparationError if the graph has complex inputs, or 3D convolutions and the delegate's programs cannot
    have any."""
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and node.name in names and isinstance(value, torch.Tensor) and value.is_complex():
            raise PreparationError(
                f"the input {node.name} is complex, which ExecuTorch does not support",
                "give its real and imaginary parts (torch.view_as_real)",
            )
    if delegate.convolves_3d:
        return
    for node in program.graph.nodes:
        if node.op == "call_function" and _convolves_3d(node):
            line = model_line_in(node.meta.get("stack_trace"))
            place = ", ".join(filter(None, [module_path(node), line.to_text() if line else ""]))
            raise PreparationError(
                f"neither XNNPACK nor ExecuTorch's own kernels have 3D convolutions: {place or node.name}",
                "use openvino, which has them, or replace them by 2D convolutions",
            )


def refuse_missing_kernels(manager: Any) -> None:
    """Raise PreparationError if the runtime of this machine has no kernel for an operator of a lowered program; the
    message names the operator and where the model uses it."""
    from etui.engine.runtime.load_problems import kernel_names

    known = kernel_names()
    called = {
        f"{operator.name}.{operator.overload}" if operator.overload else str(operator.name)
        for plan in manager.executorch_program.execution_plan
        for operator in plan.operators
    }
    missing = sorted(name for name in called if name.replace("::", ".") not in known)
    if not missing:
        return
    nodes = [node for name in sorted(manager.methods) for node in manager.exported_program(name).graph.nodes]
    lines = [model_line_in(node.meta.get("stack_trace")) for node in nodes if _kernel_name(node) in missing]
    cause, hint = missing_kernels(missing, [line.to_text() for line in lines if line is not None])
    raise PreparationError(cause, hint)


def unrolled(program: ExportedProgram) -> Iterator[str]:
    """Yield a notice for each recurrent layer that lowering unrolls into many steps."""
    for node in program.graph.nodes:
        name = str(node.target).removeprefix("aten.").partition(".")[0]
        if node.op != "call_function" or name not in _RECURRENT:
            continue
        shape = _shape(node.args[0])
        if not shape:
            continue
        # lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
        layers, both, first = (*node.args[4:5], 1)[0], (*node.args[7:8], False)[0], (*node.args[8:9], False)[0]
        steps = shape[1 if first and len(shape) > 1 else 0]
        total = steps * int(layers) * (2 if both else 1)
        if total >= _LONG:
            kind = name.partition("_")[0].upper()
            yield (
                f"the {kind} {module_path(node) or node.name} is unrolled into {counted(total, 'step')} ({steps} time"
                f" steps, {counted(int(layers), 'layer')}{', 2 directions' if both else ''}): lowering takes"
                " longer the longer the sequence is"
            )


def _convolves_3d(node: torch.fx.Node) -> bool:
    name = str(node.target).removeprefix("aten.").partition(".")[0]
    if name in {"conv3d", "conv_transpose3d"}:
        return True
    return name == "convolution" and len(_shape(node.args[0])) == 5


def _shape(argument: object) -> tuple[int, ...]:
    value = argument.meta.get("val") if isinstance(argument, torch.fx.Node) else None
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def _kernel_name(node: torch.fx.Node) -> str:
    """Return the name of the kernel that a node of a planned graph calls, such as ``aten::add.out``; empty if it calls
    none."""
    target = node.target
    if node.op != "call_function" or not isinstance(target, torch._ops.OpOverload):
        return ""
    schema = target._schema
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else str(schema.name)
