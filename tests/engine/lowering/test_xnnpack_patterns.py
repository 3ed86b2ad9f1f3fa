"""XNNPACK's patterns are exported only for graphs that may contain them, and programs are the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from etui.engine.delegates import delegate_support
from etui.engine.delegates.xnnpack_patterns import ATTENTION, UPSAMPLING, has_operator
from tests.engine import tiny

pytestmark = pytest.mark.slow


class Attention(nn.Module):
    """Attention with a mask, as in XNNPACK's pattern."""

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(tokens, tokens, tokens, attn_mask=mask)


class Upsampling(nn.Module):
    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(torch.relu(picture), scale_factor=2, mode="bilinear", align_corners=False)


def lowered(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> bytes:
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(
        torch.export.export(module.eval(), inputs),
        partitioner=delegate_support("xnnpack").partitioners("fp32"),
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )
    program: bytes = edge.to_executorch().buffer
    return program


def searches() -> list[int]:
    """Return how often each kind of pattern was requested."""
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa

    return [sum(each.cache_info()[:2]) for each in (sdpa.get_graphs, bilinear_2d._get_bilinear_2d_graphs)]


def test_patterns_have_the_operators_that_are_looked_for() -> None:
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa

    assert sdpa.get_graphs() and all(has_operator(pattern, ATTENTION) for pattern in sdpa.get_graphs())
    assert bilinear_2d.get_graphs() and all(has_operator(pattern, UPSAMPLING) for pattern in bilinear_2d.get_graphs())


@pytest.mark.parametrize(
    ("module", "inputs", "searched"),
    [
        (tiny.Convolutional(), (torch.randn(1, 3, 16, 16),), [0, 0]),
        (Attention(), (torch.randn(1, 2, 4, 8), torch.zeros(4, 4)), [1, 0]),
        (Upsampling(), (torch.randn(1, 3, 4, 4),), [0, 1]),
    ],
    ids=["convolutional", "attention", "upsampling"],
)
def test_programs_are_the_same_and_only_possible_patterns_are_searched(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], searched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from executorch.backends.xnnpack._passes.convert_to_sdpa import ConvertToSDPAPass
    from executorch.backends.xnnpack._passes.convert_to_upsample_bilinear2d import ConvertToUpsampleBilinear2d

    before = searches()
    program = lowered(module, inputs)
    assert [now > then for now, then in zip(searches(), before, strict=True)] == [bool(each) for each in searched]
    with monkeypatch.context() as original:
        for kind in (ConvertToSDPAPass, ConvertToUpsampleBilinear2d):
            original.setattr(kind, "call", kind.call.__wrapped__)
            original.setattr("etui.engine.delegates.xnnpack.search_only_if_needed", lambda: None)
        before = searches()
        assert lowered(module, inputs) == program
        assert all(now > then for now, then in zip(searches(), before, strict=True))
