"""Two graphs of one model, FP32 and changed (quantized or halved), matched layer by layer and run in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import torch
from torch.fx import Node

from etui.engine.gap.interpreter import Bypass, GapSums, Walk, passed
from etui.engine.lowering.keep_fp32 import is_under, module_path
from etui.engine.lowering.node_origins import origin_of
from etui.insight import Origin

_NO_ARITHMETIC = frozenset(
    [
        "alias",
        "chunk",
        "clone",
        "contiguous",
        "copy",
        "detach",
        "dropout",
        "dropout_",
        "expand",
        "expand_as",
        "flatten",
        "getitem",
        "lift_fresh_copy",
        "narrow",
        "permute",
        "reshape",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "t",
        "to",
        "transpose",
        "unbind",
        "unflatten",
        "unsqueeze",
        "view",
        "view_as",
        "_to_copy",
        "_assert_tensor_metadata",
    ]
)
"""Operators that only move, reshape or drop what they get: their gap is that of the layer before."""

_ANNOTATION = "quantization_annotation"


class Layer(NamedTuple):
    """One layer of both graphs: where its value appears in each, and where it comes from.

    ``shown`` is the node whose value counts in the changed graph: where the layer's output is quantized, what its
    users get of it.
    """

    name: str
    reference: Node
    node: Node
    shown: Node
    origin: Origin


class Edge(NamedTuple):
    """A place where a value is quantized on its way to ``user``: an activation of ``producer``, or a weight.

    ``argument`` is what the user gets, ``instead`` what it would get without quantization. ``owner`` is the layer's
    node that the error counts for.
    """

    user: Node
    argument: Node
    instead: Node | torch.Tensor
    producer: Node | None
    owner: Node


class Pair:
    """A model's FP32 graph and a changed one."""

    def __init__(self, reference: torch.fx.GraphModule, changed: torch.fx.GraphModule) -> None:
        self.reference = Walk(reference)
        self.changed = Walk(changed)
        self._matched = _match(self.reference.nodes, self.changed.nodes)
        self._counterpart = {node: other for other, node in self._matched}
        self.edges = self._edges()
        self.layers = self._layers()

    def compare(self, inputs: Sequence[torch.Tensor], changed_inputs: Sequence[torch.Tensor], sums: list[GapSums]
                ) -> None:  # fmt: skip
        """Run both graphs in step on one input and add every layer's difference to its sums; the last of ``sums`` is
        that of the outputs. A value is held only until its counterpart has come."""
        index = {layer.reference: number for number, layer in enumerate(self.layers)}
        shown = {layer.shown: number for number, layer in enumerate(self.layers)}
        waiting: dict[int, torch.Tensor] = {}
        walk = self.reference.values(inputs, index.keys())
        outputs: list[torch.Tensor] = []
        for node, value in self.changed.values(changed_inputs, shown.keys()):
            last = node.op == "output"
            number = -1 if last else shown[node]
            while number not in waiting and not outputs:
                other, expected = next(walk)
                if other.op == "output":
                    outputs = expected
                else:
                    waiting[index[other]] = expected
            if last:
                for one, got in zip(outputs, value, strict=True):
                    sums[-1].add(one, got)
            else:
                expected = waiting.pop(number)
                if isinstance(expected, torch.Tensor) and expected.shape == value.shape:
                    sums[number].add(expected, value)

    # What bypasses quantization

    def without(self, owner: Node) -> Bypass:
        """The graph without the error that one layer's quantization makes: its weights, and its output (or its input,
        where that is what the recipe quantizes)."""
        return {(edge.user, edge.argument): edge.instead for edge in self.edges if edge.owner is owner}

    def owners(self) -> list[Node]:
        """The layers' nodes that quantization's error arises in, in order."""
        return list(dict.fromkeys(edge.owner for edge in self.edges))

    def kept(self, modules: Collection[str]) -> Bypass:
        """The graph as it would be with these modules left in FP32: a value stays quantized where a neighbour that is
        not kept quantizes it."""
        unquantized = self._unquantized(modules)
        bypass: dict[tuple[Node, Node], Node | torch.Tensor] = {}
        for edge in self.edges:
            user = self._unit(edge.user) in unquantized or not self._quantizes_input(edge.user, unquantized)
            producer = edge.producer is None or not self._quantizes_output(edge.producer, unquantized)
            if user and producer:
                bypass[edge.user, edge.argument] = edge.instead
        return bypass

    def modules(self) -> dict[str, int]:
        """Every module that holds quantized layers, with how many: the innermost ones and those around them."""
        found: Counter[str] = Counter()
        for owner in self.owners():
            path = module_path(owner)
            while path:
                found[path] += 1
                path = path.rpartition(".")[0]
        return dict(found)

    # How the graphs are read

    def _layers(self) -> list[Layer]:
        compared, owners = is_compared(self.reference.nodes), set(self.owners())
        found: list[tuple[Node, Node]] = [
            (other, node) for other, node in self._matched if other in compared or node in owners
        ]
        names = layer_names([node for _, node in found])
        return [
            Layer(name, other, node, self._shown(node), origin(node))
            for name, (other, node) in zip(names, found, strict=True)
        ]

    def _shown(self, node: Node) -> Node:
        """Where the layer's output itself is quantized, the first of what its users get."""
        if self._annotation(node) is None or not self._annotation(node).output_qspec:
            return node
        for user in node.users:
            if _is_quantize(user):
                for taken in user.users:
                    if _is_dequantize(taken):
                        return taken
        return node

    def _edges(self) -> list[Edge]:
        edges: list[Edge] = []
        if not any(_is_quantize(node) for node in self.changed.nodes):
            return edges
        for node in self.changed.nodes:
            if node.op not in {"call_function", "call_module", "output"} or _is_of_quantization(node):
                continue
            other = self._counterpart.get(node)
            for argument in node.all_input_nodes:
                source = _before_quantization(argument)
                if source is None or source.op == "get_attr":
                    weight = self._weight(node, argument, other)
                    if weight is not None:
                        edges.append(Edge(node, argument, weight, None, self._unit(node)))
                elif source is not argument:
                    edges.append(Edge(node, argument, source, source, self._owner(source, node)))
        return edges

    def _weight(self, node: Node, argument: Node, other: Node | None) -> torch.Tensor | None:
        """The FP32 tensor in whose place a constant stands; None where it is the same."""
        if other is None or argument not in node.args:
            return None
        place = node.args.index(argument)
        counterpart = other.args[place] if place < len(other.args) else None
        if not isinstance(counterpart, Node) or passed(counterpart).op != "get_attr":
            return None
        whole = self.reference.constant(counterpart)
        if argument.op != "get_attr":
            return whole
        own = self.changed.constant(argument)
        return None if own is whole or (own.dtype == whole.dtype and torch.equal(own, whole)) else whole

    def _annotation(self, node: Node) -> Any:
        """What the quantizer wrote at a node before it quantized, None where it wrote nothing."""
        other = self._counterpart.get(node)
        return None if other is None else other.meta.get(_ANNOTATION)

    def _unit(self, node: Node) -> Node:
        """The first node of what is quantized as one: a convolution for the activation that is fused with it."""
        annotation = self._annotation(node)
        if annotation is None or annotation.input_qspec_map or not annotation.output_qspec:
            return node
        before = node.all_input_nodes[0] if node.all_input_nodes else None
        fused = None if before is None else self._annotation(before)
        if before is None or fused is None or fused.output_qspec:
            return node
        return self._unit(before)

    def _root(self, node: Node) -> Node:
        """The node whose quantization an operator hands on, which itself only moves what is quantized."""
        annotation = self._annotation(node)
        while annotation is not None and _is_shared(annotation.output_qspec) and node.all_input_nodes:
            before = _before_quantization(node.all_input_nodes[0])
            if before is None or before.op == "get_attr":
                break
            node, annotation = before, self._annotation(before)
        return node

    def _owner(self, source: Node, user: Node) -> Node:
        root = self._root(source)
        annotation = self._annotation(root)
        return self._unit(root if annotation is not None and annotation.output_qspec else user)

    def _unquantized(self, modules: Collection[str]) -> set[Node]:
        """The units that no longer are quantized with these modules kept."""
        members = [node for node in self._counterpart if is_under(module_path(node), modules)]
        return {self._unit(node) for node in members}

    def _quantizes_output(self, node: Node, unquantized: set[Node]) -> bool:
        root = self._root(node)
        annotation = self._annotation(root)
        return annotation is not None and bool(annotation.output_qspec) and self._unit(root) not in unquantized

    def _quantizes_input(self, node: Node, unquantized: set[Node]) -> bool:
        if node.op == "output":
            return False
        annotation = self._annotation(node)
        if annotation is None:
            # Without annotations (8da4w) whoever takes a quantized value has quantized it itself.
            return not any(_ANNOTATION in other.meta for other in self._counterpart.values())
        if _is_shared(annotation.output_qspec):
            return self._quantizes_output(node, unquantized)
        return bool(annotation.input_qspec_map)


