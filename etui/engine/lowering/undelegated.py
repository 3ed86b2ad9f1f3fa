"""The nodes of a lowered graph that no delegate took: where each comes from, and whether it parts the graph."""

from __future__ import annotations

import torch

from etui.engine.lowering.graph_stages import NOT_OPERATORS, operator_name
from etui.engine.lowering.node_origins import origin_of
from etui.insight import UndelegatedNode


def undelegated_nodes(module: torch.fx.GraphModule) -> list[UndelegatedNode]:
    """Every operator left outside, in the order of the graph."""
    after = _touched(module, backwards=False)
    before = _touched(module, backwards=True)
    return [
        UndelegatedNode(operator=operator_name(node), origin=origin_of(node), breaks=node in after and node in before)
        for node in module.graph.nodes
        if node.op == "call_function" and operator_name(node) not in NOT_OPERATORS
    ]


def _touched(module: torch.fx.GraphModule, *, backwards: bool) -> set[torch.fx.Node]:
    """The nodes that use a delegate's result, directly or not; backwards, those whose result a delegate uses."""
    found: set[torch.fx.Node] = set()
    nodes = list(module.graph.nodes)
    for node in reversed(nodes) if backwards else nodes:
        for near in node.users if backwards else node.all_input_nodes:
            if near in found or (near.op == "call_function" and operator_name(near) == "executorch_call_delegate"):
                found.add(node)
                break
    return found
