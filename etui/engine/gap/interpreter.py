"""Run an exported graph node by node, yield the values of selected nodes, and optionally bypass quantization.

Values are dropped after their last use, so that this needs no more memory than an inference of the graph.
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
"""A magnitude that no activation reaches: attention masks are filled with larger values."""

Bypass = Mapping[tuple[Node, Node], Node | torch.Tensor]
"""Maps a node and one of its arguments to a replacement of the argument: another node's value, or a constant."""


class GraphInterpreter:
    """Runs an exported graph. A quantizer's observers pass their input through unchanged."""

    def __init__(self, module: GraphModule) -> None:
        self.module = module
        self.nodes: list[Node] = list(module.graph.nodes)

    def constant(self, node: Node) -> torch.Tensor:
        """Return the value of a ``get_attr`` node, ignoring observers on it."""
        value: torch.Tensor = operator.attrgetter(str(skip_observers(node).target))(self.module)
        return value

    def values(
        self, inputs: Sequence[torch.Tensor], selected: Set[Node], bypass: Bypass | None = None
    ) -> Iterator[tuple[Node, Any]]:
        """Run, and yield each node of ``selected`` with its value, in order; the last item is the ``output`` node with
        the list of output tensors."""
        remaining_inputs = iter(inputs)
        replacements = bypass or {}
        last = self._last_uses(replacements)
        known: dict[Node, Any] = {}
        for node in self.nodes:

            def value(argument: Node, node: Node = node) -> Any:
                replacement = replacements.get((node, argument), argument)
                return known[replacement] if isinstance(replacement, Node) else replacement

            if node.op == "placeholder":
                known[node] = next(remaining_inputs)
            elif node.op == "get_attr":
                known[node] = operator.attrgetter(str(node.target))(self.module)
            elif node.op == "output":
                outputs = pytree.tree_leaves(map_arg(node.args, value))
                yield node, [leaf for leaf in outputs if isinstance(leaf, torch.Tensor)]
                return
            else:
                arguments, named = map_arg(node.args, value), map_arg(node.kwargs, value)
                known[node] = _call(self.module, node, arguments, named)
            if node in selected:
                yield node, known[node]
            for done in last.get(node, ()):
                known.pop(done, None)

    def outputs(self, inputs: Sequence[torch.Tensor], bypass: Bypass | None = None) -> list[torch.Tensor]:
        """Run, and return the output tensors."""
        *_, (_, outputs) = self.values(inputs, frozenset(), bypass)
        tensors: list[torch.Tensor] = outputs
        return tensors

    def _last_uses(self, replacements: Bypass) -> dict[Node, list[Node]]:
        """Return for each node the values whose last use it is."""
        last: dict[Node, Node] = {}
        for node in self.nodes:
            last[node] = node
            for argument in node.all_input_nodes:
                replacement = replacements.get((node, argument), argument)
                if isinstance(replacement, Node):
                    last[replacement] = node
        ends: dict[Node, list[Node]] = {}
        for node, end in last.items():
            ends.setdefault(end, []).append(node)
        return ends


def is_observer(node: Node) -> bool:
    """Return whether a node is a quantizer's observer, which passes its input through."""
    return node.op == "call_module" and "activation_post_process" in str(node.target)


def skip_observers(node: Node) -> Node:
    """Return the node whose value an observer passes through, or the node itself."""
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
    """Sums over all elements of one layer on all inputs, from which its error metrics are computed."""

    def __init__(self) -> None:
        self.count = self.non_finite = 0
        self.squared = self.power = self.largest = 0.0

    def add(self, reference: torch.Tensor, result: torch.Tensor) -> None:
        """Add a pair of tensors of the same shape.

        Elements that the reference masks (with infinity, or a magnitude of at least ``NO_VALUE``) are ignored; elements
        that are NaN or infinite only in the result are counted in ``non_finite`` and otherwise ignored.
        """
        expected, got = reference.to(torch.float64).flatten(), result.to(torch.float64).flatten()
        unmasked = expected.abs() < NO_VALUE
        if not bool(unmasked.all()):
            expected, got = expected[unmasked], got[unmasked]
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
        """The mean squared error, in the square of the layer's unit."""
        return self.squared / self.count if self.count else 0.0

    @property
    def exact(self) -> bool:
        """Whether values were compared and all are equal."""
        return self.count > 0 and self.squared == 0.0 and not self.non_finite

    @property
    def sqnr_db(self) -> float | None:
        """The signal-to-quantization-noise ratio, ``10 log10(sum(ref^2) / sum((ref - out)^2))``; None for an exact
        match or a reference of zeros."""
        if self.squared <= 0.0 or self.power <= 0.0:
            return None
        return 10 * math.log10(self.power / self.squared)
