"""Models that torch.export or ExecuTorch reject, each for one known cause, in the form a user would pass to etui."""

from __future__ import annotations

import torch
from torch import nn

Given = tuple[nn.Module, tuple[torch.Tensor, ...]]


class Branching(nn.Module):
    """Chooses its branch by a value."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.inner(tokens)
        if hidden.sum() > 0:
            return hidden * 2
        return hidden


def branching() -> Given:
    return Branching(), (torch.randn(2, 8),)


class Counting(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        count = int(tokens.abs().max().item())
        return tokens.repeat(count, 1)


def counting() -> Given:
    return Counting(), (torch.full((2, 8), 3.0),)


class Looping(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for index in range(int(tokens[0, 0])):
            tokens = tokens + index
        return tokens


def looping() -> Given:
    return Looping(), (torch.full((2, 8), 3.0),)


class Spectral(nn.Module):
    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(sound, 16, return_complex=True, window=torch.hann_window(16))
        return spectrum.abs()


def spectral() -> Given:
    return Spectral(), (torch.randn(1, 64),)


class Volume(nn.Module):
    """A 3D convolution and a 3D pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 4, 3, padding=1)
        self.pool = nn.MaxPool3d(2)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.pool(torch.relu(self.convolution(volume)))
        return pooled.mean((2, 3, 4))


def volume() -> Given:
    return Volume(), (torch.randn(1, 1, 8, 8, 8),)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8, bidirectional=True, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.lstm(tokens)[0]
        return result


def tagger() -> Given:
    return Tagger(), (torch.randn(1, 8, 8),)


class Numpy(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(tokens.numpy() + 1)


def numpy_() -> Given:
    return Numpy(), (torch.randn(2, 8),)


class Custom(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mine.twice(tokens)
        return result


_libraries: list[torch.library.Library] = []


def custom() -> Given:
    if not hasattr(torch.ops.mine, "twice"):
        library = torch.library.Library("mine", "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define("twice(Tensor x) -> Tensor")  # type: ignore[no-untyped-call]
        for key in ("CompositeExplicitAutograd", "Meta"):
            library.impl("twice", lambda x: x * 2, key)  # type: ignore[no-untyped-call]
        _libraries.append(library)  # its operators exist as long as it does
    return Custom(), (torch.randn(2, 8),)


class Scripted(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + 1


def scripted() -> Given:
    return torch.jit.script(Scripted()), (torch.randn(2, 8),)


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 8))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        self.weight.data.add_(tokens)
        return self.weight * 2


def weighted() -> Given:
    return Weighted(), (torch.randn(2, 8),)


class Sparse(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.sparse.mm(tokens.to_sparse(), tokens.t())
        return result


def sparse() -> Given:
    return Sparse(), (torch.randn(2, 8),)


class Hist(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.bincount(tokens.flatten())


def bincount() -> Given:
    return Hist(), (torch.randint(0, 8, (16,)),)


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool3d(2)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.pool(volume)
        return result


def avgpool3d() -> Given:
    return Pooled(), (torch.randn(1, 1, 8, 8, 8),)


class Complex(nn.Module):
    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        z = torch.polar(sound.abs(), sound)
        return (z * z).abs()


def complex_() -> Given:
    return Complex(), (torch.randn(2, 8),)


class ComplexIn(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * 2


def complexin() -> Given:
    return ComplexIn(), (torch.randn(2, 8, dtype=torch.complex64),)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.inner(image)
        return features * scale


def scaled() -> Given:
    return Scaled(), (torch.randn(1, 3, 8, 8), torch.tensor(0.5))
