"""Models small enough to export in a test, as a user would hand them to etui."""

from __future__ import annotations

import torch
from torch import nn


class Convolutional(nn.Module):
    """A convolution with BatchNorm and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.norm(self.convolution(picture)))
        scores: torch.Tensor = self.head(features.mean((2, 3)))
        return scores


class Indexed(nn.Module):
    """An embedding whose index is computed by an integer addition, and a linear layer tied to it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(40, 32)
        self.inner = nn.Linear(32, 32)
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.table.weight
        self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.inner(self.table(ids + 1)) * self.scale
        return self.head(hidden), hidden


def convolutional() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Convolutional(), (torch.randn(1, 3, 16, 16),)


def indexed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Indexed(), (torch.arange(8).unsqueeze(0),)


def not_a_module() -> int:
    return 3


def no_inputs() -> tuple[nn.Module, tuple[()]]:
    return Convolutional(), ()


def raises() -> None:
    raise ZeroDivisionError("the user's own mistake")
