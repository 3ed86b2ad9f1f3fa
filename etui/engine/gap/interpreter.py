"""Run an exported graph node by node, show the values of chosen nodes as they come, and let quantization be bypassed.

Values are dropped after their last use, so that a walk needs no more memory than the graph's own inference.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.utils import _pytree as pytree

NO_VALUE = 1e30
"""A magnitude that no activation has: attention masks are filled with it, or with more."""

Bypass = Mapping[tuple[Node, Node], Node | torch.Tensor]
"""For a node and one of its arguments, what the node gets instead: another node's value, or a constant."""


class Walk:
    """An exported graph to be run. Observers that a quantizer put in let values pass."""

    def __init__(self, module: GraphModule) -> None:
        self.module = module
        self.nodes: list[Node] = list(module.graph.nodes)

    def constant(self, node: Node) -> torch.Tensor:
        """The value of a ``get_attr`` node, observers before it skipped."""
        found: torch.Tensor = operator.attrgetter(str(passed(node).target))(self.module)
        return found

    def values(
        self, inputs: Sequence[torch.Tensor], shown: Set[Node], bypass: Bypass | None = None
    ) -> Iterator[tuple[Node, Any]]:
        """Run, and give each node of ``shown`` with its value, in order; the graph's output comes last, a list of
        its tensors with the ``output`` node."""
        given = iter(inputs)
        instead = bypass or {}
        last = self._last_uses(instead)
        known: dict[Node, Any] = {}
        for node in self.nodes:

            def value(argument: Node, node: Node = node) -> Any:
                found = instead.get((node, argument), argument)
                return known[found] if isinstance(found, Node) else found

            if node.op == "placeholder":
                known[node] = next(given)
            elif node.op == "get_attr":
                known[node] = operator.attrgetter(str(node.target))(self.module)
            elif node.op == "output":
                outputs = pytree.tree_leaves(map_arg(node.args, value))
                yield node, [leaf for leaf in outputs if isinstance(leaf, torch.Tensor)]
                return
            else:
                arguments, named = map_arg(node.args, value), map_arg(node.kwargs, value)
                known[node] = _call(self.module, node, arguments, named)
            if node in shown:
                yield node, known[node]
            for done in last.get(node, ()):
                known.pop(done, None)

    def outputs(self, inputs: Sequence[torch.Tensor], bypass: Bypass | None = None) -> list[torch.Tensor]:
        """Run, and give the output's tensors."""
        *_, (_, outputs) = self.values(inputs, frozenset(), bypass)
        found: list[torch.Tensor] = outputs
        return found

    def _last_uses(self, instead: Bypass) -> dict[Node, list[Node]]:
        """The values that nobody needs after each node."""
        last: dict[Node, Node] = {}
        for node in self.nodes:
            last[node] = node
            for argument in node.all_input_nodes:
                found = instead.get((node, argument), argument)
                if isinstance(found, Node):
                    last[found] = node
        ends: dict[Node, list[Node]] = {}
        for node, end in last.items():
            ends.setdefault(end, []).append(node)
        return ends


def is_observer(node: Node) -> bool:
    """Whether a node only looks at a value on its way, as a quantizer's observers do."""
    return node.op == "call_module" and "activation_post_process" in str(node.target)


def passed(node: Node) -> Node:
    """The node whose value an observer lets pass, or the node itself."""
    while is_observer(node):
        node = node.all_input_nodes[0]
    return node


def _call(module: GraphModule, node: Node, arguments: Any, named: Any) -> Any:
    if is_observer(node):
        return arguments[0]
    if node.op == "call_module":
        return module.get_submodule(str(node.target))(*arguments, **named)
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **named)
    assert callable(node.target)
    return node.target(*arguments, **named)


class GapSums:
    """Sums over all elements of one layer on all inputs, from which its figures are computed."""

    def __init__(self) -> None:
        self.count = self.non_finite = 0
        self.squared = self.power = self.largest = 0.0

    def add(self, reference: torch.Tensor, result: torch.Tensor) -> None:
        """Take in one pair of values of the same shape.

        What the reference masks (with infinity, or a magnitude of 1e30 and more) is no signal and left out; what only
        the result has as NaN or infinity is counted and left out.
        """
        expected, got = reference.to(torch.float64).flatten(), result.to(torch.float64).flatten()
        meant = expected.abs() < NO_VALUE
        if not bool(meant.all()):
            expected, got = expected[meant], got[meant]
        finite = got.isfinite()
        if not bool(finite.all()):
            self.non_finite += int((~finite).sum())
            expected, got = expected[finite], got[finite]
        self.count += expected.numel()
        if not expected.numel():
            return
        error = got - expected
        self.squared += float(error @ error)
        self.power += float(expected @ expected)
        self.largest = max(self.largest, float(error.abs().max()))

    @property
    def mse(self) -> float:
        """The mean squared error, in the square of the layer's own unit."""
        return self.squared / self.count if self.count else 0.0

    @property
    def exact(self) -> bool:
        """Whether values were compared and nothing differs at all."""
        return self.count > 0 and self.squared == 0.0 and not self.non_finite

    @property
    def sqnr_db(self) -> float | None:
        """``10 log10(sum(ref^2) / sum((ref - out)^2))``; None for an exact match or no power."""
        if self.squared <= 0.0 or self.power <= 0.0:
            return None
        return 10 * math.log10(self.power / self.squared)
