"""Quantization-aware training: learned scales, and programs that compute what was trained."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
from torch import nn

from etui.engine.delegates import delegate_support
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.lower import lower_graph
from etui.engine.training.lsq import LsqFakeQuantize, lsq
from etui.engine.training.qat import QatKind, convert_qat, first_and_last, prepare_qat, to_evaluation


def _weight(channels: bool = True) -> LsqFakeQuantize:
    scheme = torch.per_channel_symmetric if channels else torch.per_tensor_symmetric
    return LsqFakeQuantize(dtype=torch.int8, quant_min=-127, quant_max=127, qscheme=scheme, ch_axis=0)


def _activation() -> LsqFakeQuantize:
    return LsqFakeQuantize(dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine)


def test_lsq_has_the_values_and_gradients_of_the_paper() -> None:
    generator = np.random.default_rng(1)
    v = generator.normal(0, 1, 200)
    s, low, high, count = 0.03, -8, 7, 200
    values = torch.tensor(v, requires_grad=True)
    scale = torch.tensor([s], dtype=torch.float64, requires_grad=True)
    upstream = generator.normal(0, 1, 200)
    result = lsq(values, scale, low, high, count)
    result.backward(torch.tensor(upstream))  # type: ignore[no-untyped-call]
    ratio = v / s
    inside = (ratio > low) & (ratio < high)
    np.testing.assert_allclose(result.detach().numpy(), np.round(np.clip(ratio, low, high)) * s, rtol=1e-12)
    assert values.grad is not None
    assert scale.grad is not None
    np.testing.assert_allclose(values.grad.numpy(), np.where(inside, upstream, 0))
    by_scale = np.where(inside, np.round(ratio) - ratio, np.where(ratio <= low, low, high))
    assert float(scale.grad) == pytest.approx(float((by_scale * upstream).sum()) / math.sqrt(count * high), rel=1e-9)


def test_scales_start_at_the_value_of_the_paper_but_clip_nothing() -> None:
    spread = torch.tensor([[1.0, -1.0, 1.0, 100.0], [1.0, 1.0, -1.0, 1.0]])
    fake = _weight()
    fake(spread)
    scale, zero = fake.calculate_qparams()
    assert scale.tolist() == pytest.approx([100 / 127, 1 / 127])
    assert zero.tolist() == [0, 0]
    long = torch.cat([torch.full((9999,), 0.01), torch.tensor([100.0])])
    fake = _weight(channels=False)
    fake(long)
    assert float(fake.calculate_qparams()[0]) == pytest.approx(2 * float(long.mean()) / math.sqrt(127))


def test_activations_without_negative_values_are_unsigned() -> None:
    fake = _activation()
    positive = torch.linspace(0, 5, 1001)
    assert float((fake(positive) - positive).detach().abs().max()) <= 5 / 255 / 2 + 1e-6
    assert int(fake.calculate_qparams()[1]) == -128
    fake = _activation()
    fake(torch.linspace(-5, 5, 11))
    assert int(fake.calculate_qparams()[1]) == 0


def test_a_scale_stays_positive_and_changes_at_most_by_the_learning_rate() -> None:
    fake = _activation()
    fake(torch.rand(8, 4) + 0.1)
    before = float(fake.calculate_qparams()[0])
    optimizer = torch.optim.SGD(fake.parameters(), lr=0.1)
    (1e9 * fake(torch.full((8, 4), 50.0))).sum().backward()
    optimizer.step()
    after = float(fake.calculate_qparams()[0])
    assert after == pytest.approx(before * math.exp(-0.1), rel=1e-5)


class _Net(nn.Module):
    """Convolutions with batch normalization, a residual addition, pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.left = nn.Conv2d(16, 64, 3, padding=1, bias=False)
        self.left_norm = nn.BatchNorm2d(64)
        self.right = nn.Conv2d(64, 16, 3, padding=1, bias=False)
        self.right_norm = nn.BatchNorm2d(16)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(16, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(images)))
        y = torch.relu(self.left_norm(self.left(x)))
        x = torch.relu(x + self.right_norm(self.right(y)))
        result: torch.Tensor = self.last(torch.flatten(self.pool(x), 1))
        return result


