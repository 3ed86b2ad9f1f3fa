"""Folding of a model's graph to a level of its modules: boxes, the data flow between them, and the modules around them.

Level 1 has the modules that the model itself contains, as in ``etui summary --depth 1``; deeper modules are folded into
them. Operators of a module that has submodules of its own are boxes next to those.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from etui.model_graph import ModelGraph

BoxKind = Literal["module", "operators", "partition", "input", "output"]

FEW_BOXES = 60
"""The number of boxes up to which a diagram without a given level is unfolded."""


class Box(msgspec.Struct, kw_only=True, frozen=True):
    """A box: a module with everything in it, operators of a module outside its submodules, a partition of a program, or
    an input or output.

    ``path`` is the module's path, for operators that of the module that they belong to, for a partition its name.
    ``call`` of ``calls`` counts calls of the same module, ``places`` is the number of boxes that show the same module
    or operators of the same module. ``operators`` counts the operators in it. ``inside`` are the indices of the
    surrounding modules, the outermost first. ``tensor`` describes an input or output.
    """

    kind: BoxKind
    path: str
    type: str = ""
    call: int = 1
    calls: int = 1
    places: int = 1
    operators: dict[str, int] = {}
    inside: tuple[int, ...] = ()
    tensor: str = ""


class Surrounding(msgspec.Struct, kw_only=True, frozen=True):
    """A call of a module around several boxes; ``parent`` is the index of the next one around it."""

    path: str
    type: str
    call: int
    calls: int
    parent: int | None


class Folded(msgspec.Struct, kw_only=True, frozen=True):
    """A folded graph. ``boxes`` are in an order of execution; ``edges`` are pairs of box indices."""

    level: int
    levels: int
    boxes: list[Box]
    edges: list[tuple[int, int]]
    around: list[Surrounding]


Key = tuple[str, int, str]
"""What a box is: its kind, the call that it is or belongs to, and the path of a list of modules or the operator."""


def fold(graph: ModelGraph, level: int | None = None) -> Folded:
    """Fold a graph to a level from 1; None unfolds it to the deepest level with at most ``FEW_BOXES`` boxes. A level
    below the deepest modules is the deepest."""
    levels = deepest(graph)
    if level is not None:
        return _folded(graph, max(1, min(level, levels)), levels)
    best = _folded(graph, 1, levels)
    for deeper in range(2, levels + 1):
        found = _folded(graph, deeper, levels)
        if len(found.boxes) > FEW_BOXES:
            break
        best = found
    return best


def deepest(graph: ModelGraph) -> int:
    """Return the deepest level: the longest path of a module. A program has two: neighbouring undelegated operators are
    one box each at the first and separate at the second."""
    if graph.of == "program":
        return 2
    return max((_depth(group.path) for group in graph.groups), default=1) or 1


def _depth(path: str) -> int:
    return path.count(".") + 1 if path else 0


def _folded(graph: ModelGraph, level: int, levels: int) -> Folded:
    keys = _keys(graph, level, lists=True)
    successors = _successors(graph, keys)
    if _order(list(successors), successors) is None:
        # Something between the members of a list of modules needs one member's result for the next.
        keys = _keys(graph, level, lists=False)
        successors = _successors(graph, keys)
    if graph.of == "model" or level == 1:
        keys = _merged(graph, keys, successors)
        successors = _successors(graph, keys)
    return _Drawing(graph, level, levels, keys, successors).folded()


def _keys(graph: ModelGraph, level: int, *, lists: bool) -> list[Key]:
    """Return what box each operator is in. With ``lists``, the members of a list of modules, which is not called
    itself, are one box at the level of the list."""
    parents = {group.parent for group in graph.groups}
    found: dict[int, Key | None] = {}
    keys = []
    for index, node in enumerate(graph.nodes):
        if node.group not in found:
            found[node.group] = _key_of_call(graph, node.group, level, parents, lists=lists)
        keys.append(found[node.group] or ("operators", node.group, str(index)))
    return keys


def _key_of_call(graph: ModelGraph, call: int, level: int, parents: set[int | None], *, lists: bool) -> Key | None:
    """Return the box that a call is part of; None if its own operators are boxes."""
    for step in _chain(graph, call):
        group = graph.groups[step]
        depth = _depth(group.path) if graph.of == "model" else int(group.parent is not None)
        if depth > level and lists and group.parent is not None:
            path = ".".join(group.path.split(".")[:level])
            around = graph.groups[group.parent].path
            if not around or f"{path}.".startswith(f"{around}."):
                return ("list", group.parent, path)
        if depth >= level:
            return ("call", step, "")
    return ("call", call, "") if call and call not in parents else None


def _chain(graph: ModelGraph, call: int) -> list[int]:
    """Return the calls around a call and itself, the outermost first."""
    chain: list[int] = []
    at: int | None = call
    while at is not None:
        chain.append(at)
        at = graph.groups[at].parent
    return chain[::-1]


def _successors(graph: ModelGraph, keys: Sequence[Key]) -> dict[Key, dict[Key, None]]:
    successors: dict[Key, dict[Key, None]] = {key: {} for key in keys}
    for node, key in zip(graph.nodes, keys, strict=True):
        for source in node.inputs:
            if keys[source] != key:
                successors[keys[source]][key] = None
    return successors


def _order(keys: Sequence[Key], successors: dict[Key, dict[Key, None]]) -> list[Key] | None:
    """Return keys so that data flows only forwards, otherwise in the given order; None if there is a cycle."""
    rank = {key: number for number, key in enumerate(keys)}
    waiting = Counter(target for targets in successors.values() for target in targets)
    ready = [rank[key] for key in keys if not waiting[key]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        key = keys[heapq.heappop(ready)]
        ordered.append(key)
        for target in successors[key]:
            waiting[target] -= 1
            if not waiting[target]:
                heapq.heappush(ready, rank[target])
    return ordered if len(ordered) == len(keys) else None


def _merged(graph: ModelGraph, keys: Sequence[Key], successors: dict[Key, dict[Key, None]]) -> list[Key]:
    """Return the keys with neighbouring operators of the same call in one box.

    Two boxes are merged if one has no other successor, or the other no other predecessor: then no path leads from one
    to the other through a third box, and merging them makes no cycle.
    """
    after = {key: set(targets) for key, targets in successors.items()}
    before: dict[Key, set[Key]] = {key: set() for key in successors}
    for key, targets in successors.items():
        for target in targets:
            before[target].add(key)
    merged_into: dict[Key, Key] = {}
    waiting = [key for key in successors if key[0] == "operators"]
    while waiting:
        key = waiting.pop()
        if key in merged_into:
            continue
        alone = len(after[key]) == 1
        near = (each for each in after[key] if each[:2] == key[:2] and (alone or len(before[each]) == 1))
        merged = next(near, None)
        if merged is None:
            continue
        merged_into[merged] = key
        for source in before.pop(merged):
            after[source].discard(merged)
            if source != key:
                after[source].add(key)
                before[key].add(source)
        for beyond in after.pop(merged):
            before[beyond].discard(merged)
            before[beyond].add(key)
            after[key].add(beyond)
        # Boxes before and after it may have fewer neighbours now.
        changed = {key, *before[key], *(source for each in after[key] for source in before[each])}
        waiting += [each for each in changed if each[0] == "operators"]

    def final(key: Key) -> Key:
        while key in merged_into:
            key = merged_into[key]
        return key

    return [final(key) for key in keys]


class _Drawing:
    """The boxes of a folded graph with those of its inputs and outputs."""

    def __init__(
        self, graph: ModelGraph, level: int, levels: int, keys: Sequence[Key], successors: dict[Key, dict[Key, None]]
    ) -> None:
        self._graph = graph
        self._level = level
        self._levels = levels
        self._keys = keys
        ordered = _order(list(successors), successors)
        # A program with branches may go back; its boxes are then in the order of their first operators.
        self._ordered = list(successors) if ordered is None else ordered
        self._calls = Counter(group.path for group in graph.groups)
        self._around: dict[int, int] = {}
        self._surroundings: list[Surrounding] = []

    def folded(self) -> Folded:
        """Return the folded graph: inputs, the boxes of the operators, outputs."""
        graph = self._graph
        operators: dict[Key, Counter[str]] = {key: Counter() for key in self._ordered}
        for node, key in zip(graph.nodes, self._keys, strict=True):
            operators[key].update(node.contents or {node.operator: 1})
        chains = {key: self._surrounding_calls(key) for key in self._ordered}
        shown = self._shown(chains.values())
        boxes = [Box(kind="input", path=each.name, tensor=_tensor(each.dtype, each.shape)) for each in graph.inputs]
        first = len(boxes)
        places = Counter(self._place(key) for key in self._ordered)
        for key in self._ordered:
            inside = tuple(self._surrounding(call, shown) for call in chains[key] if call in shown)
            boxes.append(self._box(key, dict(operators[key].most_common()), places[self._place(key)], inside))
        index = {key: first + number for number, key in enumerate(self._ordered)}
        edges: dict[tuple[int, int], None] = {}
        for node, key in zip(graph.nodes, self._keys, strict=True):
            for source in (*node.model_inputs, *(index[self._keys[each]] for each in node.inputs)):
                if source != index[key]:
                    edges[source, index[key]] = None
        for output in graph.outputs:
            for source in (*output.model_inputs, *(index[self._keys[each]] for each in output.sources)):
                edges[source, len(boxes)] = None
            boxes.append(Box(kind="output", path=output.name, tensor=_tensor(output.dtype, output.shape)))
        return Folded(
            level=self._level, levels=self._levels, boxes=boxes, edges=sorted(edges), around=self._surroundings
        )

    def _box(self, key: Key, operators: dict[str, int], places: int, inside: tuple[int, ...]) -> Box:
        kind, call, path = key
        group = self._graph.groups[call]
        if kind == "list":
            return Box(kind="module", path=path, operators=operators, places=places, inside=inside)
        return Box(
            kind="partition" if group.delegated else "module" if kind == "call" else "operators",
            path=group.path,
            type=group.type,
            call=group.call,
            calls=self._calls[group.path],
            places=places,
            operators=operators,
            inside=inside,
        )

    def _place(self, key: Key) -> tuple[bool, str]:
        kind, call, path = key
        return kind == "operators", path if kind == "list" else self._graph.groups[call].path

    def _surrounding_calls(self, key: Key) -> list[int]:
        """Return the calls of modules around a box, the outermost first, without the model itself."""
        chain = _chain(self._graph, key[1])
        return chain[1:-1] if key[0] == "call" else chain[1:]

    def _shown(self, chains: Iterable[list[int]]) -> set[int]:
        """Return the calls that surround several boxes, and not exactly those of another call in them."""
        contents: Counter[int] = Counter()
        inner: dict[int, set[int]] = {}
        for chain in chains:
            contents.update(chain)
            for outer, call in itertools.pairwise(chain):
                inner.setdefault(outer, set()).add(call)
        return {
            call
            for call, count in contents.items()
            if count > 1 and not any(contents[each] == count for each in inner.get(call, ()))
        }

    def _surrounding(self, call: int, shown: set[int]) -> int:
        if call not in self._around:
            group = self._graph.groups[call]
            above = [each for each in _chain(self._graph, call)[1:-1] if each in shown]
            parent = self._surrounding(above[-1], shown) if above else None
            self._around[call] = len(self._surroundings)
            self._surroundings.append(
                Surrounding(
                    path=group.path, type=group.type, call=group.call, calls=self._calls[group.path], parent=parent
                )
            )
        return self._around[call]


def _tensor(dtype: str, shape: Sequence[int | str]) -> str:
    return f"{'x'.join(map(str, shape)) or 'scalar'} {dtype}"
