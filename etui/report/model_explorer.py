"""A graph, and the measured times of its operators, as JSON for Google's Model Explorer.

The formats are those of the package ai-edge-model-explorer (``graph_builder.py`` and ``node_data_builder.py``). Nodes
are identified by their number, so that names of a model cannot collide.
"""

from __future__ import annotations

from typing import Any

import msgspec

from etui import text
from etui.analysis.box_figures import times
from etui.analysis.graph_folding import Box
from etui.analysis.operator_kinds import bare_name
from etui.analysis.profiles import Group, module_tree
from etui.insight import Profile
from etui.model_graph import ModelGraph

GRAPH_ID = "graph"

_GRADIENT = [{"stop": 0, "bgColor": "#fdf1e3"}, {"stop": 1, "bgColor": "#dd6a3a"}]


def graph_json(graph: ModelGraph, profile: Profile | None = None) -> bytes:
    """Return the graph: one node per operator, in layers by module, and one per input and output. Each module has its
    measured time among its attributes."""
    spaces = _namespaces(graph)
    nodes: list[dict[str, Any]] = [
        _end(f"input {index}", each.name, _shape(each.dtype, each.shape)) for index, each in enumerate(graph.inputs)
    ]
    for index, node in enumerate(graph.nodes):
        sources = [f"input {each}" for each in node.model_inputs] + [str(each) for each in node.inputs]
        group = graph.groups[node.group]
        contents = {name: str(count) for name, count in node.contents.items()}
        attributes = {"operator": node.operator, "module": group.path, "type": group.type, **contents}
        nodes.append(
            {
                "id": str(index),
                "label": text.plain(bare_name(node.operator)),
                "namespace": spaces[node.group],
                "attrs": _attributes(attributes),
                "incomingEdges": _edges(sources),
            }
        )
    for index, each in enumerate(graph.outputs):
        sources = [f"input {number}" for number in each.model_inputs] + [str(number) for number in each.sources]
        nodes.append(
            {
                **_end(f"output {index}", each.name, _shape(each.dtype, each.shape)),
                "incomingEdges": _edges(sources),
            }
        )
    drawn: dict[str, Any] = {"id": GRAPH_ID, "nodes": nodes}
    if profile is not None:
        drawn["groupNodeAttributes"] = _module_times(graph, spaces, profile)
    return msgspec.json.encode({"label": text.plain(graph.name), "graphs": [drawn]})


def node_data_json(graph: ModelGraph, profile: Profile) -> bytes:
    """Return the measured milliseconds per inference of the operators, those of the program that come from exactly one
    operator of the graph. The name says how much of the time that is."""
    boxes = [
        Box(kind="operators", path=graph.groups[node.group].path, operators={node.operator: 1}) for node in graph.nodes
    ]
    found, _ = times(profile, boxes)
    certain = {str(index): each for index, each in enumerate(found) if each is not None and not each.shared}
    covered = sum(each.share for each in certain.values())
    value = {
        GRAPH_ID: {
            "name": f"measured ms ({text.percent(covered)} of the time)",
            "results": {key: {"value": round(each.median_ms, 6)} for key, each in certain.items()},
            "gradient": _GRADIENT,
        }
    }
    return msgspec.json.encode(value)


def _namespaces(graph: ModelGraph) -> list[str]:
    """Return the layer of each call of a module, from the outermost: parts of its path, separated by slashes."""
    spaces: list[str] = []
    for group in graph.groups:
        if group.parent is None:
            spaces.append("")
            continue
        above = graph.groups[group.parent]
        name = group.path.removeprefix(f"{above.path}.") if above.path else group.path
        call = f" (call {group.call})" if group.call > 1 else ""
        part = text.plain(name).replace("/", "_") + call
        spaces.append("/".join(filter(None, (spaces[group.parent], part))))
    return spaces


def _module_times(graph: ModelGraph, spaces: list[str], profile: Profile) -> dict[str, dict[str, str]]:
    by_path: dict[str, Group] = {}
    waiting = list(module_tree(profile).children)
    while waiting:
        group = waiting.pop()
        by_path[group.path] = group
        waiting += group.children
    attributes: dict[str, dict[str, str]] = {}
    for group_call, space in zip(graph.groups, spaces, strict=True):
        found = by_path.get(group_call.path)
        if space and found is not None and found.median_ms is not None and found.share is not None:
            ms = f"{text.number(found.median_ms)} ms, {text.percent(found.share, 1)}"
            attributes[space] = {"type": text.plain(group_call.type), "measured time, all calls": ms}
    return attributes


def _end(identity: str, name: str, shape: str) -> dict[str, Any]:
    return {"id": identity, "label": text.plain(name), "namespace": "", "attrs": _attributes({"shape": shape})}


def _attributes(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": text.plain(key), "value": text.plain(value)} for key, value in values.items() if value]


def _edges(sources: list[str]) -> list[dict[str, str]]:
    return [
        {"sourceNodeId": source, "sourceNodeOutputId": "0", "targetNodeInputId": str(index)}
        for index, source in enumerate(sources)
    ]


def _shape(dtype: str, shape: list[int | str]) -> str:
    return f"{'x'.join(map(str, shape)) or 'scalar'} {dtype}"
