"""The graph of a model has its modules, each call of them, and all data flow, also through operators in place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from etui.analysis.graph_folding import fold
from etui.engine.summary.graph import graph_of, run_graph
from etui.errors import PreparationError
from etui.jobs import GraphJob
from etui.model_graph import ModelGraph

pytestmark = pytest.mark.slow  # exports


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.act = nn.ReLU()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.act(self.act(self.layer(values)) + values)
        return result


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(), Block())
        self.shared = nn.Linear(4, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.shared(self.shared(self.body(values))).split(2, dim=1)[1]
        return result


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result = self.layer(values)
        result[:, 0] = values[:, 1] * 2
        return torch.sigmoid(result)


def read(module: nn.Module) -> ModelGraph:
    exported = torch.export.export(module.eval(), (torch.randn(1, 4),))
    return graph_of(exported, name="net", title="")


def test_modules_calls_and_data_flow() -> None:
    graph = read(Net())
    folded = fold(graph, 3)
    boxes = [(box.path, box.call) for box in folded.boxes]
    assert boxes[:5] == [("values", 1), ("body.0.layer", 1), ("body.0.act", 1), ("body.0", 1), ("body.0.act", 2)]
    assert {(0, 1), (0, 3), (1, 2), (2, 3), (3, 4)} <= set(folded.edges)
    assert boxes[-4:] == [("shared", 1), ("shared", 2), ("", 1), ("output 1", 1)]
    assert [node.operator for node in graph.nodes][-1] == "aten.split"
    assert graph.groups[0].type == "Net"
    assert graph.inputs[0].shape == [1, 4] and graph.outputs[0].shape == [1, 2]


def test_a_value_written_into_a_tensor_reaches_the_next_reader() -> None:
    graph = read(InPlace())
    reached = {index for index, node in enumerate(graph.nodes) if "mul" in node.operator}
    for index, node in enumerate(graph.nodes):
        if reached & set(node.inputs):
            reached.add(index)
    assert graph.nodes[-1].operator == "aten.sigmoid"
    assert len(graph.nodes) - 1 in reached


MODELS = """
import dataclasses, torch
from torch import nn

@dataclasses.dataclass
class Outputs:
    first: torch.Tensor


class Dataclass(nn.Linear):
    def forward(self, values):
        return Outputs(super().forward(values))

class Branching(nn.Linear):
    def forward(self, values):
        return super().forward(values) if values.sum() > 0 else values

def dataclass():
    return Dataclass(4, 2), (torch.randn(1, 4),)

def branching():
    return Branching(4, 2), (torch.ones(1, 4),)

def misfit():
    return nn.Linear(5, 2), (torch.randn(1, 4),)
"""


@pytest.mark.parametrize(
    ("factory", "problem"),
    [("dataclass", None), ("branching", "data-dependent control flow|branches on the value"), ("misfit", r"\[1, 4\]")],
)
def test_models_of_files(tmp_path: Path, factory: str, problem: str | None) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    job = GraphJob(model=f"{tmp_path}/models.py:{factory}")
    if problem is None:
        graph = run_graph(job, lambda event: None)
        assert ([node.operator for node in graph.nodes], len(graph.outputs)) == (["aten.linear"], 1)
        assert str(tmp_path / "models.py") in graph.files
    else:
        with pytest.raises(PreparationError, match=problem):
            run_graph(job, lambda event: None)


def test_a_catalog_model_is_read_without_its_weights() -> None:
    graph = run_graph(GraphJob(model="resnet18"), lambda event: None)
    paths = [box.path for box in fold(graph, 1).boxes]
    assert paths[1:-1] == [
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "avgpool",
        "",
        "fc",
    ]
