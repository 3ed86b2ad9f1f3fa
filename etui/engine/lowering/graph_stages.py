"""Watch a graph go through lowering: which operators it holds after each stage, and how long that took.

``to_edge_transform_and_lower`` goes from ATen to the delegated program in one call. The graphs between are counted as
they pass by, so that nothing is lowered twice and the program is the same to the byte as without.
"""

from __future__ import annotations

import contextlib
import operator
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

from etui.insight import GraphStage

CALL_DELEGATE = "call_delegate"
NOT_OPERATORS = frozenset({"getitem", "alloc", "view", "free", "executorch_call_delegate"})
"""Nodes that compute nothing: they take a result apart, reserve memory, look at it in another shape (memory planning's
``view``, which becomes no instruction; ATen's has its library and overload with it), or are a delegate's whole
subgraph."""


class GraphStages:
    """The stages of one program, in the order they come."""

    def __init__(self) -> None:
        self.found: list[GraphStage] = []
        self._since: float | None = None

    def add(self, name: str, module: torch.fx.GraphModule, seconds: float | None) -> None:
        """Count a graph's operators."""
        self.found.append(GraphStage(name=name, operators=count_operators(module), seconds=seconds))

    def add_next(self, name: str, module: torch.fx.GraphModule) -> None:
        """Count a graph's operators; the stage took the time since the one before was counted."""
        now = time.perf_counter()
        self.add(name, module, None if self._since is None else now - self._since)
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count the core ATen and the edge graph while ``to_edge_transform_and_lower`` runs.

        It makes the one from the other in one function of its module, whose argument and result are looked at. Where an
        ExecuTorch has no such function, the two stages are left out.
        """
        from executorch.exir.program import _program

        name = "_generate_edge_program"
        make_edge: Any = getattr(_program, name, None)
        self._since = time.perf_counter()
        if make_edge is None:
            yield
            return
        begun = self._since

        def watched(config: Any, program: ExportedProgram, *args: Any, **kwargs: Any) -> ExportedProgram:
            # Once only: delegates lower small patterns of their own by the same function.
            setattr(_program, name, make_edge)
            core = time.perf_counter()
            self.add("core aten", program.graph_module, core - begun)
            start = time.perf_counter()
            edge: ExportedProgram = make_edge(config, program, *args, **kwargs)
            self.add("edge", edge.graph_module, time.perf_counter() - start)
            self._since = time.perf_counter()
            return edge

        setattr(_program, name, watched)
        try:
            yield
        finally:
            setattr(_program, name, make_edge)


def count_operators(module: torch.fx.GraphModule) -> dict[str, int]:
    """How many nodes of which operator a graph holds, the most frequent first. A subgraph given to a delegate counts as
    one ``call_delegate BACKEND``; what computes nothing (``NOT_OPERATORS``) is left out."""
    counts: Counter[str] = Counter()
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        name = operator_name(node)
        if name == "executorch_call_delegate":
            lowered: Any = getattr(module, node.args[0].target, None)
            counts[f"{CALL_DELEGATE} {getattr(lowered, 'backend_id', '')}".strip()] += 1
        elif name not in NOT_OPERATORS:
            counts[name] += 1
    return dict(counts.most_common())


def operator_name(node: torch.fx.Node) -> str:
    """A node's operator in words: ``aten.view_copy.default``, whatever the dialect."""
    target: Any = node.target
    if target is operator.getitem:
        return "getitem"
    if isinstance(target, str):
        return target
    # An operator of the edge dialect holds the ATen operator it stands for.
    if not isinstance(target, torch._ops.OpOverload) and isinstance(
        getattr(target, "_op", None), torch._ops.OpOverload
    ):
        target = target._op
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    name = getattr(target, "_name", None) or getattr(target, "__name__", None)
    return str(name or target)
