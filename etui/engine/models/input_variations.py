"""Generate variations of a user's example input: values of the same kind within the range shown by the example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from etui.engine.models.call_structure import Inputs

Way = Literal["noise", "draw", "keep"]
"""How a tensor varies: noise is added, values are drawn again, or it is kept."""

SHARED_VARIANCE = 0.5
"""The share of a float tensor's variance that comes from the example; the rest is noise."""

_HUGE = 1e30
"""Larger values count as infinity: masks are often filled with the lowest finite number."""

_SHORTEST_ORDER = 4
"""Shorter rows may be sorted by chance."""


def ways(example: Inputs, *, integers: bool = True) -> list[Way]:
    """Return how each tensor of an example varies.

    Floats get noise, and integers are drawn within the range of the example. Constants, masks (two values, or booleans)
    and positions (sorted integers) are kept, since other values may be invalid. If all tensors are of these kinds, the
    one most likely to be data varies nevertheless, since equal inputs prove nothing. Without ``integers`` all integers
    are kept.
    """
    result = [_way(tensor, integers) for tensor in example]
    if any(way != "keep" for way in result):
        return result
    ranks = [_rank(tensor, integers) for tensor in example]
    best = min((rank for rank in ranks if rank is not None), default=None)
    if best is not None:
        first = ranks.index(best)
        result[first] = "noise" if example[first].is_floating_point() and best == 0 else "draw"
    return result


def vary(example: Inputs, chosen: Sequence[Way], generator: torch.Generator) -> Inputs:
    """Return one variation of an example; ``chosen`` is the result of ``ways`` for it."""
    tensors = []
    for tensor, way in zip(example, chosen, strict=True):
        if way == "noise":
            tensors.append(_with_noise(tensor, generator))
        elif way == "draw":
            tensors.append(_drawn(tensor, generator))
        else:
            tensors.append(tensor)
    return tuple(tensors)


def to_text(example: Inputs, chosen: Sequence[Way]) -> str:
    """Describe what ``vary`` does to an example."""
    parts = []
    floats = [tensor for tensor, way in zip(example, chosen, strict=True) if way == "noise"]
    if any(not _is_constant(tensor[_finite(tensor)]) for tensor in floats):
        parts.append(f"{100 * (1 - SHARED_VARIANCE):.0f} % of the variance of floats is noise, within their range")
    elif floats:
        parts.append("its constant scaled by 0.5 to 1.5" if floats[0].any() else "standard normal values for its zeros")
    if "draw" in chosen:
        parts.append("integers and masks drawn within the example's range")
    kept = [str(number) for number, way in enumerate(chosen, 1) if way == "keep"]
    if kept:
        parts.append(f"input {', '.join(kept)} of {len(chosen)} unchanged")
    return "; ".join(parts)


def _way(tensor: torch.Tensor, integers: bool) -> Way:
    if tensor.is_floating_point():
        return "noise" if _is_varied(tensor[_finite(tensor)]) else "keep"
    if not integers or not _is_integer(tensor) or not _is_varied(tensor) or _in_order(tensor):
        return "keep"
    return "draw"


def _rank(tensor: torch.Tensor, integers: bool) -> int | None:
    """Return the rank in which a tensor varies that should be kept: the lowest first; None for never."""
    if tensor.is_floating_point():
        values = tensor[_finite(tensor)]
        return None if not values.numel() else 0 if _is_constant(values) else 1
    if not integers or not tensor.numel() or tensor.is_complex():
        return None
    if tensor.dtype == torch.bool:
        return 3
    if _is_constant(tensor):
        return 2
    return 0 if _is_varied(tensor) else 1


def _with_noise(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Replace a part of the variance of finite values by noise, within their range; infinities are kept.

    A constant is scaled by 0.5 to 1.5, which keeps its sign; zeros become standard normal values.
    """
    finite = _finite(tensor)
    values = tensor[finite].to(torch.float64)
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    finite_values = torch.where(finite, tensor, 0).to(torch.float64)
    if _is_constant(values):
        constant = float(values[0])
        uniform = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        varied = constant * (0.5 + uniform) if constant else noise
    else:
        mean, spread = float(values.mean()), float(values.std(correction=0))
        varied = mean + (finite_values - mean) * SHARED_VARIANCE**0.5 + noise * spread * (1 - SHARED_VARIANCE) ** 0.5
        varied = _reflected(varied, float(values.min()), float(values.max()))
    return torch.where(finite, varied.to(tensor.dtype), tensor).contiguous()


def _reflected(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Reflect values at the bounds; with clamping, many values of small tensors would equal the bounds."""
    offset = (values - low).remainder(2 * (high - low))
    return low + torch.minimum(offset, 2 * (high - low) - offset)


def _drawn(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if tensor.is_floating_point():  # two distinct values
        finite = _finite(tensor)
        low, high = _range(tensor[finite])
        coins = torch.randint(0, 2, tensor.shape, generator=generator, dtype=torch.bool)
        chosen = torch.where(coins, torch.tensor(high, dtype=tensor.dtype), torch.tensor(low, dtype=tensor.dtype))
        return torch.where(finite, chosen, tensor).contiguous()
    if tensor.dtype == torch.bool:
        return torch.randint(0, 2, tensor.shape, generator=generator, dtype=torch.bool)
    low, high = (int(bound) for bound in _range(tensor))
    if low == high:
        # A constant: as an index, everything from 0 to it is valid; for 0 itself most likely also 1.
        low, high = (min(low, 0), max(high, 1))
    above = min(high + 1, torch.iinfo(torch.int64).max)
    return torch.randint(low, above, tensor.shape, generator=generator).to(tensor.dtype)


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    return torch.isfinite(tensor) & (tensor.abs().to(torch.float64) < _HUGE)


def _is_integer(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _range(values: torch.Tensor) -> tuple[float | int, float | int]:
    wide = values.to(torch.float64) if values.is_floating_point() else values.to(torch.int64)
    return wide.min().item(), wide.max().item()


def _is_constant(values: torch.Tensor) -> bool:
    return values.numel() == 0 or bool((values == values.flatten()[0]).all())


def _is_varied(values: torch.Tensor) -> bool:
    """Return whether there are more than two distinct values: two are a mask."""
    if not values.numel():
        return False
    low, high = _range(values)
    return bool(((values != low) & (values != high)).any()) or (
        # Two distinct integers are token ids rather than a mask, unless they are 0 and 1.
        _is_integer(values) and low != high and not (low == 0 and high == 1)
    )


def _in_order(tensor: torch.Tensor) -> bool:
    """Return whether integers are sorted along the last dimension, like positions and sorted indices."""
    rows = tensor.to(torch.int64)
    rows = rows.reshape(1, -1) if rows.dim() == 0 or rows.shape[-1] == 1 else rows.reshape(-1, rows.shape[-1])
    steps = rows.diff(dim=-1)
    if not steps.numel():
        return False
    if rows.shape[-1] < _SHORTEST_ORDER:
        return bool((steps == 1).all())
    return bool((steps >= 0).all()) or bool((steps <= 0).all())
