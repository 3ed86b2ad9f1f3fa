"""Delegated and undelegated parts of a program, in nodes and in time, with advice for known causes.

Advice is given only if the run's recorded facts show that the cause applies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from etui import text
from etui.analysis.operator_kinds import bare_name
from etui.analysis.profiles import by_kind
from etui.insight import UndelegatedNode
from etui.results import Delegation, RunDocument

NEVER_BY_XNNPACK = {
    "native_layer_norm": "layer_norm",
    "layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
    "group_norm": "group_norm",
    "embedding": "embedding",
    "expand_copy": "expand",
    "expand": "expand",
    "where": "where",
}
"""Operators that no configuration of ExecuTorch's XNNPACK partitioner supports, in any precision."""

_LINEAR = {"linear", "addmm", "mm"}
_QUANTIZING = {"choose_qparams", "quantize_per_tensor", "dequantize_per_tensor"}


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: what the run shows, what to do about it (empty: nothing), and the affected operators as named in the
    run. ``cause`` is its stable identifier."""

    cause: str
    seen: str
    what_to_do: str = ""
    operators: list[str] = []
    nodes: int = 0


def node_share(delegation: Delegation) -> float | None:
    """Return the share (0 to 1) of the graph's operators that are delegated; None for an empty graph."""
    total = delegation.delegated_nodes + delegation.undelegated_nodes
    return delegation.delegated_nodes / total if total else None


def time_share(document: RunDocument) -> float | None:
    """Return the share (0 to 1) of the operators' time spent in the delegate; None without a profile or a delegate."""
    profile = document.profile
    if profile is None or document.delegate == "portable":
        return None
    total_ms = sum(operator.median_ms for operator in profile.program.operators)
    delegated_ms = sum(operator.median_ms for operator in profile.program.operators if operator.delegate is not None)
    return delegated_ms / total_ms if total_ms > 0 else None


def advice(document: RunDocument) -> list[Advice]:
    """Return the known causes that the run's facts show, the most important first."""
    results = [cause(document) for cause in _CAUSES]
    return [item for item in results if item is not None]


# The causes


def _nothing_delegated(document: RunDocument) -> Advice | None:
    delegation = document.delegation
    if delegation is None or document.delegate == "portable" or delegation.delegated_nodes:
        return None
    return Advice(
        cause="took nothing",
        seen=f"{text.plain(document.delegate)} accepted none of the {delegation.undelegated_nodes:,} nodes.",
        what_to_do="this run measures ExecuTorch's own kernels: use another delegate or precision",
        nodes=delegation.undelegated_nodes,
    )


def _dynamic_per_tensor(document: RunDocument) -> Advice | None:
    if document.delegate != "xnnpack" or not _counts(document, {"choose_qparams"}):
        return None
    linear = _counts(document, _LINEAR)
    if not linear:
        return None
    return Advice(
        cause="dynamic per-tensor linear",
        seen=f"{_nodes(linear)} of linear layers with dynamic per-tensor quantization are not delegated.",
        what_to_do="use per-channel quantization, which XNNPACK supports (precision int8-dynamic does so for linear"
        " layers); an undelegated layer can be a hundred times slower",
        operators=[*linear, *_counts(document, _QUANTIZING)],
        nodes=sum(linear.values()),
    )


def _not_quantized(document: RunDocument) -> Advice | None:
    """Advise on addmm that was not quantized: transformers' Conv1D calls addmm, while a linear layer calls linear."""
    if document.delegate not in {"xnnpack", "portable"} or not document.precision.startswith(("int8", "8da4w")):
        return None
    stage = next((stage for stage in document.graph_stages if stage.name == "quantized"), None)
    count = 0 if stage is None else sum(n for name, n in stage.operators.items() if bare_name(name) == "addmm")
    if not count:
        return None
    return Advice(
        cause="addmm not quantized",
        seen=f"{count:,} {'addmm is' if count == 1 else 'addmm are'} in floating point: only linear layers are"
        " quantized, and these are not.",
        what_to_do="if they are transformers' Conv1D layers (GPT-2's), replace them with torch.nn.Linear",
        operators=["aten.addmm.default"],
        nodes=count,
    )


def _fused_attention(document: RunDocument) -> Advice | None:
    nodes = _undelegated(document, lambda node: any("scaled_dot_product" in name for name in node.origin.operators))
    if not nodes:
        return None
    return Advice(
        cause="fused attention",
        seen=f"{text.counted(len(nodes), 'undelegated node')} come from scaled_dot_product_attention, decomposed in"
        " lowering.",
        what_to_do='export with attn_implementation="eager" (transformers), or write attention as matmul and softmax:'
        " fewer operators remain undelegated",
        operators=_names(nodes),
        nodes=len(nodes),
    )


