"""Made-up graphs of models and programs."""

from __future__ import annotations

from etui.model_graph import GraphTensor, GroupCall, ModelGraph, OperatorNode

HOSTILE = '</text><script>alert(1)</script>"\\N]]><img src=x onerror=alert(2)>&'


def residual(*, name: str = "net", block: str = "Block") -> ModelGraph:
    """A model of a convolution and two blocks; a block is a convolution and an activation that is called twice, with an
    addition of the block's input."""
    groups = [GroupCall(path="", type="Net"), GroupCall(path="stem", type="Conv2d", parent=0)]
    nodes = [OperatorNode(operator="aten.conv2d", group=1, model_inputs=[0])]
    groups.append(GroupCall(path="body", type="Sequential", parent=0))
    for number in range(2):
        outer, before = len(groups), len(nodes) - 1
        path = f"body.{number}"
        groups += [
            GroupCall(path=path, type=block, parent=2),
            GroupCall(path=f"{path}.conv", type="Conv2d", parent=outer),
            GroupCall(path=f"{path}.act", type="ReLU", parent=outer),
            GroupCall(path=f"{path}.act", type="ReLU", parent=outer, call=2),
        ]
        nodes += [
            OperatorNode(operator="aten.conv2d", group=outer + 1, inputs=[before]),
            OperatorNode(operator="aten.relu", group=outer + 2, inputs=[before + 1]),
            OperatorNode(operator="aten.add_", group=outer, inputs=[before + 2, before]),
            OperatorNode(operator="aten.relu", group=outer + 3, inputs=[before + 3]),
        ]
    nodes += [
        OperatorNode(operator="aten.mean", group=0, inputs=[len(nodes) - 1]),
        OperatorNode(operator="aten.flatten", group=0, inputs=[len(nodes)]),
    ]
    return ModelGraph(
        name=name,
        title="a made-up net",
        of="model",
        groups=groups,
        nodes=nodes,
        inputs=[GraphTensor(name="x", dtype="float32", shape=[1, 3, 8, 8])],
        outputs=[GraphTensor(name="output 1", dtype="float32", shape=[1, 8], sources=[len(nodes) - 1])],
    )


def hostile() -> ModelGraph:
    """The same model with names that would end an element or a quoted text if they were not escaped."""
    graph = residual(name=HOSTILE, block=HOSTILE)
    groups = [
        GroupCall(
            path=group.path.replace("stem", HOSTILE.replace(".", "")), type=group.type, parent=group.parent,
            call=group.call,
        )
        for group in graph.groups
    ]  # fmt: skip
    return ModelGraph(
        name=graph.name, title=HOSTILE, of="model", groups=groups, nodes=graph.nodes, inputs=graph.inputs,
        outputs=graph.outputs, notes=[HOSTILE],
    )  # fmt: skip
