"""The multiply-adds of one operator call."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from torch.utils.flop_counter import flop_registry

_COMPUTES = re.compile(
    r"(conv|(^|_)mm($|_)|bmm|_fft_|linalg(?!_vector_norm)|_cdist|_pdist|cholesky|lu_solve|triangular_solve|trilinear|^mkldnn_|rnn|lstm"
    r"|(^|_)gru|multi_head|transformer_encoder|_weight_int|attention|^addr$|^ormqr)"
)
"""Operators of torch that are matrix products, convolutions, transforms or decompositions. Of these, those without a
formula are not known; all other operators of torch are elementwise, reductions, pooling, interpolation or copies, and
count as zero, as is usual."""

_NOT_COMPUTE = frozenset({"aten", "prim", "prims", "profiler", "quantized_decomposed", "debugprims", "inductor"})
"""The namespaces whose operators count as zero unless they are among the above."""


def multiply_adds(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int | None:
    """Return the multiply-adds of a call of an operator (``torch._ops.OpOverload``); None if the operator computes, but
    how much is not known. Elementwise operators are zero.

    The formulas are those of torch (``torch.utils.flop_counter``), which count a multiply-add as two operations.
    """
    packet = operator.overloadpacket
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result)) // 2
    name = operator.name().partition("::")[2].partition(".")[0].rstrip("_")
    if operator.namespace == "aten" and name in _FORMULAS:
        return _FORMULAS[name](args)
    if operator.namespace not in _NOT_COMPUTE or (operator.namespace == "aten" and _COMPUTES.search(name)):
        return None
    return 0


def has_formula(operator: Any) -> bool:
    """Whether an operator is counted as a whole; others are decomposed first."""
    return operator.overloadpacket in flop_registry


_FORMULAS: dict[str, Callable[[tuple[Any, ...]], int]] = {
    "mv": lambda args: math.prod(args[0].shape),
    "addmv": lambda args: math.prod(args[1].shape),
    "dot": lambda args: args[0].numel(),
    "vdot": lambda args: args[0].numel(),
    "addbmm": lambda args: math.prod(args[1].shape) * args[2].shape[-1],
    "addr": lambda args: args[1].numel() * args[2].numel(),
    # ``nn.Bilinear``: inputs [N, I] and [N, J], weight [O, I, J]; first input times weight, times second input.
    "_trilinear": lambda args: args[0].shape[0] * args[1].shape[0] * (args[1].shape[1] + 1) * args[1].shape[2],
}
