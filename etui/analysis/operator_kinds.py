"""Comparable names of operators from ATen, the edge dialect and XNNPACK, and the kind of work of each operator."""

from __future__ import annotations

import re

from etui.insight import Operator

_SUFFIXES = re.compile(
    r"_(default|tensor|tensor_out|scalar|scalar_out|tensor_scalar|tensor_tensor|self|self_out|out|dim|dim_intlist|int"
    r"|start_step|start_out|vec)$"
)

KINDS: tuple[tuple[str, str], ...] = (
    ("convolution", r"conv(?!ert)"),
    ("linear layers", r"(?<!bi)(?<!tri)linear|addmm|fully.?connected|^mm$"),
    ("matrix multiplication", r"bmm|matmul|batch.?matrix"),
    ("attention", r"scaled_dot_product|sdpa"),
    ("layer_norm", r"layer_norm"),
    ("group_norm", r"group_norm"),
    ("batch_norm", r"batch_norm"),
    ("softmax", r"softmax"),
    ("embedding", r"embedding"),
    ("pooling", r"pool"),
    ("quantizing and dequantizing", r"quantize|qparams|^convert$"),
    ("activations", r"gelu|relu|sigmoid|tanh|silu|swish|hardswish|clamp|elu"),
    ("resizing", r"upsample|resize"),
    ("moving data", r"copy|permute|transpose|view|expand|slice|cat$|concat|unsqueeze|reshape|clone|dim_order|split"),
    ("element-wise arithmetic", r"^(add|sub|mul|div|multiply|subtract|divide|pow|exp|sqrt|rsqrt|neg|square)_?\b"),
)
"""Kinds of operators and the patterns of their names; the first match applies."""


LIBRARIES = frozenset({"aten", "prims", "quantized_decomposed", "dim_order_ops", "torchao", "torchvision", "etvk"})
"""Library prefixes of an operator's name, followed by a dot; without a prefix, the dot precedes the overload."""


def bare_name(operator: str) -> str:
    """Return an operator's name without its library and overload: ``native_layer_norm``, ``fully connected``."""
    name = operator.partition("(")[0].strip()
    library, separator, rest = name.rpartition("::")
    parts = (rest if separator else name).split(".")
    if len(parts) > 1 and not all(re.fullmatch(r"\w+", part) for part in parts):
        return name
    if separator or (len(parts) == 2 and parts[0] not in LIBRARIES):
        # ``aten::add.out``, and ``add.out`` as ExecuTorch's own kernels are named in a trace.
        return parts[0]
    if len(parts) > 1:
        return parts[1]
    for library in ("aten_", "quantized_decomposed_", "dim_order_ops_"):
        if name.startswith(library):
            return _SUFFIXES.sub("", name.removeprefix(library))
    return name.lower()


def kind_of(operator: str) -> str:
    """Return the kind of work of an operator; its bare name if the kind is unknown."""
    name = bare_name(operator)
    return next((kind for kind, pattern in KINDS if re.search(pattern, name.lower())), name)


def kind_of_operator(operator: Operator) -> str:
    """Return the kind of work of a profiled operator. XNNPACK runs a convolution with a kernel of one element as a
    matrix multiplication and names it so; its origin operators identify it as a convolution."""
    if operator.delegate is not None and operator.name == operator.delegate:
        return f"work that {operator.delegate} does not time by operator"
    kind = kind_of(operator.name)
    origin_kinds = {kind_of(name) for name in operator.origin.operators}
    return "convolution" if kind == "linear layers" and "convolution" in origin_kinds else kind
