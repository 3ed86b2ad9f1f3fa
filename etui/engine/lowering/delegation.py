"""Count the delegated and undelegated operators of a lowered graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch

from etui.engine.lowering.graph_stages import NOT_OPERATORS, operator_name
from etui.results import Delegation


def delegation_of(graph_module: torch.fx.GraphModule) -> Delegation:
    """Count the delegated and undelegated operators and the delegated subgraphs of a lowered graph.

    Counts as ``executorch.devtools.backend_debug`` does, without nodes that only unpack a result (and without importing
    pandas).
    """
    delegated = subgraphs = 0
    undelegated: Counter[str] = Counter()
    for node in graph_module.graph.nodes:
        if node.op == "get_attr" and node.name.startswith("lowered_module_"):
            subgraphs += 1
            lowered: Any = getattr(graph_module, node.name)
            delegated += sum(_is_operator(inner) for inner in lowered.original_module.graph.nodes)
        elif _is_operator(node):
            undelegated[operator_name(node)] += 1
    return Delegation(
        delegated_nodes=delegated,
        undelegated_nodes=undelegated.total(),
        subgraphs=subgraphs,
        undelegated_operators=dict(undelegated.most_common()),
    )


def _is_operator(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and operator_name(node) not in NOT_OPERATORS