def operator_name(node: Node) -> str:
    """An operator's plain name: ``conv2d`` for ``aten.conv2d.default``."""
    target = node.target
    packet = getattr(target, "overloadpacket", None)
    name = getattr(packet, "__name__", None) or getattr(target, "__name__", None) or str(target)
    return str(name)


def origin(node: Node) -> Origin:
    """Where a node of an exported graph comes from in the source model; its operator is the node's own."""
    return msgspec.structs.replace(
        origin_of(node), module=module_path(node), operators=[str(node.target).removesuffix(".default")]
    )


def _match(reference: Iterable[Node], changed: Iterable[Node]) -> list[tuple[Node, Node]]:
    """The nodes of two graphs that do the same: the same operator, the same time in the same module."""
    places = dict(_places(reference))
    return [(places[place], node) for place, node in _places(changed) if place in places]


def _places(nodes: Iterable[Node]) -> Iterable[tuple[tuple[str, str, int], Node]]:
    seen: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        if node.op == "call_function" and not _is_of_quantization(node):
            place = (module_path(node), str(node.target))
            yield (*place, seen[place]), node
            seen[place] += 1


def layer_names(nodes: Sequence[Node]) -> list[str]:
    """A name for each layer: its module's path, with the operator where the module has several."""
    inside = Counter(module_path(node) for node in nodes)
    seen: Counter[str] = Counter()
    names = []
    for node in nodes:
        path, kind = module_path(node), operator_name(node)
        name = path if path and inside[path] == 1 else f"{path}/{kind}".removeprefix("/")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names


