"""Export a module so that its program takes only tensors, in the flat order of its inputs.

An exported program of a module with keyword arguments, nested arguments or constants takes all of them, flattened, and
ExecuTorch rejects some constants at run time. Constants have no effect on an exported graph: it was traced with them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind
from torch.utils import _pytree as pytree

from etui.engine.lowering.torch_dims import torch_dims
from etui.engine.models.call_structure import CallStructure, Inputs, plain_structure
from etui.errors import PreparationError
from etui.jobs import DynamicDims

_PLAIN_TYPES = frozenset({list, tuple, dict, None})
"""The nestings of outputs that lowering can describe; user classes have no name for a file."""

_RESERVED = frozenset(name for name in dir(torch.fx.GraphModule) if not name.startswith("__"))
"""Names of attributes of a graph module, which a module's own attributes would replace."""


def export(
    module: nn.Module, inputs: Inputs, structure: CallStructure | None = None, dynamic: DynamicDims | None = None
) -> ExportedProgram:
    """Export a module for inputs of exactly these shapes and dtypes, or of the ``dynamic`` ranges of them;
    ``structure`` None means positional tensors."""
    structure = structure or plain_structure(len(inputs))
    arguments = structure.arguments(inputs)
    if isinstance(module, torch.jit.ScriptModule):
        program = _of_script(module, arguments.args, arguments.kwargs)
    else:
        shapes = torch_dims(module, structure, dynamic)
        program = torch.export.export(module, arguments.args, arguments.kwargs, dynamic_shapes=shapes, strict=False)
    if not structure.is_plain:
        _flatten_inputs(program, inputs)
    _flatten_outputs(program)
    _rename_reserved(program)
    return program


def mutated_buffers(program: ExportedProgram) -> list[str]:
    """Return the names of the buffers that an exported program, still with operators in place, changes when it runs."""
    buffers = program.graph_signature.inputs_to_buffers
    changed = set(program.graph_signature.buffers_to_mutate.values())
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op == "call_function" and schema is not None and schema.is_mutable:
            source = node
            while source.op == "call_function" and source.args and isinstance(source.args[0], torch.fx.Node):
                source = source.args[0]
            if source.name in buffers:
                changed.add(buffers[source.name])
    return sorted(changed)


def _of_script(module: torch.jit.ScriptModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    from torch._export.converter import TS2EPConverter

    return TS2EPConverter(module, args, kwargs or None).convert()


def _flatten_inputs(program: ExportedProgram, inputs: Inputs) -> None:
    """Change an exported program in place: remove its constant inputs, and make the others positional tensors."""
    constants = {
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT and isinstance(spec.arg, ConstantArgument)
    }
    graph = program.graph_module.graph
    placeholders = {node.name: node for node in graph.nodes if node.op == "placeholder"}
    for name in constants:
        node = placeholders[name]
        if node.users:
            raise PreparationError(
                f"the graph of the model computes with its constant argument {name}", "give that argument as a tensor"
            )
        graph.erase_node(node)
    program.graph_module.recompile()
    signature = program.graph_signature
    signature.input_specs = [spec for spec in signature.input_specs if spec.arg.name not in constants]
    tensors = [spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    assert len(tensors) == len(inputs)
    call: Any = program.module_call_graph[0].signature
    call.inputs = [argument for argument in call.inputs if argument.name not in constants]
    call.in_spec = pytree.tree_structure((tuple(inputs), {}))
    call.forward_arg_names = tensors
    program._example_inputs = (tuple(inputs), {})


def _flatten_outputs(program: ExportedProgram) -> None:
    """Make the outputs a list if they are nested in a user's class."""
    call: Any = program.module_call_graph[0].signature
    waiting = [call.out_spec]
    while waiting:
        spec = waiting.pop()
        if spec.type not in _PLAIN_TYPES:
            call.out_spec = pytree.tree_structure([0] * call.out_spec.num_leaves)
            return
        waiting += spec.children()


def _rename_reserved(program: ExportedProgram) -> None:
    """Rename the parameters and buffers of attributes that a graph module has itself, such as ``graph``."""

    def renamed(name: str) -> str:
        first, dot, rest = name.partition(".")
        return f"{first}_{dot}{rest}" if first in _RESERVED else name

    signature = program.graph_signature
    for spec in [*signature.input_specs, *signature.output_specs]:
        if spec.target is not None and renamed(spec.target) != spec.target:
            spec.target = renamed(spec.target)
    for table in (program.state_dict, program.constants):
        for name in [name for name in table if renamed(name) != name]:
            table[renamed(name)] = table.pop(name)
