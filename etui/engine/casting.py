"""Bring inputs to the type a program of some precision takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def program_inputs(inputs: Sequence[torch.Tensor], precision: str) -> tuple[torch.Tensor, ...]:
    """The inputs as a program of ``precision`` takes them: floats become halves for fp16; always contiguous.

    Non-contiguous inputs would be read as if they were contiguous, and give wrong outputs without a word.
    """
    if precision == "fp16":
        inputs = [tensor.half() if tensor.is_floating_point() else tensor for tensor in inputs]
    return tuple(tensor.contiguous() for tensor in inputs)
