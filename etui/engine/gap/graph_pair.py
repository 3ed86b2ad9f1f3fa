"""Two graphs of one model, FP32 and changed (quantized or half precision), matched layer by layer and run in
lockstep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import torch
from torch.fx import Node

from etui.engine.gap.interpreter import Bypass, GapSums, GraphInterpreter, skip_observers
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
"""Operators that only move or reshape values: their gap is that of the layer before."""

_ANNOTATION = "quantization_annotation"


class Layer(NamedTuple):
    """One layer of both graphs: its node in each, and its origin in the model.

    ``compared`` is the node of the changed graph whose value is compared: if the layer's output is quantized, the
    dequantized value that its users get.
    """

    name: str
    reference: Node
    node: Node
    compared: Node
    origin: Origin


class Edge(NamedTuple):
    """A value that is quantized between ``producer`` and ``user`` (an activation), or a quantized weight of ``user``.

    ``argument`` is the value the user gets, ``unquantized`` the one it would get without quantization. ``owner`` is the
    node of the layer that the error is attributed to.
    """

    user: Node
    argument: Node
    unquantized: Node | torch.Tensor
    producer: Node | None
    owner: Node


class GraphPair:
    """A model's FP32 graph and a changed one."""

    def __init__(self, reference: torch.fx.GraphModule, changed: torch.fx.GraphModule) -> None:
        self.reference = GraphInterpreter(reference)
        self.changed = GraphInterpreter(changed)
        self._matched = _match(self.reference.nodes, self.changed.nodes)
        self._counterpart = {node: other for other, node in self._matched}
        self.edges = self._edges()
        self.layers = self._layers()

    def compare(self, inputs: Sequence[torch.Tensor], changed_inputs: Sequence[torch.Tensor], sums: list[GapSums]
                ) -> None:  # fmt: skip
        """Run both graphs in lockstep on one input and add every layer's difference to its sums; the last of ``sums``
        is that of the outputs. A value is held only until its counterpart is computed."""
        index = {layer.reference: number for number, layer in enumerate(self.layers)}
        compared = {layer.compared: number for number, layer in enumerate(self.layers)}
        waiting: dict[int, torch.Tensor] = {}
        reference_values = self.reference.values(inputs, index.keys())
        outputs: list[torch.Tensor] = []
        for node, value in self.changed.values(changed_inputs, compared.keys()):
            last = node.op == "output"
            number = -1 if last else compared[node]
            while number not in waiting and not outputs:
                other, expected = next(reference_values)
                if other.op == "output":
                    outputs = expected
                else:
                    waiting[index[other]] = expected
            if last:
                for expected, got in zip(outputs, value, strict=True):
                    sums[-1].add(expected, got)
            else:
                expected = waiting.pop(number)
                if isinstance(expected, torch.Tensor) and expected.shape == value.shape:
                    sums[number].add(expected, value)

    # Bypassing quantization

    def without(self, owner: Node) -> Bypass:
        """Return the bypass of one layer's quantization: of its weights, and of its output (or its input, if the recipe
        quantizes inputs)."""
        return {(edge.user, edge.argument): edge.unquantized for edge in self.edges if edge.owner is owner}

    def owners(self) -> list[Node]:
        """Return the nodes of the layers that have a quantization error, in order."""
        return list(dict.fromkeys(edge.owner for edge in self.edges))

    def keeping_fp32(self, modules: Collection[str]) -> Bypass:
        """Return the bypass that keeps these modules in FP32: a value stays quantized if a neighbour that is not kept
        quantizes it."""
        unquantized = self._unquantized(modules)
        bypass: dict[tuple[Node, Node], Node | torch.Tensor] = {}
        for edge in self.edges:
            user = self._unit(edge.user) in unquantized or not self._quantizes_input(edge.user, unquantized)
            producer = edge.producer is None or not self._quantizes_output(edge.producer, unquantized)
            if user and producer:
                bypass[edge.user, edge.argument] = edge.unquantized
        return bypass

    def modules(self) -> dict[str, int]:
        """Return every module path with quantized layers and their number, enclosing modules included."""
        counts: Counter[str] = Counter()
        for owner in self.owners():
            path = module_path(owner)
            while path:
                counts[path] += 1
                path = path.rpartition(".")[0]
        return dict(counts)

    # Analysing the graphs

    def _layers(self) -> list[Layer]:
        compared, owners = compared_nodes(self.reference.nodes), set(self.owners())
        pairs: list[tuple[Node, Node]] = [
            (other, node) for other, node in self._matched if other in compared or node in owners
        ]
        names = layer_names([node for _, node in pairs])
        return [
            Layer(name, other, node, self._compared(node), origin(node))
            for name, (other, node) in zip(names, pairs, strict=True)
        ]

    def _compared(self, node: Node) -> Node:
        """Return the first dequantized value of a layer with a quantized output, else the layer's node."""
        if self._annotation(node) is None or not self._annotation(node).output_qspec:
            return node
        for user in node.users:
            if _is_quantize(user):
                for dequantize in user.users:
                    if _is_dequantize(dequantize):
                        return dequantize
        return node

    def _edges(self) -> list[Edge]:
        edges: list[Edge] = []
        if not any(_is_quantize(node) for node in self.changed.nodes):
            return edges
        for node in self.changed.nodes:
            if node.op not in {"call_function", "call_module", "output"} or _is_quantization(node):
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
        """Return the FP32 tensor that a constant replaces; None if they are equal."""
        if other is None or argument not in node.args:
            return None
        position = node.args.index(argument)
        counterpart = other.args[position] if position < len(other.args) else None
        if not isinstance(counterpart, Node) or skip_observers(counterpart).op != "get_attr":
            return None
        original = self.reference.constant(counterpart)
        if argument.op != "get_attr":
            return original
        changed = self.changed.constant(argument)
        if changed is original or (changed.dtype == original.dtype and torch.equal(changed, original)):
            return None
        return original

    def _annotation(self, node: Node) -> Any:
        """Return the quantizer's annotation of a node, None if it has none."""
        other = self._counterpart.get(node)
        return None if other is None else other.meta.get(_ANNOTATION)

    def _unit(self, node: Node) -> Node:
        """Return the first node of a group that is quantized as one: the convolution of a fused activation."""
        annotation = self._annotation(node)
        if annotation is None or annotation.input_qspec_map or not annotation.output_qspec:
            return node
        before = node.all_input_nodes[0] if node.all_input_nodes else None
        fused = None if before is None else self._annotation(before)
        if before is None or fused is None or fused.output_qspec:
            return node
        return self._unit(before)

    def _root(self, node: Node) -> Node:
        """Return the node whose quantization parameters an operator shares, such as those of a reshape's input."""
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
        """Return the units that are not quantized if these modules are kept in FP32."""
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
            # Without annotations (8da4w) each user quantizes its own input.
            return not any(_ANNOTATION in other.meta for other in self._counterpart.values())
        if _is_shared(annotation.output_qspec):
            return self._quantizes_output(node, unquantized)
        return bool(annotation.input_qspec_map)


