"""Summaries count the work of convolutions, matrix products, attention and recurrent layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from etui.catalog.find import UserModel
from etui.engine.summary.run import run_summary, summarize
from etui.errors import PreparationError
from etui.jobs import SummaryJob
from etui.model_summary import ModelSummary, ModuleSummary
from etui.spec import Shape
from tests.engine.tiny import Convolutional, Indexed

MODEL = UserModel(kind="factory", path="/none/net.py", factory="net")


def summary_of(module: nn.Module, *inputs: torch.Tensor) -> ModelSummary:
    return summarize(MODEL, module.eval(), inputs)


def at(summary: ModelSummary, path: str) -> ModuleSummary:
    return next(module for module in summary.modules if module.path == path)


def test_modules_have_their_own_work_and_that_of_their_submodules() -> None:
    summary = summary_of(Convolutional(), torch.randn(2, 3, 9, 9))
    convolution, head = at(summary, "convolution"), at(summary, "head")
    assert convolution.macs == 2 * 4 * 4 * 8 * 3 * 3 * 3
    assert head.macs == 2 * 8 * 10
    assert summary.macs == convolution.macs + head.macs
    assert summary.modules[0].own_macs == 0
    assert summary.modules[0].parameters == summary.parameters == 8 * 27 + 8 + 16 + 80 + 10
    assert (convolution.inputs[0].shape, convolution.outputs[0].shape) == ([2, 3, 9, 9], [2, 8, 4, 4])
    assert convolution.activation_bytes == 4 * 2 * 8 * 4 * 4
    assert summary.counted_on == "shapes"
    assert not summary.uncounted
    assert summary.buffers == 8 + 8 + 1
    assert summary.estimated_bytes["fp32"] == 4 * (summary.parameters + 16) + 8
    assert summary.estimated_bytes["int8"] == 8 * 27 + 80 + 4 * (8 + 16 + 10 + 16) + 8


def test_a_tied_weight_counts_once_and_is_named() -> None:
    summary = summary_of(Indexed(), torch.zeros(1, 5, dtype=torch.long))
    assert summary.parameters == 40 * 32 + 32 * 32 + 32
    assert at(summary, "table").parameters == at(summary, "head").parameters == 40 * 32
    assert any("table.weight" in note and "head.weight" in note for note in summary.notes)
    assert at(summary, "head").macs == 5 * 32 * 40


def test_weights_are_those_that_multiply_adds_read_each_once() -> None:
    summary = summary_of(Indexed(), torch.zeros(1, 5, dtype=torch.long))
    table, head = at(summary, "table"), at(summary, "head")
    assert (table.weight_values, table.own_mac_calls, table.macs) == (0, 0, 0)
    assert (head.weight_values, head.own_mac_calls) == (40 * 32, 1)
    assert summary.modules[0].weight_values == 40 * 32 + 32 * 32
    assert (head.io_values, head.io_other_bytes) == (5 * 32 + 5 * 40, 0)
    assert (table.io_values, table.io_other_bytes) == (5 * 32, 5 * 8)


class First(nn.Module):
    """Reads a small part of what it receives, and one weight in parts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4, 4))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values[:1, :4] @ self.weight[2] @ self.weight[3]


def test_values_that_are_not_read_are_not_traffic() -> None:
    (whole,) = summary_of(First(), torch.randn(100, 100)).modules
    assert (whole.macs, whole.own_mac_calls, whole.weight_values) == (32, 2, 16)
    assert whole.io_values < 100


class Repeating(nn.Module):
    """One layer called twice, and known under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = self.first

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.again(self.first(values))
        return result


def test_a_layer_called_twice_does_twice_the_work_with_its_parameters_once() -> None:
    summary = summary_of(Repeating(), torch.randn(3, 4))
    first, again = at(summary, "first"), at(summary, "again")
    assert (first.calls, first.macs) == (2, 2 * 3 * 4 * 4)
    assert (first.own_mac_calls, first.weight_values, first.io_values) == (2, 16, 4 * 3 * 4)
    assert (again.same_as, again.macs, again.calls) == ("first", 0, 0)
    assert summary.parameters == 20
    assert summary.macs == first.macs


@dataclass
class Scores:
    """An output that torch's pytrees do not know."""

    values: torch.Tensor
    name: str = ""


