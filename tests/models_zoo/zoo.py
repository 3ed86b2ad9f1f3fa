"""Twenty-two varied small models, in the forms that users write them, each with its factory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

import etui

Output = dict[str, torch.Tensor]
Example = tuple[nn.Module, Any]


class Tagger(nn.Module):
    """A bidirectional LSTM that scores a tag for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.lstm(self.table(ids))[0])
        return scores


def tagger() -> Example:
    return Tagger(), torch.randint(0, 50, (1, 6))


class UNet(nn.Module):
    """Two levels with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        skip = self.down(picture)
        raised = self.up(self.middle(functional.max_pool2d(skip, 2)))
        scores: torch.Tensor = self.head(torch.cat([raised, skip], dim=1))
        return scores


def unet() -> Example:
    return UNet(), torch.randn(1, 3, 16, 16)


class Detector(nn.Module):
    """A backbone with two heads, and outputs in a dict with a nested list."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.boxes, self.classes = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 3, 1)

    def forward(self, picture: torch.Tensor) -> dict[str, Any]:
        features = torch.relu(self.body(picture))
        return {"boxes": self.boxes(features), "classes": [self.classes(features)], "features": features, "level": 1}


def detector() -> Example:
    return Detector(), torch.randn(1, 3, 16, 16)


class Batched(nn.Module):
    """Takes one dict, like a batch of a data loader."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(3, 4)

    def forward(self, batch: dict[str, Any]) -> torch.Tensor:
        joined: torch.Tensor = self.left(batch["left"]) + self.right(batch["nested"]["right"][0])
        return joined


def dict_input() -> Example:
    return Batched(), ({"nested": {"right": [torch.randn(2, 3)]}, "left": torch.randn(2, 6)},)


class Keywords(nn.Module):
    """Takes keyword arguments, of which one is a number and one a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 4)

    def forward(
        self, first: torch.Tensor, *, second: torch.Tensor, scale: float = 1.0, doubled: bool = False
    ) -> torch.Tensor:
        scores: torch.Tensor = self.inner(first + second) * scale
        return scores * 2 if doubled else scores


def keywords() -> etui.Model:
    return etui.Model(Keywords(), etui.Args(torch.randn(2, 6), doubled=True, scale=0.25, second=torch.randn(2, 6)))


def only_keywords() -> Example:
    return Keywords(), {"second": torch.randn(2, 6), "first": torch.randn(2, 6)}


class Masked(nn.Module):
    """Takes an optional mask."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 4)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None, scale: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(tokens) * scale
        return scores if mask is None else scores * mask


def none_input() -> Example:
    return Masked(), (torch.randn(2, 6), None, torch.randn(2, 4))


def tokens() -> Example:
    """Return an embedding and a linear layer, which take only integers."""
    return nn.Sequential(nn.Embedding(30, 8), nn.Linear(8, 4)), torch.randint(0, 30, (2, 5))


class Graphs(nn.Module):
    """Message passing between nodes, in a submodule called ``graph``."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = nn.Linear(6, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        messages = self.graph(nodes)[edges[0]]
        received = torch.zeros_like(nodes).index_add(0, edges[1], messages)
        scores: torch.Tensor = self.head(torch.relu(nodes + received))
        return scores


def graphs() -> Example:
    return Graphs(), (torch.randn(5, 6), torch.tensor([[0, 1, 4, 2, 3, 0], [1, 0, 2, 4, 0, 3]]))


def depthwise() -> Example:
    """Return a depthwise convolution with GroupNorm, PReLU and SiLU."""
    layers = nn.Sequential(
        nn.Conv2d(4, 8, 1), nn.PReLU(8), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GroupNorm(2, 8), nn.SiLU(),
        nn.Conv2d(8, 3, 1),
    )  # fmt: skip
    return layers, torch.randn(1, 4, 12, 12)


class Branching(nn.Module):
    """Chooses a branch by the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.inner(tokens)
        if hidden.sum() > 0:
            return hidden * 2
        return hidden - 1


def branching() -> Example:
    return Branching(), torch.randn(2, 4)


class Spectrum(nn.Module):
    """The magnitudes of a short-time Fourier transform, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(16))
        self.head = nn.Linear(9, 3)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        window = self.get_buffer("window")
        spectrum = torch.stft(wave, 16, hop_length=8, window=window, return_complex=True)
        scores: torch.Tensor = self.head(spectrum.abs().transpose(1, 2))
        return scores


def spectrum() -> Example:
    return Spectrum(), torch.randn(1, 64)


