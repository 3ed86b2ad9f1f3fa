"""Compare a program's intermediate outputs in ExecuTorch's debug buffer with the graph it was lowered from.

The runtime logs the outputs of each undelegated operator and each delegate call. An instruction's number identifies the
lowered node (or the outputs of its delegated subgraph), and that node's metadata the exported node.
``Inspector.calculate_numeric_gap`` pairs by sets of debug handles instead, which confuses the outputs of a subgraph
with several outputs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils import _pytree as pytree

from etui.engine.delegates import delegate_support
from etui.engine.gap.graph_pair import compared_nodes, layer_names, origin, short_operator_name
from etui.engine.gap.interpreter import GapSums, GraphInterpreter
from etui.engine.models.outputs import flat_outputs
from etui.engine.runtime.load_problems import available_bytes
from etui.errors import EtuiError
from etui.insight import Origin

HEADROOM = 1.5
"""The size of the debug buffer relative to all values of the graph together: inputs are logged too."""

MIN_BUFFER_BYTES = 1 << 20

_CALL_DELEGATE = "executorch_call_delegate"
_NO_INSTRUCTION = frozenset({"getitem", "alloc", "view"})
"""Nodes of a planned graph that are not instructions (``view`` comes from memory planning: the edge dialect has
``view_copy``); their debug handle is not an instruction's number."""


class TooLarge(EtuiError):
    """The intermediate outputs of a model do not fit into the debug buffer's memory limit."""


class Logged(NamedTuple):
    """One logged value: its layer, and the number of operators of the subgraph that produced it (None if no delegate
    did)."""

    name: str
    origin: Origin
    delegated_operators: int | None
    sums: GapSums