class Scoring(nn.Module):
    """Returns a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, values: torch.Tensor) -> list[Scores]:
        return [Scores(self.head(values))]


def test_tensors_in_dataclasses_are_outputs() -> None:
    summary = summary_of(Scoring(), torch.randn(2, 4))
    assert [output.shape for output in summary.outputs] == [[2, 3]]
    assert summary.output_bytes == 4 * 2 * 3
    assert summary.modules[0].outputs == summary.outputs


def test_attention_is_counted_in_fused_modules() -> None:
    length, width = 10, 16
    layer = nn.TransformerEncoderLayer(width, 4, 32, batch_first=True)
    products = 4 * length * width * width + 2 * length * length * width + 2 * length * width * 32
    assert summary_of(layer, torch.randn(1, length, width)).macs == products


def test_recurrent_layers_are_counted() -> None:
    steps, size, hidden = 7, 5, 6
    assert summary_of(nn.LSTM(size, hidden), torch.randn(steps, 1, size)).macs == steps * 4 * hidden * (size + hidden)
    assert summary_of(nn.GRU(size, hidden), torch.randn(steps, 1, size)).macs == steps * 3 * hidden * (size + hidden)


def test_vector_products_are_counted() -> None:
    class Products(nn.Module):
        def forward(self, matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
            return torch.dot(matrix @ vector, vector)

    assert summary_of(Products(), torch.randn(4, 4), torch.randn(4)).macs == 4 * 4 + 4


def test_an_operator_whose_work_is_unknown_is_named_with_its_module() -> None:
    class Spectral(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = torch.fft.rfft(values).abs()
            return result

    model = nn.Sequential(nn.Linear(8, 8), Spectral())
    summary = summary_of(model, torch.randn(2, 8))
    assert summary.uncounted == {"aten::_fft_r2c": 1}
    assert at(summary, "1").uncounted == summary.uncounted
    assert [module.unknown_calls for module in summary.modules] == [1, 0, 1]
    assert summary.macs == 2 * 8 * 8


def test_a_custom_operator_is_unknown() -> None:
    @torch.library.custom_op("etui_test::twice", mutates_args=())
    def twice(values: torch.Tensor) -> torch.Tensor:
        return values * 2

    class Custom(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = twice(values)
            return result

    # It does not define its result's shape, so that the model has to be run.
    summary = summary_of(Custom(), torch.randn(2, 8))
    assert (summary.uncounted, summary.counted_on) == ({"etui_test::twice": 1}, "values")


def test_bilinear_layer_is_two_products() -> None:
    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bilinear = nn.Bilinear(4, 5, 6)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.bilinear(left, right)
            return scores

    summary = summary_of(Scores(), torch.randn(2, 3, 4), torch.randn(2, 3, 5))
    assert (summary.macs, summary.uncounted) == (6 * (6 * 4 * 5 + 6 * 5), {})


def test_control_flow_that_depends_on_data_is_counted_by_running_the_model() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            for layer in self.layers[: int(values.sum().item())]:
                values = layer(values)
            return values

    summary = summary_of(Branching(), torch.full((1, 4), 0.5))
    assert summary.counted_on == "values"
    assert summary.macs == 2 * 16
    assert [at(summary, f"layers.{index}").calls for index in range(3)] == [1, 1, 0]
    assert summary.peak_bytes == 2 * 16


def test_peak_is_what_is_needed_at_the_same_time() -> None:
    class Chain(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            wide = values.repeat(1, 10)
            return wide.exp().view(10, -1).sum(1)

    summary = summary_of(Chain(), torch.randn(1, 25))
    assert summary.forward_bytes == 4 * (250 + 250 + 10)
    assert summary.peak_bytes == 4 * (250 + 250)
    assert summary.input_bytes == 100


def test_memory_saved_for_the_backward_pass_has_no_parameters() -> None:
    summary = summary_of(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), torch.randn(2, 8))
    assert summary.backward_bytes == 4 * (2 * 8 + 2 * 16)
    frozen = nn.Linear(4, 4).requires_grad_(False)
    assert summary_of(frozen, torch.randn(1, 4)).backward_bytes is None


def test_an_exported_program_has_the_modules_of_its_source() -> None:
    inputs = (torch.randn(2, 3, 9, 9),)
    eager = summary_of(Convolutional(), *inputs)
    module = torch.export.export(Convolutional().eval(), inputs, strict=False).module(check_guards=False)
    summary = summarize(MODEL, module, inputs)
    assert {each.path: each.macs for each in summary.modules} == {each.path: each.macs for each in eager.modules}
    assert at(summary, "convolution") == at(eager, "convolution")
    assert summary.peak_bytes == eager.peak_bytes


def test_a_model_that_does_not_take_its_inputs_names_the_layer() -> None:
    with pytest.raises(PreparationError, match=r"in 1 \(Linear\)"):
        summary_of(nn.Sequential(nn.Linear(8, 8), nn.Linear(9, 8)), torch.randn(1, 8))


def test_counting_leaves_the_model_as_it_was() -> None:
    module = Convolutional().eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    summary_of(module, torch.randn(2, 3, 9, 9))
    assert not module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_requested_shape(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Conv2d(3, 2, 1), (torch.randn(1, 3, 8, 8),)\n"
    )
    job = SummaryJob(model=f"{tmp_path}/net.py:net", shape=Shape(input_size=(4, 6), batch=5))
    assert run_summary(job, lambda event: None).macs == 5 * 4 * 6 * 3 * 2


def test_keyword_arguments(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        """import torch
import etui
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def forward(self, values, *, factor=1, mask=None):
        return self.layer(values) * factor * mask
