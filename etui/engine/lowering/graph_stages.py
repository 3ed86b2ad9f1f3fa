"""Record the operators of a graph after each stage of lowering, and the duration of each stage.

``to_edge_transform_and_lower`` goes from ATen to the delegated program in one call. The intermediate graphs are counted
during that call, so that nothing is lowered twice and the program's bytes do not change.
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
"""Nodes that compute nothing: they unpack a result, reserve memory, reshape it (the ``view`` of memory planning, which
is not an instruction; ATen's name includes library and overload), or call a delegated subgraph."""


class GraphStages:
    """The stages of one program in order."""

    def __init__(self) -> None:
        self.stages: list[GraphStage] = []
        self._since: float | None = None

    def add(self, name: str, module: torch.fx.GraphModule, seconds: float | None) -> None:
        """Add a stage with its graph's operators and its duration in seconds, None if unknown."""
        self.stages.append(GraphStage(name=name, operators=count_operators(module), seconds=seconds))

    def add_next(self, name: str, module: torch.fx.GraphModule) -> None:
        """Add a stage whose duration is the time since the previous stage was added."""
        now = time.perf_counter()
        self.add(name, module, None if self._since is None else now - self._since)
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Add the core ATen and the edge stage while ``to_edge_transform_and_lower`` runs.

        One private function of ExecuTorch converts the former to the latter; it is wrapped to count its argument and
        result. If ExecuTorch has no such function, the two stages are omitted.
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
            # Only once: delegates lower small patterns with the same function.
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
    """Return the number of nodes of each operator in a graph, the most frequent first. A delegated subgraph counts as
    one ``call_delegate BACKEND``; nodes of ``NOT_OPERATORS`` are omitted."""
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
    """Return the name of a node's operator, such as ``aten.view_copy.default``, in any dialect."""
    target: Any = node.target
    if target is operator.getitem:
        return "getitem"
    if isinstance(target, str):
        return target
    # An operator of the edge dialect wraps an ATen operator.
    if not isinstance(target, torch._ops.OpOverload) and isinstance(
        getattr(target, "_op", None), torch._ops.OpOverload
    ):
        target = target._op
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    name = getattr(target, "_name", None) or getattr(target, "__name__", None)
    return str(name or target)
