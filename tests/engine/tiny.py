"""Models small enough to export in a test, in the form a user would pass to etui."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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


class Spoiled(nn.Module):
    """Three convolutions, of which per-tensor quantization damages the middle one: its weights for a channel that is
    always zero are five hundred times as large as the others, which are all rounded to zero."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.tail = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 10)
        with torch.no_grad():
            for tensor in self.stem.parameters():
                tensor[0] = 0.0
            self.middle.weight[:, 0] = 40.0

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.middle(torch.relu(self.stem(picture))))
        scores: torch.Tensor = self.head(torch.relu(self.tail(features)).mean((2, 3)))
        return scores


class Projections(nn.Module):
    """Values of one shape that leave a delegated subgraph together, like those of an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.norm = nn.LayerNorm(32)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query, key, value = self.query(tokens), self.key(tokens), self.value(tokens)
        joined: torch.Tensor = self.norm(query) + self.norm(key * 2) + value
        return joined


class Repeated(nn.Module):
    """Two linear layers of which the first is called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        first, second = self.blocks
        scores: torch.Tensor = second(first(first(first(tokens))))
        return scores


def repeated() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Repeated(), (torch.randn(2, 8),)


class Blocks(nn.Module):
    """Attention and two linear layers on tokens, four times: lowering decomposes attention into more operators than it
    has numbers for, and inserts views around linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 16)]) for _ in range(4)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for block in self.layers:
            assert isinstance(block, nn.ModuleList)
            first, second = block
            heads = tokens.view(1, 5, 2, 8).transpose(1, 2)
            mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
            tokens = torch.tanh(second(torch.sigmoid(first(tokens + mixed.transpose(1, 2).reshape(1, 5, 16)))))
        return tokens


def blocks() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Blocks(), (torch.randn(1, 5, 16),)


class Nowhere(nn.Module):
    """Returns only NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.log(-self.inner(tokens).abs() - 1)


def nowhere() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Nowhere(), (torch.randn(2, 8),)


def spoiled() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Spoiled(), (torch.randn(1, 3, 16, 16),)


def projections() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Projections(), (torch.randn(8, 32),)


def convolutional() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Convolutional(), (torch.randn(1, 3, 16, 16),)


def indexed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Indexed(), (torch.arange(8).unsqueeze(0),)


def other_indexed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    module = Indexed()
    with torch.no_grad():
        module.inner.weight.mul_(-3.0)
    return module, (torch.arange(8).unsqueeze(0),)


def several() -> tuple[nn.Module, list[tuple[torch.Tensor, ...]]]:
    return Projections(), [(torch.randn(8, 32),) for _ in range(5)]


def made() -> tuple[nn.Module, Callable[[int], Iterator[torch.Tensor]]]:
    return Projections(), lambda count: (torch.randn(8, 32) for _ in range(count))


def not_a_module() -> int:
    return 3


def no_inputs() -> tuple[nn.Module, tuple[()]]:
    return Convolutional(), ()


def raises() -> None:
    raise ZeroDivisionError("the user's own mistake")


class Untouched(nn.Module):
    """Returns its input without any operator."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return picture


def untouched() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Untouched(), (torch.randn(1, 3, 4, 4),)


class Colours(nn.Module):
    """Scores the classes red, green and blue by the mean of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1))
            self.head.bias = nn.Parameter(torch.zeros(3))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(picture).mean((2, 3))
        return scores


def colours(batch: int = 1) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Colours(), (torch.randn(batch, 3, 8, 8),)
