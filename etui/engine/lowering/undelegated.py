"""The undelegated nodes of a lowered graph: the origin of each, and whether it splits the graph into partitions."""

from __future__ import annotations

import torch

from etui.engine.lowering.graph_stages import NOT_OPERATORS, operator_name
from etui.engine.lowering.node_origins import origin_of
from etui.insight import UndelegatedNode


def undelegated_nodes(module: torch.fx.GraphModule) -> list[UndelegatedNode]:
    """Return every undelegated operator in the order of the graph."""
    after = _touched(module, backwards=False)
    before = _touched(module, backwards=True)
    return [
        UndelegatedNode(operator=operator_name(node), origin=origin_of(node), breaks=node in after and node in before)
        for node in module.graph.nodes
        if node.op == "call_function" and operator_name(node) not in NOT_OPERATORS
    ]


def _touched(module: torch.fx.GraphModule, *, backwards: bool) -> set[torch.fx.Node]:
    """Return the nodes that depend on a delegate's result; with ``backwards`` those that a delegate depends on."""
    touched: set[torch.fx.Node] = set()
    nodes = list(module.graph.nodes)
    for node in reversed(nodes) if backwards else nodes:
        for near in node.users if backwards else node.all_input_nodes:
            if near in touched or (near.op == "call_function" and operator_name(near) == "executorch_call_delegate"):
                touched.add(node)
                break
    return touched
