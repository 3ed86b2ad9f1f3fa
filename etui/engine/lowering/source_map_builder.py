"""Build a program's source map from its lowered graph: the origins of instructions and of delegated nodes."""

from __future__ import annotations

from typing import Any

import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload as _EdgeOverload

from etui.engine.delegates import support_of_backend
from etui.engine.lowering.node_origins import origin_of
from etui.insight import Origin
from etui.programs.flatbuffer import DamagedFile
from etui.programs.source_map import SourceMap, Subgraph


def source_map_of(manager: Any) -> SourceMap:
    """Return the source map of the method ``forward`` of an ``ExecutorchProgramManager``.

    After a program is emitted, the debug handle of each node is the number of its instruction.
    """
    table = _OriginTable()
    module = manager.exported_program().graph_module
    subgraphs: list[Subgraph] = []
    instructions: dict[int, int] = {}
    for node in module.graph.nodes:
        instruction = node.meta.get("debug_handle")
        if not isinstance(instruction, int) or not _is_instruction(node):
            continue
        if not _calls_delegate(node):
            instructions[instruction] = table.index(origin_of(node))
            continue
        lowered = getattr(module, node.args[0].target)
        inner = _by_handle(lowered.original_module)
        subgraphs.append(
            Subgraph(
                instruction=instruction,
                backend=str(lowered.backend_id),
                origins=list(dict.fromkeys(table.index(origin) for origin in inner.values())),
                nodes=[
                    (kind, table.index(inner[handle]) if handle in inner else None) for kind, handle in _kinds(lowered)
                ],
            )
        )
    return SourceMap(origins=table.origins, instructions=instructions, subgraphs=subgraphs)


class _OriginTable:
    """A list of distinct origins."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self._known: dict[tuple[object, ...], int] = {}

    def index(self, origin: Origin) -> int:
        """Return the index of an origin, adding it if it is new."""
        key = (origin.module, origin.module_type, *origin.operators, "", *origin.stack)
        number = self._known.setdefault(key, len(self.origins))
        if number == len(self.origins):
            self.origins.append(origin)
        return number


def _by_handle(module: torch.fx.GraphModule) -> dict[int, Origin]:
    """Return the origin of each debug handle of a delegated graph: that of the first node with a known module, else
    that of the first node. Nodes made from one ATen operator share a handle."""
    origins: dict[int, Origin] = {}
    for node in module.graph.nodes:
        handle = node.meta.get("debug_handle")
        if node.op != "call_function" or not handle:
            continue
        for number in handle if isinstance(handle, list | tuple) else [handle]:
            if number not in origins or not origins[number].module:
                origin = origin_of(node)
                if number not in origins or origin.module:
                    origins[number] = origin
    return origins


def _is_instruction(node: torch.fx.Node) -> bool:
    """Return whether a node is an instruction; handles of other nodes (memory, parts of a result) are not instruction
    numbers."""
    if node.op != "call_function":
        return False
    target = node.target
    return _calls_delegate(node) or isinstance(target, torch._ops.OpOverload | _EdgeOverload)


def _calls_delegate(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and "executorch_call_delegate" in str(node.target)


def _kinds(lowered: Any) -> list[tuple[str, int]]:
    support = support_of_backend(lowered.backend_id)
    if support is None:
        return []
    try:
        return support.serialized_nodes(lowered.processed_bytes)
    except DamagedFile:
        return []
