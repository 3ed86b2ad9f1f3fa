"""The no-op program that the fixed cost of a call is measured with: it adds 1 to eight numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

NOOP = "noop.pte"
"""The name of the file in the folder of a prepared program."""

NOOP_NUMBERS = 8


class _AddOne(nn.Module):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers + 1


def write_noop(path: Path) -> None:
    """Export and lower the no-op program, undelegated, and write it.

    Takes a few tenths of a second once the ahead-of-time code is imported.
    """
    from executorch.exir import to_edge

    exported = torch.export.export(_AddOne().eval(), (torch.zeros(NOOP_NUMBERS),), strict=False)
    path.write_bytes(to_edge(exported).to_executorch().buffer)