class Volume(nn.Module):
    """A 3D convolution and 3D pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        features = functional.max_pool3d(torch.relu(self.convolution(volume)), 2)
        scores: torch.Tensor = self.head(features.mean((2, 3, 4)))
        return scores


def volume() -> Example:
    return Volume(), torch.randn(1, 1, 8, 8, 8)


class Mixer(nn.Module):
    """A block in the manner of timm: LayerNorm, attention, an MLP with GELU, layer scale and drop path."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, stride=4)
        self.norms = nn.ModuleList([nn.LayerNorm(16, eps=1e-6) for _ in range(2)])
        self.qkv, self.projection = nn.Linear(16, 48), nn.Linear(16, 16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 16))
        self.gamma = nn.Parameter(torch.full((16,), 0.5))
        self.head = nn.Linear(16, 10)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        hidden = self.patch(picture).flatten(2).transpose(1, 2)
        batch, count, width = hidden.shape
        query, key, value = self.qkv(self.norms[0](hidden)).reshape(batch, count, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        hidden = hidden + self.gamma * self.projection(mixed.transpose(1, 2).reshape(batch, count, width))
        hidden = hidden + self.gamma * self.mlp(self.norms[1](hidden))
        scores: torch.Tensor = self.head(hidden.mean(1))
        return scores


def timm_block() -> Example:
    return Mixer(), torch.randn(1, 3, 16, 16)


def bfloat16() -> Example:
    return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).bfloat16(), torch.randn(2, 16).bfloat16()


class Several(nn.Module):
    """Two inputs, three outputs in a dataclass and a named tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Conv2d(3, 4, 3), nn.Embedding(20, 4)

    def forward(self, picture: torch.Tensor, ids: torch.Tensor) -> Matches:
        seen, read = self.image(picture).mean((2, 3)), self.text(ids).mean(1)
        return Matches(seen @ read.T, Embeddings(seen, read))


class Embeddings(NamedTuple):
    """The embeddings of both inputs."""

    image: torch.Tensor
    text: torch.Tensor


@dataclasses.dataclass
class Matches:
    """The similarity of both inputs."""

    similarity: torch.Tensor
    embeddings: Embeddings


def several() -> Example:
    return Several(), (torch.randn(2, 3, 8, 8), torch.randint(0, 20, (2, 5)))


class Running(nn.Module):
    """Adds each input to a running mean, which it keeps in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 4)
        self.register_buffer("mean", torch.ones(4))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.inner(tokens)
        mean = self.get_buffer("mean")
        mean.mul_(0.5).add_(hidden.mean(0) * 0.5)
        result: torch.Tensor = hidden - mean
        return result


def state() -> Example:
    return Running(), torch.randn(2, 6)


class Attention(nn.Module):
    """Attention with an additive mask of minus infinities."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.attention(tokens, tokens, tokens, attn_mask=mask, need_weights=False)[0]
        return mixed


def infinities() -> Example:
    return Attention(), (torch.randn(1, 5, 8), torch.full((5, 5), float("-inf")).triu(1))


def scripted() -> Example:
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    return torch.jit.script(module), torch.randn(2, 8)


def traced() -> Example:
    """Return a module that ``torch.fx`` traced."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    return torch.fx.symbolic_trace(module), torch.randn(1, 3, 8, 8)


def one_value() -> Example:
    """Return a regression with a single number as its output."""
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)), torch.randn(1, 8)


def batch_of_eight() -> Example:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    return layers, torch.randn(8, 3, 12, 12)


class Separable(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Points of two classes, as pairs of a point and its class."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        generator = torch.Generator().manual_seed(index)
        kind = index % 2
        return torch.randn(1, 8, generator=generator) + (2.0 if kind else -2.0), kind


def labelled() -> etui.Model:
    """Return a classifier with a labelled dataset, a named metric and its own tolerances."""
    head = nn.Linear(8, 2)
    with torch.no_grad():
        head.weight.copy_(torch.stack([-torch.ones(8), torch.ones(8)]))
        head.bias.zero_()
    tolerance = {"fp32": {"sqnr_db_min": 50}, "int8": {"sqnr_db_min": 10.0, "top1_min": 0.5}}
    return etui.Model(head, Separable(), labels=True, metric="top1", tolerance=tolerance)


def judged() -> etui.Model:
    """Return a model with generated examples, labels and a metric function of structured outputs."""

    def examples(count: int, seed: int) -> Iterator[tuple[torch.Tensor, dict[str, float]]]:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(count):
            picture = torch.randn(1, 3, 16, 16, generator=generator)
            yield picture, {"mean": float(picture.mean())}

    def spread(outputs: list[dict[str, Any]], labels: list[dict[str, float]]) -> float:
        return sum(
            float(output["boxes"].std()) + abs(label["mean"]) for output, label in zip(outputs, labels, strict=True)
        )

    return etui.Model(Detector(), examples, labels=True, metric=spread)
