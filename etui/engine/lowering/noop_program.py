"""The no-op program that the fixed cost of a call is measured with: it adds 1 to eight numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import nn

NOOP = "noop.pte"
"""The name of the file in the folder of a prepared program."""

NOOP_NUMBERS = 8
_FILE = Path(__file__).with_name(NOOP)


class _AddOne(nn.Module):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers + 1


def write_noop(path: Path) -> None:
    """Write the no-op program. It is the file next to this module, because each preparation needs it, and exporting it
    would take a few tenths of a second; a test compares it with ``export_noop``."""
    shutil.copyfile(_FILE, path)


def export_noop() -> bytes:
    """Export and lower the no-op program, undelegated."""
    from executorch.exir import to_edge

    exported = torch.export.export(_AddOne().eval(), (torch.zeros(NOOP_NUMBERS),), strict=False)
    program: bytes = to_edge(exported).to_executorch().buffer
    return program
