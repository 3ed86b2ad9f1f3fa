"""Read the graph of a model: export it, and reduce the exported graph to operators, modules and data flow."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from etui.catalog.find import Model, UserModel, find_model
from etui.engine.explain.known_causes import describe, explain
from etui.engine.explain.layers import describe_failure
from etui.engine.lowering.flat_export import export
from etui.engine.models.outputs import has_dataclasses, register_dataclasses
from etui.engine.models.user_code import source_files
from etui.engine.summary.example_call import ExampleCall, example_call
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.jobs import GraphJob
from etui.model_graph import GraphTensor, GroupCall, ModelGraph, OperatorNode

Log = Callable[[Event], None]

_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What torch raises for a model that it cannot export."""


def run_graph(job: GraphJob, log: Log) -> ModelGraph:
    """Build a model and return its graph.

    Raises PreparationError if the file does not provide a module, or the module cannot be exported. Exceptions of the
    user's code in a factory are not caught.
    """
    torch.set_num_threads(1)
    log(Event(kind="stage", stage="model", message="loading the model", at=utc_now()))
    model = find_model(job.model)
    call = example_call(model, job.shape, job.seed, allow_pickle=job.allow_pickle)
    log(Event(kind="stage", stage="export", message="exporting", at=utc_now()))
    program = _exported(model, call)
    files = source_files(model) if isinstance(model, UserModel) else []
    return graph_of(program, name=model.name, title=model.title, files=files)


def graph_of(program: ExportedProgram, *, name: str, title: str, files: list[str] | None = None) -> ModelGraph:
    """Return the graph of an exported program."""
    if _reads_what_it_changes(program):
        # An edge would be missing from an operator that changes a tensor in place to the next one that reads it.
        program = program.run_decompositions({})
    reader = _Reader(program)
    return ModelGraph(
        name=name,
        title=title,
        of="model",
        groups=reader.groups,
        nodes=reader.nodes,
        inputs=reader.inputs,
        outputs=reader.outputs,
        files=files or [],
    )


def _exported(model: Model, call: ExampleCall) -> ExportedProgram:
    try:
        with torch.no_grad():
            return export(call.module, call.inputs, call.structure)
    except _FAILURES as error:
        # A module that cannot even be called has another cause; one that returns dataclasses, which export must know,
        # is exported again.
        result = _called(model, call)
        if not has_dataclasses(result):
            raise _not_exported(model, error) from error
        register_dataclasses(result)
    try:
        with torch.no_grad():
            return export(call.module, call.inputs, call.structure)
    except _FAILURES as error:
        raise _not_exported(model, error) from error


def _not_exported(model: Model, error: BaseException) -> PreparationError:
    cause, hint = explain(error, "exporting") or (describe(error, "exporting"), "the log has the traceback")
    return PreparationError(f"{model.name}: {cause}", hint)


def _called(model: Model, call: ExampleCall) -> object:
    """Return the outputs of a module that could not be exported. Raises PreparationError if it cannot be called."""
    try:
        with torch.no_grad():
            result: object = call.structure.bound(call.module)(*call.inputs)
    except MemoryError:
        raise
    except Exception as error:
        shapes = ", ".join(str(list(tensor.shape)) for tensor in call.inputs)
        raise PreparationError(
            f"{model.name} cannot be called with its example inputs of shape {shapes}: "
            f"{describe_failure(error, call.module)}",
            "return inputs that the module takes, or fix the module",
        ) from error
    return result


