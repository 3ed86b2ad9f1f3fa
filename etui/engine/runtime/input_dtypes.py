"""Convert inputs to the dtypes that a program of a precision takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

DTYPES: dict[int, torch.dtype] = {
    0: torch.uint8,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.int64,
    5: torch.float16,
    6: torch.float32,
    7: torch.float64,
    11: torch.bool,
    15: torch.bfloat16,
}
"""The dtypes of ExecuTorch's ScalarType numbers (runtime/core/portable_type/scalar_type.h) that inputs can have."""


def program_inputs(inputs: Sequence[torch.Tensor], precision: str) -> tuple[torch.Tensor, ...]:
    """Convert inputs for a program of ``precision``: floats to half precision for fp16; always contiguous.

    The runtime reads non-contiguous inputs as if they were contiguous, and silently computes wrong outputs.
    """
    if precision == "fp16":
        inputs = [tensor.half() if tensor.is_floating_point() else tensor for tensor in inputs]
    return tuple(tensor.contiguous() for tensor in inputs)