class _Trained(NamedTuple):
    fake: torch.Tensor
    program: torch.Tensor
    step: float
    delegation: Any
    integer_weights: list[str]


def _trained(kind: QatKind, keep: tuple[str, ...] | None) -> _Trained:
    from executorch.runtime import Runtime

    torch.manual_seed(2)
    module = _Net()
    images = torch.randn(12, 3, 8, 8)
    for _ in range(3):
        module(torch.randn(12, 3, 8, 8))
    prepared = prepare_qat(module, images, kind, keep)
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.05)
    for _ in range(4):
        loss = nn.functional.cross_entropy(prepared(torch.randn(12, 3, 8, 8)), torch.arange(12) % 5)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    to_evaluation(prepared)
    with torch.no_grad():
        fake = prepared(images)
    graph = convert_qat(prepared, images[:1])
    nodes = list(graph.program.graph.nodes)
    steps = [node.args[1] for node in nodes if "quantize_per_tensor" in str(node.target)]
    weights = [name for name, value in graph.program.state_dict.items() if value.dtype == torch.int8]
    manager, delegation = lower_graph(graph, delegate_support("xnnpack"), "int8", GraphStages())
    content = bytes(manager.buffer)
    method = Runtime.get().load_program(content).load_method("forward")
    assert method is not None
    program = torch.cat([method.execute([images[index : index + 1]])[0] for index in range(len(images))])
    return _Trained(fake, program, steps[-1], delegation, weights)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "keep", "quantized"), [("lsq", None, 2), ("pt2e", ("left",), 3)])
def test_the_program_computes_what_was_trained_with_integers(
    kind: QatKind, keep: tuple[str, ...] | None, quantized: int
) -> None:
    done = _trained(kind, keep)
    assert float((done.fake - done.program).abs().max()) <= done.step * 1.0001
    assert done.delegation.undelegated_nodes == 0
    assert done.delegation.subgraphs == 1
    assert len(done.integer_weights) == quantized
    assert done.fake.std() > 3 * done.step  # the outputs differ by much more than the limit


def test_the_first_and_the_last_layer_are_found_in_the_order_of_the_graph() -> None:
    graph = torch.export.export(_Net(), (torch.randn(2, 3, 8, 8),)).module(check_guards=False)
    assert isinstance(graph, torch.fx.GraphModule)
    assert first_and_last(graph) == ["first", "last"]


def test_batch_normalization_keeps_its_epsilon_and_momentum() -> None:
    torch.manual_seed(4)
    module = _Net()
    module.left_norm = norm = nn.BatchNorm2d(64, eps=0.3, momentum=0.5)
    images = torch.randn(12, 3, 8, 8)
    module(images)
    plain = copy.deepcopy(module)
    prepared = prepare_qat(module, images, "pt2e")
    prepared(images)
    plain(images)
    expected = plain.left_norm.running_var
    assert norm.running_var is not None
    assert expected is not None
    torch.testing.assert_close(norm.running_var, expected, rtol=0.05, atol=0)
    to_evaluation(prepared)
    plain.load_state_dict(module.state_dict())
    plain.eval()
    with torch.no_grad():
        fake, exact = prepared(images), plain(images)
        program = convert_qat(prepared, images[:1]).module
        integers = torch.cat([cast(torch.Tensor, program(images[index : index + 1])) for index in range(len(images))])
    assert float((fake - exact).abs().max()) < 0.1 * float(exact.std())
    assert float((integers - fake).abs().max()) < 0.1 * float(exact.std())


def test_a_saved_state_loads_into_fake_quantization_that_has_no_scales_yet() -> None:
    values = torch.randn(6, 4)
    first, second = _weight(), _weight()
    expected = first(values)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(values), expected)
    assert torch.equal(second(2 * values), first(2 * values))
