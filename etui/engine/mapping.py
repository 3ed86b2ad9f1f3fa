"""Make a program's source map while it is lowered: from instructions and delegates' nodes to where they come from."""

from __future__ import annotations

from typing import Any

import torch

from etui.engine.origins import origin_of
from etui.insight import Origin
from etui.programs.flatbuffer import DamagedFile
from etui.programs.source_map import SourceMap, Subgraph
from etui.programs.xnnpack import node_kinds

_METHOD = "forward"


def source_map_of(manager: Any) -> SourceMap:
    """The map of an ``ExecutorchProgramManager``'s method ``forward``.

    What ties an instruction to a node is the debug handle; nodes that were made of one ATen operator share one.
    """
    numbers = _Numbers()
    module = manager.exported_program().graph_module
    origins = _by_handle([module])
    calls = [node for node in module.graph.nodes if _calls_delegate(node)]
    delegates = sorted(manager.delegate_map.get(_METHOD) or {})
    subgraphs = []
    for instruction, call in zip(delegates, calls, strict=False):
        lowered = getattr(module, call.args[0].target)
        inner = _by_handle([lowered.original_module])
        kinds = _kinds(lowered)
        subgraphs.append(
            Subgraph(
                instruction=instruction,
                backend=str(lowered.backend_id),
                origins=list(dict.fromkeys(numbers.of(origin) for origin in inner.values())),
                nodes=[(kind, numbers.of(inner[handle]) if handle in inner else None) for (kind, handle) in kinds],
            )
        )
    instructions = {}
    for instruction, handles in (manager.debug_handle_map.get(_METHOD) or {}).items():
        for handle in handles if isinstance(handles, list | tuple) else [handles]:
            if instruction not in delegates and handle in origins:
                instructions[instruction] = numbers.of(origins[handle])
                break
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


def _by_handle(modules: list[torch.fx.GraphModule]) -> dict[int, Origin]:
    """The origin of each debug handle: that of the first node that knows its module, else of the first."""
    found: dict[int, Origin] = {}
    for module in modules:
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


def _calls_delegate(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and "executorch_call_delegate" in str(node.target)


def _kinds(lowered: Any) -> list[tuple[str, int]]:
    if lowered.backend_id != "XnnpackBackend":
        return []
    try:
        return node_kinds(lowered.processed_bytes)
    except DamagedFile:
        return []
