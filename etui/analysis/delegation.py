"""What a delegate took of a program and what it left: in nodes and in time, and for known causes what to do about it.

Advice is given only where the run's own facts show the case: each cause looks for its marks in what was recorded.
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
    """One cause: what the run shows, what to do about it (empty: nothing), and the operators it is about, as they are
    named in the run. ``cause`` names it for good."""

    cause: str
    seen: str
    what_to_do: str = ""
    operators: list[str] = []
    nodes: int = 0


def node_share(delegation: Delegation) -> float | None:
    """The part (0 to 1) of the graph's operators that are inside the delegate; None for an empty graph."""
    total = delegation.delegated_nodes + delegation.undelegated_nodes
    return delegation.delegated_nodes / total if total else None


def time_share(document: RunDocument) -> float | None:
    """The part (0 to 1) of the operators' time that is spent inside the delegate, where the run was profiled."""
    profile = document.profile
    if profile is None or document.delegate == "portable":
        return None
    total = sum(one.median_ms for one in profile.program.operators)
    inside = sum(one.median_ms for one in profile.program.operators if one.delegate is not None)
    return inside / total if total > 0 else None


def advice(document: RunDocument) -> list[Advice]:
    """What the run's facts show of known causes, the weightiest first."""
    found = [cause(document) for cause in _CAUSES]
    return [one for one in found if one is not None]


# The causes


def _took_nothing(document: RunDocument) -> Advice | None:
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
        what_to_do="use per-channel quantization, which XNNPACK supports (--precision int8-dynamic does so for linear"
        " layers); an undelegated layer can be a hundred times slower",
        operators=[*linear, *_counts(document, _QUANTIZING)],
        nodes=sum(linear.values()),
    )


def _not_quantized(document: RunDocument) -> Advice | None:
    """addmm that no quantizer touched: it is what transformers' Conv1D calls, where a linear layer calls linear."""
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
    nodes = _outside(document, lambda node: any("scaled_dot_product" in name for name in node.origin.operators))
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


def _pow(document: RunDocument) -> Advice | None:
    if document.delegate != "xnnpack":
        return None

    def of_gelu(node: UndelegatedNode) -> bool:
        said = (node.origin.module_type, *node.origin.stack)
        return bare_name(node.operator) == "pow" and any("gelu" in part.lower() or "tanh(" in part for part in said)

    nodes = _outside(document, of_gelu)
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


def _never(document: RunDocument) -> Advice | None:
    if document.delegate != "xnnpack":
        return None
    counts = _counts(document, set(NEVER_BY_XNNPACK))
    if not counts:
        return None
    by_name: Counter[str] = Counter()
    for name, count in counts.items():
        by_name[NEVER_BY_XNNPACK[bare_name(name)]] += count
    listed = ", ".join(f"{count:,} {name}" for name, count in by_name.most_common())
    breaking = sum(
        node.breaks for node in _outside(document, lambda node: bare_name(node.operator) in NEVER_BY_XNNPACK)
    )
    parting = f" {breaking:,} of them are between delegated nodes and split the graph." if breaking else ""
    nodes = text.counted(by_name.total(), "node")
    return Advice(
        cause="never delegated",
        seen=f"ExecuTorch's XNNPACK backend supports none of these {nodes}: {listed}.{parting}",
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
    spent = ""
    if document.profile is not None:
        share = dict(by_kind(document.profile.program)).get("convolution", 0.0)
        spent = f", and they take {text.percent(share)} of the time"
    return Advice(
        cause="convolution without a delegate",
        seen=f"{text.counted(sum(counts.values()), 'convolution')} run on ExecuTorch's reference kernel, which is not"
        f" optimized{spent}.",
        what_to_do="use a delegate: --delegate xnnpack",
        operators=list(counts),
        nodes=sum(counts.values()),
    )


def _bf16(document: RunDocument) -> Advice | None:
    if document.delegate != "openvino" or document.arithmetic != "bf16":
        return None
    return Advice(
        cause="bf16",
        seen=f"OpenVINO computes this {text.plain(document.precision)} program in bfloat16 on this CPU: 8 significant"
        " bits, which affects its accuracy and its speed.",
        what_to_do="compare its accuracy with that of xnnpack, which computes in the requested precision",
    )


def _fp16(document: RunDocument) -> Advice | None:
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
    _took_nothing,
    _dynamic_per_tensor,
    _not_quantized,
    _fused_attention,
    _pow,
    _portable_convolution,
    _bf16,
    _fp16,
    _never,
)


def _counts(document: RunDocument, bare: set[str]) -> dict[str, int]:
    """The operators left outside whose bare names are among these, with their counts."""
    left = document.delegation.undelegated_operators if document.delegation else {}
    return {name: count for name, count in left.items() if bare_name(name) in bare}


def _outside(document: RunDocument, wanted: Callable[[UndelegatedNode], bool]) -> list[UndelegatedNode]:
    return [node for node in (document.delegation.outside if document.delegation else []) if wanted(node)]


def _names(nodes: Sequence[UndelegatedNode]) -> list[str]:
    return list(dict.fromkeys(node.operator for node in nodes))


def _nodes(counts: dict[str, int]) -> str:
    return text.counted(sum(counts.values()), "node")
