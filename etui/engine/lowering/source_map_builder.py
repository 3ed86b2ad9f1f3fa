"""Make a program's source map while it is lowered: from instructions and delegates' nodes to where they come from."""

from __future__ import annotations

from typing import Any

import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload as _EdgeOverload

from etui.engine.lowering.node_origins import origin_of
from etui.insight import Origin
from etui.programs.flatbuffer import DamagedFile
from etui.programs.source_map import SourceMap, Subgraph
from etui.programs.xnnpack import node_kinds


def source_map_of(manager: Any) -> SourceMap:
    """The map of an ``ExecutorchProgramManager``'s method ``forward``.

    Emitting a program leaves with each node, as its debug handle, the number of the instruction it became.
    """
    numbers = _Numbers()
    module = manager.exported_program().graph_module
    subgraphs: list[Subgraph] = []
    instructions: dict[int, int] = {}
    for node in module.graph.nodes:
        instruction = node.meta.get("debug_handle")
        if not isinstance(instruction, int) or not _is_instruction(node):
            continue
        if not _calls_delegate(node):
            instructions[instruction] = numbers.of(origin_of(node))
            continue
        lowered = getattr(module, node.args[0].target)
        inner = _by_handle(lowered.original_module)
        subgraphs.append(
            Subgraph(
                instruction=instruction,
                backend=str(lowered.backend_id),
                origins=list(dict.fromkeys(numbers.of(origin) for origin in inner.values())),
                nodes=[
                    (kind, numbers.of(inner[handle]) if handle in inner else None) for kind, handle in _kinds(lowered)
                ],
            )
        )
    return SourceMap(origins=numbers.origins, instructions=instructions, subgraphs=subgraphs)


class _Numbers:
    """Origins, each kept once."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self._known: dict[tuple[object, ...], int] = {}

    def of(self, origin: Origin) -> int:
        key = (origin.module, origin.module_type, *origin.operators, "", *origin.stack)
        number = self._known.setdefault(key, len(self.origins))
        if number == len(self.origins):
            self.origins.append(origin)
        return number


def _by_handle(module: torch.fx.GraphModule) -> dict[int, Origin]:
    """The origin of each debug handle of a delegated graph: that of the first node that knows its module, else of the
    first. Nodes made of one ATen operator share a handle."""
    found: dict[int, Origin] = {}
    for node in module.graph.nodes:
        handle = node.meta.get("debug_handle")
        if node.op != "call_function" or not handle:
            continue
        for one in handle if isinstance(handle, list | tuple) else [handle]:
            if one not in found or not found[one].module:
                origin = origin_of(node)
                if one not in found or origin.module:
                    found[one] = origin
    return found


def _is_instruction(node: torch.fx.Node) -> bool:
    """Whether a node became an instruction; the others (memory, parts of a result) keep handles of another kind."""
    if node.op != "call_function":
        return False
    target = node.target
    return _calls_delegate(node) or isinstance(target, torch._ops.OpOverload | _EdgeOverload)


def _calls_delegate(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and "executorch_call_delegate" in str(node.target)


def _kinds(lowered: Any) -> list[tuple[str, int]]:
    if lowered.backend_id != "XnnpackBackend":
        return []
    try:
        return node_kinds(lowered.processed_bytes)
    except DamagedFile:
        return []