def net():
    return Net(), etui.Args(torch.randn(3, 4), factor=2, mask=torch.ones(3, 1))
def file(path):
    program = torch.export.export(Net(), (torch.randn(3, 4),), {"factor": 2, "mask": torch.ones(3, 1)})
    torch.export.save(program, path)
"""
    )
    summary = run_summary(SummaryJob(model=f"{tmp_path}/net.py:net"), lambda event: None)
    assert (summary.macs, summary.backward_bytes, summary.inputs[1].shape) == (24, 4 * (12 + 3), [3, 1])
    namespace: dict[str, Any] = {}
    exec((tmp_path / "net.py").read_text(), namespace)
    namespace["file"](str(tmp_path / "net.pt2"))
    exported = run_summary(SummaryJob(model=f"{tmp_path}/net.pt2"), lambda event: None)
    assert (exported.macs, exported.inputs, at(exported, "layer").macs) == (24, summary.inputs, 24)


def test_a_users_model_depends_on_its_files(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text("import torch\ndef layer():\n    return torch.nn.Linear(4, 2)\n")
    (tmp_path / "net.py").write_text(
        "import torch\nimport layers\ndef net():\n    return layers.layer(), (torch.randn(3, 4),)\n"
    )
    summary = run_summary(SummaryJob(model=f"{tmp_path}/net.py:net"), lambda event: None)
    assert {Path(file).name for file in summary.files} >= {"net.py", "layers.py"}
    assert (summary.macs, summary.trainable) == (24, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "published_g"),
    [("resnet18", 1.81), ("mobilenet_v2", 0.30), ("efficientnet_b0", 0.39), ("vit_b_16", 17.56)],
)
def test_published_figures(model: str, published_g: float) -> None:
    # One percent, or half of the last published digit.
    macs = run_summary(SummaryJob(model=model), lambda event: None).macs
    assert math.isclose(macs / 1e9, published_g, rel_tol=0.01, abs_tol=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["distilbert", "segformer_b0"])
def test_the_decomposed_export_graph_has_the_same_work(model: str) -> None:
    from torch.utils.flop_counter import flop_registry

    from etui.catalog.models import MODELS
    from etui.engine.models.build import build_raw, finish
    from etui.engine.models.inputs import catalog_inputs

    entry = MODELS[model]
    module = finish(entry, build_raw(entry, initialize=False), keep=False)
    inputs = catalog_inputs(entry, 1, 0, 0, None).accuracy[0]
    program = torch.export.export(module, inputs, strict=False).run_decompositions()
    flops = 0
    for node in program.graph.nodes:
        packet = getattr(node.target, "overloadpacket", None)
        if node.op == "call_function" and packet in flop_registry:
            values = [getattr(each, "meta", {}).get("val", each) for each in node.args]
            flops += flop_registry[packet](*values, **node.kwargs, out_val=node.meta["val"])
    assert run_summary(SummaryJob(model=model), lambda event: None).macs == flops // 2
