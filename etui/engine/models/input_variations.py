"""Vary a user's example input: other values of the same kind that stay within what the example shows to be valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from etui.engine.models.user_inputs import Inputs

Way = Literal["noise", "draw", "keep"]
"""How a tensor varies: noise on top of its values, values drawn anew, or not at all."""

SHARED_VARIANCE = 0.5
"""How much of a float tensor's variance stays that of the example; the rest is drawn anew."""

_HUGE = 1e30
"""Values beyond stand for infinity: masks are often filled with the lowest finite number."""

_SHORTEST_ORDER = 4
"""A shorter row may be in order by chance."""


def ways(example: Inputs, *, integers: bool = True) -> list[Way]:
    """How each tensor of an example varies.

    Floats get noise and integers are drawn within the range of the example. What the example marks as a constant, a
    mask (two values, or booleans) or positions (integers in order) is kept: other values may be invalid there. Where
    all of an example is of that kind, the first tensor that is likeliest to be data varies after all, since inputs
    that are all the same prove nothing. Without ``integers`` those are kept whatever they hold.
    """
    found = [_way(tensor, integers) for tensor in example]
    if any(way != "keep" for way in found):
        return found
    ranks = [_rank(tensor, integers) for tensor in example]
    best = min((rank for rank in ranks if rank is not None), default=None)
    if best is not None:
        first = ranks.index(best)
        found[first] = "noise" if example[first].is_floating_point() and best == 0 else "draw"
    return found


def vary(example: Inputs, found: Sequence[Way], generator: torch.Generator) -> Inputs:
    """One variation of an example; ``found`` is what ``ways`` gave for it."""
    made = []
    for tensor, way in zip(example, found, strict=True):
        if way == "noise":
            made.append(_with_noise(tensor, generator))
        elif way == "draw":
            made.append(_drawn(tensor, generator))
        else:
            made.append(tensor)
    return tuple(made)


def to_text(example: Inputs, found: Sequence[Way]) -> str:
    """What ``vary`` does to an example."""
    said = []
    floats = [tensor for tensor, way in zip(example, found, strict=True) if way == "noise"]
    if any(not _is_constant(tensor[_finite(tensor)]) for tensor in floats):
        said.append(f"{100 * (1 - SHARED_VARIANCE):.0f} % of the variance of floats drawn anew, within their range")
    elif floats:
        said.append(
            "its constant varied by up to a half" if floats[0].any() else "standard normal values for its zeros"
        )
    if "draw" in found:
        said.append("integers and masks drawn within the example's range")
    kept = [str(number) for number, way in enumerate(found, 1) if way == "keep"]
    if kept:
        said.append(f"input {', '.join(kept)} of {len(found)} kept as it is")
    return "; ".join(said)


def _way(tensor: torch.Tensor, integers: bool) -> Way:
    if tensor.is_floating_point():
        return "noise" if _is_varied(tensor[_finite(tensor)]) else "keep"
    if not integers or not _is_integer(tensor) or not _is_varied(tensor) or _in_order(tensor):
        return "keep"
    return "draw"


def _rank(tensor: torch.Tensor, integers: bool) -> int | None:
    """How soon a tensor varies that would rather be kept: the lowest first; None for never."""
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
    """Finite values with a part of their variance drawn anew, within their range; infinities are kept.

    A constant varies by half of itself, so that its sign stays; zeros become standard normal values.
    """
    finite = _finite(tensor)
    values = tensor[finite].to(torch.float64)
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    whole = torch.where(finite, tensor, 0).to(torch.float64)
    if _is_constant(values):
        constant = float(values[0])
        uniform = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        made = constant * (0.5 + uniform) if constant else noise
    else:
        mean, spread = float(values.mean()), float(values.std(correction=0))
        made = mean + (whole - mean) * SHARED_VARIANCE**0.5 + noise * spread * (1 - SHARED_VARIANCE) ** 0.5
        made = _folded(made, float(values.min()), float(values.max()))
    return torch.where(finite, made.to(tensor.dtype), tensor).contiguous()


def _folded(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Values reflected at the bounds they pass; clamped, those of small tensors would mostly be the bounds."""
    way = (values - low).remainder(2 * (high - low))
    return low + torch.minimum(way, 2 * (high - low) - way)


def _drawn(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if tensor.is_floating_point():  # of two values
        finite = _finite(tensor)
        low, high = _range(tensor[finite])
        coins = torch.randint(0, 2, tensor.shape, generator=generator, dtype=torch.bool)
        chosen = torch.where(coins, torch.tensor(high, dtype=tensor.dtype), torch.tensor(low, dtype=tensor.dtype))
        return torch.where(finite, chosen, tensor).contiguous()
    if tensor.dtype == torch.bool:
        return torch.randint(0, 2, tensor.shape, generator=generator, dtype=torch.bool)
    low, high = (int(bound) for bound in _range(tensor))
    if low == high:
        # A lone constant: as an index, everything from 0 to it is valid, and beside 0 most likely 1.
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
    """Whether there are more than two values: two are a mask."""
    if not values.numel():
        return False
    low, high = _range(values)
    return bool(((values != low) & (values != high)).any()) or (
        # Token ids of two kinds are no mask, which is of 0 and 1.
        _is_integer(values) and low != high and not (low == 0 and high == 1)
    )


def _in_order(tensor: torch.Tensor) -> bool:
    """Whether integers go up or down along the last dimension, as positions and sorted indices do."""
    rows = tensor.to(torch.int64)
    rows = rows.reshape(1, -1) if rows.dim() == 0 or rows.shape[-1] == 1 else rows.reshape(-1, rows.shape[-1])
    steps = rows.diff(dim=-1)
    if not steps.numel():
        return False
    if rows.shape[-1] < _SHORTEST_ORDER:
        return bool((steps == 1).all())
    return bool((steps >= 0).all()) or bool((steps <= 0).all())
