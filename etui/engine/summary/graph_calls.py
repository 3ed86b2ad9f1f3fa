"""Run an exported program operator by operator, observing which module of the source model each came from: the calls
themselves are no longer in the graph."""

from __future__ import annotations

import math
from typing import Any

import torch

from etui.engine.summary.calls import Calls, tensor_infos
from etui.model_summary import TensorInfo


class ObservedGraph(torch.fx.Interpreter):
    """Runs a graph and fills ``calls``. The type of each module is in ``types``; a module's inputs are the values from
    outside it that its operators use, its outputs the values of its operators that are used outside it."""

    def __init__(self, module: torch.fx.GraphModule, calls: Calls) -> None:
        super().__init__(module)
        self.types: dict[str, str] = {}
        self._calls = calls
        self._stacks = {node: self._modules(node) for node in module.graph.nodes}
        self._seen: set[str] = set()

    def run_node(self, n: torch.fx.Node) -> Any:
        """Run a node as part of its module."""
        stack = self._stacks[n] if n.op == "call_function" else {}
        places = list(stack.values())
        self._calls.running = places[-1:]
        for call, path in stack.items():
            if call not in self._seen:
                self._seen.add(call)
                self._calls.count[path] += 1
            if self._calls.count[path] == 1:
                outside = [
                    source
                    for source in n.all_input_nodes
                    if source.op != "get_attr" and call not in self._stacks.get(source, {})
                ]
                self._note(self._calls.inputs, path, [self.env[source] for source in outside if source in self.env])
        result = super().run_node(n)
        for call, path in stack.items():
            if self._calls.count[path] == 1 and any(call not in self._stacks[user] for user in n.users):
                self._note(self._calls.outputs, path, [result])
        self._calls.running = []
        return result

    def add_up(self) -> None:
        """Count the values of inputs and outputs of each module that was called once. Those of further calls are not
        known, so that nothing is counted then."""
        for path in {*self._calls.inputs, *self._calls.outputs}:
            if self._calls.count[path] == 1:
                for tensor in (*self._calls.inputs.get(path, []), *self._calls.outputs.get(path, [])):
                    size = math.prod(tensor.shape)
                    if "float" in tensor.dtype:
                        self._calls.values[path] += size
                    else:
                        self._calls.other_bytes[path] += size

    def _note(self, noted: dict[str, list[TensorInfo]], path: str, values: list[Any]) -> None:
        known = noted.setdefault(path, [])
        known += [each for each in tensor_infos(values) if each not in known]

    def _modules(self, node: torch.fx.Node) -> dict[str, str]:
        """Return the calls of modules that a node is part of, outermost first, each with the module's path."""
        stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
        calls = {}
        for call, (path, kind) in stack.items():
            name = str(path).removeprefix("L['self'].").removeprefix("L['self']")
            if name:
                calls[call] = name
                self.types[name] = (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
        return calls
