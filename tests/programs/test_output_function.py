from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from etui.programs.output_function import output_function

SAME = nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(1))


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ((), "linear"),
        ((nn.Sigmoid(),), "sigmoid"),
        ((nn.Softmax(1),), "softmax"),
        ((nn.Sigmoid(), SAME), "sigmoid"),
        ((nn.Sigmoid(), nn.Linear(6, 6)), "linear"),
        ((nn.LogSoftmax(1),), "other"),
    ],
)
def test_the_last_function_is_found_through_reshaping(
    last: tuple[nn.Module, ...], expected: str, made: Path, tmp_path: Path
) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(nn.Sequential(nn.Linear(4, 6), *last).eval(), (torch.zeros(2, 4),))
    for partitioner in ([], [XnnpackPartitioner()]):
        lowered = to_edge_transform_and_lower(exported, partitioner=partitioner).to_executorch()
        lowered.save(str(tmp_path / "net.pte"))
        assert output_function(tmp_path / "net.pte") == expected, partitioner


def test_what_another_delegate_computes_is_not_visible(made: Path) -> None:
    assert output_function(made / "vulkan.pte") is None
    assert output_function(made / "plain.pte") == output_function(made / "xnnpack.pte") == "other"