def short_operator_name(node: Node) -> str:
    """Return an operator's short name: ``conv2d`` for ``aten.conv2d.default``."""
    target = node.target
    packet = getattr(target, "overloadpacket", None)
    name = getattr(packet, "__name__", None) or getattr(target, "__name__", None) or str(target)
    return str(name)


def origin(node: Node) -> Origin:
    """Return the origin of a node of an exported graph; its operator is the node's own."""
    return msgspec.structs.replace(
        origin_of(node), module=module_path(node), operators=[str(node.target).removesuffix(".default")]
    )


def _match(reference: Iterable[Node], changed: Iterable[Node]) -> list[tuple[Node, Node]]:
    """Return the matching nodes of two graphs: the n-th call of the same operator in the same module."""
    by_key = dict(_match_keys(reference))
    return [(by_key[key], node) for key, node in _match_keys(changed) if key in by_key]


def _match_keys(nodes: Iterable[Node]) -> Iterable[tuple[tuple[str, str, int], Node]]:
    counts: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        if node.op == "call_function" and not _is_quantization(node):
            call = (module_path(node), str(node.target))
            yield (*call, counts[call]), node
            counts[call] += 1


def layer_names(nodes: Sequence[Node]) -> list[str]:
    """Return a unique name for each layer: its module's path, with the operator if the module has several."""
    per_module = Counter(module_path(node) for node in nodes)
    counts: Counter[str] = Counter()
    names = []
    for node in nodes:
        path, kind = module_path(node), short_operator_name(node)
        name = path if path and per_module[path] == 1 else f"{path}/{kind}".removeprefix("/")
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return names


def compared_nodes(nodes: Iterable[Node]) -> set[Node]:
    """Return the nodes of an FP32 graph that are layers: floating-point arithmetic that depends on the model's
    inputs."""
    dependent: set[Node] = set()
    layers: set[Node] = set()
    for node in nodes:
        if node.op == "placeholder" or any(argument in dependent for argument in node.all_input_nodes):
            dependent.add(node)
            if node.op == "call_function" and short_operator_name(node) not in _NO_ARITHMETIC and _is_float(node):
                layers.add(node)
    return layers


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _is_shared(spec: object) -> bool:
    return type(spec).__name__ == "SharedQuantizationSpec"


def _is_quantize(node: Node) -> bool:
    name = short_operator_name(node)
    return node.op == "call_function" and name.startswith("quantize_")


def _is_dequantize(node: Node) -> bool:
    return node.op == "call_function" and short_operator_name(node).startswith("dequantize_")


def _is_quantization(node: Node) -> bool:
    if node.op != "call_function":
        return False
    if short_operator_name(node) == "getitem":
        return bool(node.all_input_nodes) and _is_quantization(node.all_input_nodes[0])
    return _is_quantize(node) or _is_dequantize(node) or short_operator_name(node).startswith("choose_qparams")


def _before_quantization(node: Node) -> Node | None:
    """Return the node that was quantized to give this value: the node itself if it was not quantized, None if
    unknown."""
    if not _is_dequantize(node):
        return node
    quantized = node.all_input_nodes[0]
    if quantized.op == "get_attr":
        return quantized
    return quantized.all_input_nodes[0] if _is_quantize(quantized) else None
