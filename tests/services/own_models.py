"""Factories with the mistakes that are found before queueing."""

from __future__ import annotations

import torch
from torch import nn

from etui import Model

Given = tuple[nn.Module, tuple[torch.Tensor, ...]]


class Net(nn.Module):
    """Two layers; the second takes as many values as the first gives if ``inner`` is 8."""

    def __init__(self, inner: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 8), nn.Linear(inner, 8))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(tokens)
        return result


def good() -> Given:
    return Net(), (torch.randn(2, 8),)


def raises() -> Given:
    raise ZeroDivisionError("the user's own mistake")


def misfit() -> Given:
    return Net(9), (torch.randn(2, 8),)


def misjudged() -> Model:
    return Model(Net(), (torch.randn(2, 8),), tolerance={"sqnr": 20.0})


def uses_torchvision() -> Given:
    import torchvision

    return torchvision.ops.Conv2dNormActivation(3, 4), (torch.randn(1, 3, 8, 8),)


def crashes() -> Given:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)
    return good()


def endless() -> Given:
    import signal

    while True:
        signal.pause()