class DebugProgram:
    """A program lowered again, with the exported nodes of each instruction, to run with the debug buffer."""

    def __init__(self, exported: ExportedProgram, delegate: str, precision: str) -> None:
        """Lower ``exported``.

        Raises:
            TooLarge: its values need more memory than the limit.
        """
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        self.buffer_bytes = max(MIN_BUFFER_BYTES, int(HEADROOM * _value_bytes(exported)))
        _check_room(self.buffer_bytes)
        module = exported.module(check_guards=False)
        assert isinstance(module, torch.fx.GraphModule)
        self._interpreter = GraphInterpreter(module)
        manager = to_edge_transform_and_lower(
            exported,
            partitioner=delegate_support(delegate).partitioners(precision),
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        ).to_executorch()
        self.program: bytes = bytes(manager.buffer)
        nodes = {node.name: node for node in self._interpreter.nodes if node.op == "call_function"}
        compared = compared_nodes(self._interpreter.nodes)
        self._outputs: dict[int, list[Node | None]] = {}
        self._operators: dict[Node, int | None] = {}
        for instruction, names, operators in _instructions(manager.exported_program().graph_module):
            outputs = [nodes.get(name) if name is not None else None for name in names]
            outputs = [node if node in compared else None for node in outputs]
            self._outputs[instruction] = outputs
            self._operators.update({node: operators for node in outputs if node is not None})
        self._sums = {node: GapSums() for node in self._interpreter.nodes if node in self._operators}

    def add(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Run on one input, add each logged value's difference to its sums, and return the program's outputs."""
        from executorch.devtools import Inspector
        from executorch.extension.pybindings import _C

        with tempfile.TemporaryDirectory(prefix="etui-gap-") as folder:
            dump, buffer = str(Path(folder, "etdump")), str(Path(folder, "debug"))
            loaded = _C._load_program_from_buffer(self.program, enable_etdump=True, debug_buffer_size=self.buffer_bytes)
            outputs = [tensor.clone() for tensor in flat_outputs(loaded.load_method("forward")(tuple(inputs)))]
            loaded.write_etdump_result_to_file(dump, buffer)
            logged = self._values(Inspector(etdump_path=dump, debug_buffer_path=buffer))
        for node, expected in self._interpreter.values(inputs, logged.keys()):
            if node.op != "output" and isinstance(expected, torch.Tensor):
                got = logged.pop(node)
                # Views are not instructions: they may follow a layer's last instruction and change only the shape.
                if got.numel() == expected.numel():
                    self._sums[node].add(expected, got)
        return outputs

    def logged(self) -> list[Logged]:
        """Return the logged values in the graph's order."""
        nodes = [node for node, sums in self._sums.items() if sums.count or sums.non_finite]
        return [
            Logged(name, origin(node), self._operators[node], self._sums[node])
            for name, node in zip(layer_names(nodes), nodes, strict=True)
        ]

    def _values(self, inspector: Any) -> dict[Node, torch.Tensor]:
        """Return the logged tensor of each exported node. A delegate call logs its inputs before its outputs, an
        operator only its outputs."""
        logged: dict[Node, torch.Tensor] = {}
        for block in inspector.event_blocks:
            for event in block.events:
                data = event.debug_data
                if (
                    data is None
                    or not len(data)
                    or not (event.name == "DELEGATE_CALL" or event.name.startswith("native_call_"))
                ):
                    continue
                outputs = self._outputs.get(event._instruction_id)
                if not outputs:
                    continue
                values = data[-len(outputs) :] if event.name == "DELEGATE_CALL" else data[:1]
                for node, value in zip(outputs, values, strict=False):
                    if node is not None and isinstance(value, torch.Tensor):
                        logged[node] = value
        return logged


def _instructions(module: torch.fx.GraphModule) -> Iterator[tuple[int, list[str | None], int | None]]:
    """Yield for each instruction of a lowered program its number, the names of the exported nodes whose values are its
    outputs (None for an intermediate value of a node), and, if it calls a delegate, the number of operators."""
    last: dict[str, Node] = {}
    for node in _all_nodes(module):
        name = _exported_name(node)
        if name is not None and short_operator_name(node) not in _NO_INSTRUCTION:
            last[name] = node

    def value_of(node: Node) -> str | None:
        name = _exported_name(node)
        return name if name is not None and last.get(name) is node else None

    for node in module.graph.nodes:
        number = node.meta.get("debug_handle")
        if node.op != "call_function" or not isinstance(number, int) or short_operator_name(node) in _NO_INSTRUCTION:
            continue
        subgraph = _subgraph(module, node)
        if subgraph is None:
            yield number, [value_of(node)], None
            continue
        ends = [leaf for inner in subgraph.graph.nodes if inner.op == "output"
                for leaf in pytree.tree_leaves(inner.args)]  # fmt: skip
        operators = {name for inner in subgraph.graph.nodes if (name := _exported_name(inner)) is not None}
        yield number, [value_of(end) if isinstance(end, Node) else None for end in ends], len(operators)


def _all_nodes(module: torch.fx.GraphModule) -> Iterator[Node]:
    """Yield the operators of a lowered graph in order, with delegated subgraphs inlined."""
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        subgraph = _subgraph(module, node)
        if subgraph is None:
            yield node
        else:
            yield from (inner for inner in subgraph.graph.nodes if inner.op == "call_function")


def _subgraph(module: torch.fx.GraphModule, node: Node) -> torch.fx.GraphModule | None:
    """Return the delegated subgraph of a delegate call, None for another node."""
    if _CALL_DELEGATE not in str(node.target) and not node.name.startswith(_CALL_DELEGATE):
        return None
    lowered: Any = getattr(module, str(node.all_input_nodes[0].target))
    inner: torch.fx.GraphModule = lowered.original_module.graph_module
    return inner


def _exported_name(node: Node) -> str | None:
    """Return the name of the exported node that a lowered node was made from, the last one if it has several."""
    sources = node.meta.get("from_node")
    if node.op != "call_function" or not sources:
        return None
    source = sources[-1]
    while source.from_node:
        source = source.from_node[-1]
    return str(source.name)


def _value_bytes(exported: ExportedProgram) -> int:
    """Return the size of all values of the graph together, in bytes."""
    total = 0
    for node in exported.graph.nodes:
        if node.op != "call_function" or short_operator_name(node) == "getitem":
            continue
        values = node.meta.get("val")
        for value in values if isinstance(values, tuple | list) else [values]:
            if isinstance(value, torch.Tensor):
                total += value.numel() * value.element_size()
    return total


def _check_room(needed: int) -> None:
    """Raise TooLarge if more than a quarter of the free memory is needed: the values are held three times."""
    free = available_bytes()
    if free is not None and needed > free / 4:
        raise TooLarge(
            f"the model is too large for the debug buffer: its intermediate outputs need {needed / 1e9:.1f} GB, more"
            f" than a quarter of the free memory ({free / 4e9:.1f} GB)"
        )
