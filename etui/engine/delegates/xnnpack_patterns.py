"""Let XNNPACK search a graph for its patterns only if they can occur.

Its passes for attention and bilinear upsampling export their patterns in each process that lowers a program, which
takes two seconds, most of the time for a small model. No graph matches a pattern without the pattern's own operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import torch

ATTENTION = ("softmax", "scaled_dot_product")
UPSAMPLING = ("upsample", "index")
"""Parts of the names of operators, of which a pattern has at least one. ``index`` is what bilinear upsampling is
decomposed into."""


def search_only_if_needed() -> None:
    """Replace both passes; does nothing if that was done before."""
    from executorch.backends.xnnpack._passes.convert_to_sdpa import ConvertToSDPAPass
    from executorch.backends.xnnpack._passes.convert_to_upsample_bilinear2d import ConvertToUpsampleBilinear2d
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa

    for kind, parts, module, name, nothing in (
        (ConvertToSDPAPass, ATTENTION, sdpa, "get_graphs", list),
        (ConvertToUpsampleBilinear2d, UPSAMPLING, bilinear_2d, "get_graphs_dict", dict),
    ):
        if not hasattr(kind.call, "__wrapped__"):
            kind.call = _only_with(parts, kind.call, module, name, nothing)


def _only_with(
    parts: tuple[str, ...], call: Callable[..., Any], module: ModuleType, name: str, nothing: Callable[[], Any]
) -> Callable[..., Any]:
    """Return a pass that gets no patterns for a graph without one of these operators."""

    @wraps(call)
    def called(self: Any, graph_module: torch.fx.GraphModule) -> Any:
        if has_operator(graph_module, parts):
            return call(self, graph_module)
        patterns = getattr(module, name)
        setattr(module, name, nothing)
        try:
            return call(self, graph_module)
        finally:
            setattr(module, name, patterns)

    return called


def has_operator(graph_module: torch.fx.GraphModule, parts: tuple[str, ...]) -> bool:
    """Whether the name of an operator of the graph contains one of these parts."""
    names = {str(node.target) for node in graph_module.graph.nodes if node.op == "call_function"}
    return any(part in name for name in names for part in parts)
