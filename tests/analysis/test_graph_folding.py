"""Folding keeps every operator and all data flow between boxes, and makes no cycle."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from etui.analysis.graph_folding import FEW_BOXES, Folded, deepest, fold
from etui.model_graph import GraphTensor, GroupCall, ModelGraph, OperatorNode
from tests.model_graphs import residual


def named(folded: Folded) -> list[tuple[str, int]]:
    return [(box.path or "+".join(box.operators), box.call) for box in folded.boxes]


def test_modules_are_folded_to_the_level() -> None:
    graph = residual()
    assert deepest(graph) == 3
    first = fold(graph, 1)
    assert named(first) == [("x", 1), ("stem", 1), ("body", 1), ("aten.mean+aten.flatten", 1), ("output 1", 1)]
    assert first.edges == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert first.boxes[2].operators == {"aten.conv2d": 2, "aten.relu": 4, "aten.add_": 2}
    second = fold(graph, 2)
    assert [box.path for box in second.boxes[2:4]] == ["body.0", "body.1"]
    assert [each.path for each in second.around] == ["body"]
    assert second.boxes[2].inside == second.boxes[3].inside == (0,)


def test_calls_of_a_module_and_the_operators_between_them_are_separate_boxes() -> None:
    folded = fold(residual(), 3)
    inside = [(box.kind, box.path, box.call, box.calls) for box in folded.boxes[2:6]]
    assert inside == [
        ("module", "body.0.conv", 1, 1),
        ("module", "body.0.act", 1, 2),
        ("operators", "body.0", 1, 1),
        ("module", "body.0.act", 2, 2),
    ]
    assert {(1, 2), (1, 4), (2, 3), (3, 4), (4, 5)} <= set(folded.edges)
    assert folded.boxes[3].places == 2


def test_a_list_of_modules_with_something_between_its_members_is_not_one_box() -> None:
    groups = [GroupCall(path="", type="Net")]
    groups += [GroupCall(path=f"layers.{number}", type="Linear", parent=0) for number in range(2)]
    between = [
        OperatorNode(operator="aten.linear", group=1, model_inputs=[0]),
        OperatorNode(operator="aten.relu", group=0, inputs=[0]),
        OperatorNode(operator="aten.linear", group=2, inputs=[1]),
    ]
    directly = [between[0], OperatorNode(operator="aten.linear", group=2, inputs=[0])]
    paths = {}
    for name, nodes in (("between", between), ("directly", directly)):
        graph = ModelGraph(name="net", title="", of="model", groups=groups, nodes=nodes, inputs=[], outputs=[])
        paths[name] = [box.path for box in fold(graph, 1).boxes]
    assert paths == {"between": ["layers.0", "", "layers.1"], "directly": ["layers"]}


def test_a_list_is_not_drawn_in_a_module_whose_name_only_begins_alike() -> None:
    groups = [
        GroupCall(path="", type="Net"),
        GroupCall(path="layer1", type="Layer", parent=0),
        GroupCall(path="layer10.parts.0", type="Linear", parent=1),
        GroupCall(path="layer10.parts.1", type="Linear", parent=1),
    ]
    nodes = [OperatorNode(operator="aten.linear", group=2), OperatorNode(operator="aten.linear", group=3, inputs=[0])]
    graph = ModelGraph(name="net", title="net", of="model", groups=groups, nodes=nodes, inputs=[], outputs=[])
    assert named(fold(graph, 2)) == [("layer10.parts.0", 1), ("layer10.parts.1", 1)]


def test_the_default_level_is_the_deepest_with_few_boxes() -> None:
    groups, nodes = [GroupCall(path="", type="Net")], []
    for number in range(FEW_BOXES - 10):
        outer = len(groups)
        groups += [GroupCall(path=f"b{number}", type="Block", parent=0)]
        groups += [GroupCall(path=f"b{number}.{part}", type="Linear", parent=outer) for part in "xy"]
        nodes += [OperatorNode(operator="aten.linear", group=outer + part) for part in (1, 2)]
    graph = ModelGraph(name="net", title="", of="model", groups=groups, nodes=nodes, inputs=[], outputs=[])
    assert (fold(graph).level, len(fold(graph).boxes)) == (1, FEW_BOXES - 10)
    assert len(fold(graph, 99).boxes) == 2 * (FEW_BOXES - 10)


@st.composite
def graphs(draw: st.DrawFn) -> ModelGraph:
    """Graphs as calls of modules that follow each other make them: operators of one call are consecutive, except that
    those of a module are between the calls in it."""
    groups = [GroupCall(path="", type="Net")]
    nodes: list[OperatorNode] = []

    def call(index: int, depth: int) -> None:
        for _ in range(draw(st.integers(1, 3))):
            if depth < 3 and draw(st.booleans()):
                name = draw(st.sampled_from(["a", "b", "list.0", "list.1"]))
                path = f"{groups[index].path}.{name}" if groups[index].path else name
                count = sum(group.path == path for group in groups)
                groups.append(GroupCall(path=path, type="Block", parent=index, call=count + 1))
                call(len(groups) - 1, depth + 1)
            else:
                known = range(len(nodes))
                inputs = sorted(draw(st.sets(st.sampled_from(known), max_size=3))) if known else []
                nodes.append(OperatorNode(operator="aten.add", group=index, inputs=inputs, model_inputs=[0]))

    call(0, 0)
    output = GraphTensor(name="y", dtype="float32", shape=[], sources=[len(nodes) - 1])
    entry = GraphTensor(name="x", dtype="float32", shape=[])
    return ModelGraph(
        name="net", title="", of="model", groups=groups, nodes=nodes, inputs=[entry], outputs=[output]
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 8))
def test_every_operator_is_in_one_box_and_data_flows_only_forwards(graph: ModelGraph, level: int) -> None:
    folded = fold(graph, level)
    counts: Counter[str] = Counter()
    for box in folded.boxes:
        counts.update(box.operators)
    assert sum(counts.values()) == len(graph.nodes)
    assert all(source < target for source, target in folded.edges)
    reached = {0}
    for source, target in folded.edges:
        if source in reached:
            reached.add(target)
    assert reached == set(range(len(folded.boxes)))  # every operator uses the input