def _tanh_gelu_pow(document: RunDocument) -> Advice | None:
    if document.delegate != "xnnpack":
        return None

    def of_gelu(node: UndelegatedNode) -> bool:
        origin = (node.origin.module_type, *node.origin.stack)
        return bare_name(node.operator) == "pow" and any("gelu" in part.lower() or "tanh(" in part for part in origin)

    nodes = _undelegated(document, of_gelu)
    if not nodes:
        return None
    return Advice(
        cause="pow of a written-out GELU",
        seen=f"{text.counted(len(nodes), 'pow')} of a GELU written with tanh"
        f" {'are' if len(nodes) > 1 else 'is'} not delegated: XNNPACK supports only the second power.",
        what_to_do='use torch.nn.GELU(approximate="tanh") (in transformers the activation "gelu_pytorch_tanh"): it'
        " computes the same with one operator, which is delegated",
        operators=_names(nodes),
        nodes=len(nodes),
    )


def _never_delegated(document: RunDocument) -> Advice | None:
    if document.delegate != "xnnpack":
        return None
    counts = _counts(document, set(NEVER_BY_XNNPACK))
    if not counts:
        return None
    by_name: Counter[str] = Counter()
    for name, count in counts.items():
        by_name[NEVER_BY_XNNPACK[bare_name(name)]] += count
    listed = ", ".join(f"{count:,} {name}" for name, count in by_name.most_common())
    splitting = sum(
        node.breaks for node in _undelegated(document, lambda node: bare_name(node.operator) in NEVER_BY_XNNPACK)
    )
    split_note = f" {splitting:,} of them are between delegated nodes and split the graph." if splitting else ""
    nodes = text.counted(by_name.total(), "node")
    return Advice(
        cause="never delegated",
        seen=f"ExecuTorch's XNNPACK backend supports none of these {nodes}: {listed}.{split_note}",
        what_to_do="no setting changes this; they run on ExecuTorch's own kernels",
        operators=list(counts),
        nodes=by_name.total(),
    )


def _portable_convolution(document: RunDocument) -> Advice | None:
    if document.delegate != "portable":
        return None
    counts = {
        name: count
        for name, count in (document.delegation.undelegated_operators if document.delegation else {}).items()
        if bare_name(name) == "convolution"
    }
    if not counts:
        return None
    time_note = ""
    if document.profile is not None:
        share = dict(by_kind(document.profile.program)).get("convolution", 0.0)
        time_note = f", and they take {text.percent(share)} of the time"
    return Advice(
        cause="convolution without a delegate",
        seen=f"{text.counted(sum(counts.values()), 'convolution')} run on ExecuTorch's reference kernel, which is not"
        f" optimized{time_note}.",
        what_to_do="use a delegate, such as xnnpack",
        operators=list(counts),
        nodes=sum(counts.values()),
    )


def _bf16_arithmetic(document: RunDocument) -> Advice | None:
    if document.delegate != "openvino" or document.arithmetic != "bf16":
        return None
    return Advice(
        cause="bf16",
        seen=f"OpenVINO computes this {text.plain(document.precision)} program in bfloat16 on this CPU: 8 significant"
        " bits, which affects its accuracy and its speed.",
        what_to_do="compare its accuracy with that of xnnpack, which computes in the requested precision",
    )


def _no_fp16_arithmetic(document: RunDocument) -> Advice | None:
    flags = set(document.environment.cpu_flags) if document.environment else set()
    x86 = any(flag.startswith(("avx", "sse")) for flag in flags)
    if document.precision != "fp16" or document.delegate == "openvino" or not x86 or "avx512_fp16" in flags:
        return None
    return Advice(
        cause="no fp16 arithmetic",
        seen="This CPU has no 16-bit floating-point arithmetic (no avx512_fp16 among its flags).",
        what_to_do="expect a smaller file but no speed-up here; measure FP16 on the target CPU",
    )


_CAUSES: tuple[Callable[[RunDocument], Advice | None], ...] = (
    _nothing_delegated,
    _dynamic_per_tensor,
    _not_quantized,
    _fused_attention,
    _tanh_gelu_pow,
    _portable_convolution,
    _bf16_arithmetic,
    _no_fp16_arithmetic,
    _never_delegated,
)


def _counts(document: RunDocument, bare_names: set[str]) -> dict[str, int]:
    """Return the counts of the undelegated operators whose bare names are in ``bare_names``."""
    operators = document.delegation.undelegated_operators if document.delegation else {}
    return {name: count for name, count in operators.items() if bare_name(name) in bare_names}


def _undelegated(document: RunDocument, wanted: Callable[[UndelegatedNode], bool]) -> list[UndelegatedNode]:
    return [node for node in (document.delegation.outside if document.delegation else []) if wanted(node)]


def _names(nodes: Sequence[UndelegatedNode]) -> list[str]:
    return list(dict.fromkeys(node.operator for node in nodes))


def _nodes(counts: dict[str, int]) -> str:
    return text.counted(sum(counts.values()), "node")
