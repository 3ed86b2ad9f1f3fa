"""The files for Model Explorer: a graph whose edges and layers are those of the model, and measured times by node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etui.model_graph import ModelGraph
from etui.report.model_explorer import GRAPH_ID, graph_json, node_data_json
from tests.analysis.test_box_figures import measured
from tests.model_graphs import residual

PROFILE = measured(
    ("aten.conv2d.default", "stem", "Conv2d", 0.5),
    ("aten.relu.default", "body.0.act", "ReLU", 0.2),
    ("aten.add_.Tensor", "body.1", "Block", 0.3),
)


def graph_of(graph: ModelGraph) -> dict[str, Any]:
    written = json.loads(graph_json(graph, PROFILE))
    (drawn,) = written["graphs"]
    assert drawn["id"] == GRAPH_ID
    return dict(drawn)


def test_nodes_edges_and_layers_are_those_of_the_graph() -> None:
    graph = residual()
    nodes = {node["id"]: node for node in graph_of(graph)["nodes"]}
    assert set(nodes) == {"input 0", *map(str, range(len(graph.nodes))), "output 0"}
    for index, node in enumerate(graph.nodes):
        sources = [edge["sourceNodeId"] for edge in nodes[str(index)]["incomingEdges"]]
        assert sources == [f"input {each}" for each in node.model_inputs] + [str(each) for each in node.inputs]
    calls = [nodes[str(index)]["namespace"] for index in (1, 2, 4)]
    assert calls == ["body/0/conv", "body/0/act", "body/0/act (call 2)"]


def test_node_data_has_only_times_whose_node_is_certain() -> None:
    data = json.loads(node_data_json(residual(), PROFILE))[GRAPH_ID]
    # The activation is called twice: its time belongs to two nodes.
    assert data["results"] == {"0": {"value": 5.0}, "7": {"value": 3.0}}
    assert "80 %" in data["name"]


def test_modules_have_the_time_of_all_their_operators() -> None:
    attributes = graph_of(residual())["groupNodeAttributes"]
    assert attributes["body"]["measured time, all calls"] == "5.00 ms, 50.0 %"
    assert attributes["body/0/act"]["measured time, all calls"] == "2.00 ms, 20.0 %"


def test_the_formats_are_those_of_the_installed_package() -> None:
    builder = pytest.importorskip("model_explorer.graph_builder")
    data = pytest.importorskip("model_explorer.node_data_builder")
    drawn = graph_of(residual())
    for node in drawn["nodes"]:
        assert set(node) <= set(builder.GraphNode.__dataclass_fields__)
        for edge in node.get("incomingEdges", []):
            builder.IncomingEdge(**edge)
    assert set(drawn) <= set(builder.Graph.__dataclass_fields__)
    (written,) = json.loads(node_data_json(residual(), PROFILE)).values()
    assert set(written) <= set(data.GraphNodeData.__dataclass_fields__)