def is_compared(nodes: Iterable[Node]) -> set[Node]:
    """The nodes of an FP32 graph that are layers: they compute something of their own, in floating point, from the
    model's inputs."""
    dependent: set[Node] = set()
    found: set[Node] = set()
    for node in nodes:
        if node.op == "placeholder" or any(argument in dependent for argument in node.all_input_nodes):
            dependent.add(node)
            if node.op == "call_function" and operator_name(node) not in _NO_ARITHMETIC and _is_float(node):
                found.add(node)
    return found


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _is_shared(spec: object) -> bool:
    return type(spec).__name__ == "SharedQuantizationSpec"


def _is_quantize(node: Node) -> bool:
    name = operator_name(node)
    return node.op == "call_function" and name.startswith("quantize_")


def _is_dequantize(node: Node) -> bool:
    return node.op == "call_function" and operator_name(node).startswith("dequantize_")


def _is_of_quantization(node: Node) -> bool:
    if node.op != "call_function":
        return False
    if operator_name(node) == "getitem":
        return bool(node.all_input_nodes) and _is_of_quantization(node.all_input_nodes[0])
    return _is_quantize(node) or _is_dequantize(node) or operator_name(node).startswith("choose_qparams")


def _before_quantization(node: Node) -> Node | None:
    """What was quantized to give this value: the node itself where nothing was, None where it cannot be told."""
    if not _is_dequantize(node):
        return node
    quantized = node.all_input_nodes[0]
    if quantized.op == "get_attr":
        return quantized
    return quantized.all_input_nodes[0] if _is_quantize(quantized) else None