class _Reader:
    """Reads a graph: ``nodes`` are the operators from which an output can be reached."""

    def __init__(self, program: ExportedProgram) -> None:
        self._module: nn.Module = program.graph_module
        kind = type(program.graph_module).__name__
        self.groups: list[GroupCall] = [GroupCall(path="", type=kind)]
        self.nodes: list[OperatorNode] = []
        self.inputs: list[GraphTensor] = []
        self.outputs: list[GraphTensor] = []
        self._calls: dict[tuple[int, str], int] = {}
        self._counts: dict[str, int] = {}
        self._index: dict[torch.fx.Node, int] = {}
        self._input: dict[torch.fx.Node, int] = {}
        graph = program.graph_module.graph
        for node in graph.nodes:
            if node.op == "placeholder":
                self._placeholder(program, node)
        wanted = _needed(graph)
        for node in graph.nodes:
            if node.op == "call_function" and node in wanted and node.target is not operator.getitem:
                self._operator(node)
            elif node.op == "output":
                self._output(program, node)

    def _placeholder(self, program: ExportedProgram, node: torch.fx.Node) -> None:
        kinds = {spec.arg.name: spec.kind for spec in program.graph_signature.input_specs}
        if kinds.get(node.name) is InputKind.USER_INPUT:
            self._input[node] = len(self.inputs)
            self.inputs.append(_tensor(node.name, node))

    def _operator(self, node: torch.fx.Node) -> None:
        inputs, model_inputs = self._sources(node.all_input_nodes)
        self._index[node] = len(self.nodes)
        self.nodes.append(
            OperatorNode(operator=_name(node), group=self._group(node), inputs=inputs, model_inputs=model_inputs)
        )

    def _output(self, program: ExportedProgram, node: torch.fx.Node) -> None:
        values = list(node.args[0]) if isinstance(node.args[0], (list, tuple)) else [node.args[0]]
        for spec, value in zip(program.graph_signature.output_specs, values, strict=False):
            if spec.kind is OutputKind.USER_OUTPUT and isinstance(value, torch.fx.Node):
                sources, model_inputs = self._sources([value])
                name = f"output {len(self.outputs) + 1}"
                self.outputs.append(_tensor(name, value, sources=sources, model_inputs=model_inputs))

    def _sources(self, nodes: list[torch.fx.Node]) -> tuple[list[int], list[int]]:
        """Return the operators and the model's inputs that compute these values."""
        operators: dict[int, None] = {}
        inputs: dict[int, None] = {}
        waiting = list(nodes)[::-1]
        while waiting:
            node = waiting.pop()
            if node in self._index:
                operators[self._index[node]] = None
            elif node in self._input:
                inputs[self._input[node]] = None
            elif node.target is operator.getitem:
                waiting += node.all_input_nodes
        return list(operators), list(inputs)

    def _group(self, node: torch.fx.Node) -> int:
        """Return the index of the innermost call of a module that a node is part of."""
        stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
        group = 0
        for call, (path, kind) in stack.items():
            name = str(path).removeprefix("L['self'].").removeprefix("L['self']")
            shown = (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
            if not name:
                self.groups[0] = GroupCall(path="", type=shown)
                continue
            key = (group, call)
            if key not in self._calls:
                self._counts[name] = self._counts.get(name, 0) + 1
                self._calls[key] = len(self.groups)
                self.groups.append(GroupCall(path=name, type=shown, parent=group, call=self._counts[name]))
            group = self._calls[key]
        return group


def _needed(graph: torch.fx.Graph) -> set[torch.fx.Node]:
    """Return the nodes that contribute to an output; assertions and unused results do not."""
    needed: set[torch.fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed.add(node)
            needed.update(node.all_input_nodes)
    return needed


def _reads_what_it_changes(program: ExportedProgram) -> bool:
    """Whether an operator changes a tensor in place that others read, other than as the operator's result."""
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None or not schema.is_mutable:
            continue
        changed = [
            value
            for value, argument in zip(node.args, schema.arguments, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, torch.fx.Node)
        ]
        if not node.users or not changed:
            return True
        for value in changed:
            made = getattr(value.target, "_schema", None)
            is_view = made is None or any(argument.alias_info is not None for argument in made.arguments)
            is_in_place = made is not None and made.is_mutable
            if set(value.users) != {node} or (is_view and not is_in_place):
                return True
    return False


def _name(node: torch.fx.Node) -> str:
    """Return an operator's name with its library, such as ``aten.conv2d``."""
    packet = getattr(node.target, "overloadpacket", None)
    if packet is None:
        return getattr(node.target, "__name__", str(node.target))
    return str(packet)


def _tensor(
    name: str, node: torch.fx.Node, *, sources: list[int] | None = None, model_inputs: list[int] | None = None
) -> GraphTensor:
    value = node.meta.get("val")
    dtype, shape = type(value).__name__, list[int | str]()
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        shape = [size if isinstance(size, int) else str(size) for size in value.shape]
    return GraphTensor(name=name, dtype=dtype, shape=shape, sources=sources or [], model_inputs=model_inputs or [])
