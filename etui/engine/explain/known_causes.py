"""Known causes of errors while exporting and lowering a model, and in the runtime's log: what each means, and what to
do. ``tests/engine/lowering/failing.py`` has a model for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from etui.engine.explain.error_text import headline
from etui.engine.explain.source_lines import SourceLine, chain, model_line, model_line_in

if TYPE_CHECKING:
    from torch.fx import Node


class Explanation(NamedTuple):
    """The cause of an error, and the next step; one line each."""

    cause: str
    hint: str


Explain = Callable[[re.Match[str], str, str], Explanation]
"""Makes an explanation of a match, the source text of the failing line, and the name of the delegate."""


class _Known(NamedTuple):
    pattern: re.Pattern[str]
    explain: Explain
    is_at: Callable[[Node, re.Match[str]], bool] | None = None
    """Whether a node of the exported graph is what the error is about, for errors without a line of the model."""


def explain(error: BaseException, doing: str, delegate: str = "", nodes: Iterable[Node] = ()) -> Explanation | None:
    """Return the explanation of an error that torch or ExecuTorch raised while ``doing``: the line of the user's model,
    the cause and what to do; None if the cause is not known. ``delegate`` is the name of the delegate, if one is used,
    and ``nodes`` are those of the exported graph, if there is one already."""
    line = model_line(error)
    for each in chain(error):
        text = f"{type(each).__name__}: {each}"
        for known in _TABLE:
            if found := known.pattern.search(text):
                if line is None and known.is_at is not None:
                    at = next((node for node in nodes if known.is_at(node, found)), None)
                    line = model_line_in(at.meta.get("stack_trace")) if at is not None else None
                cause, hint = known.explain(found, line.code if line else "", delegate)
                return Explanation(f"{doing} failed{_at(line)}: {cause}", hint)
    return None


def describe(error: BaseException, doing: str) -> str:
    """Return the line of the user's model and the first line of an error whose cause is not known; if it replaces the
    error of a pass of ExecuTorch, the first line of that too."""
    replaced = f": {headline(error.__cause__)}" if type(error) is Exception and error.__cause__ is not None else ""
    return f"{doing} failed{_at(model_line(error))}: {headline(error)}{replaced}"


def _at(line: SourceLine | None) -> str:
    return f" at {line.to_text()}" if line else ""


def missing_kernels(names: Iterable[str], places: Sequence[str] = ()) -> Explanation:
    """Explain that ExecuTorch's runtime has no kernels for operators; ``places`` are where the model uses them."""
    listed = ", ".join(dict.fromkeys(names))
    at = f" (used at {places[0]})" if places else ""
    advice = next((hint for start, hint in _REPLACEMENTS.items() if start in listed), "")
    return Explanation(
        f"ExecuTorch's runtime has no kernel for {listed}{at}",
        advice or "express it by other operators, or use a delegate that executes it, such as openvino",
    )


def explain_log(lines: Sequence[str]) -> Explanation | None:
    """Return the explanation of a program that the runtime cannot load or execute, from what the runtime logged."""
    text = "\n".join(lines)
    if missing := re.findall(r"Missing operator: \[\d+\] (\S+)", text):
        return missing_kernels(missing)
    if found := re.search(r"xnn_status_(\w+)", text):
        status = found[0]
        meaning = XNNPACK_STATUS.get(status, "it reports an unknown status")
        return Explanation(
            f"XNNPACK refuses a part of this program: {meaning} ({status})",
            "keep the layers that are neither Linear nor Conv2d in FP32 with --keep-fp32, or use another delegate",
        )
    if found := re.search(r"Check failed \(.*?\): (?P<reason>.+)", text):
        return Explanation(
            f"a kernel of ExecuTorch rejects its input: {found['reason'].strip().rstrip('.')}",
            "express the operator differently, or use a delegate that executes it, such as openvino",
        )
    return None


def runtime_code(message: str) -> str:
    """Return the meaning of the error code in a message of the runtime; empty if it has none that is known."""
    found = re.search(r"0x:?([0-9a-fA-F]+)", message)
    return RUNTIME_CODES.get(int(found[1], 16), "") if found else ""


XNNPACK_STATUS = {
    "xnn_status_uninitialized": "XNNPACK could not be initialized",
    "xnn_status_invalid_parameter": "a parameter of an operator is invalid",
    "xnn_status_invalid_state": "an operator was used in the wrong state",
    "xnn_status_unsupported_parameter": "XNNPACK does not support a parameter, shape or type of one of its operators",
    "xnn_status_unsupported_hardware": "XNNPACK does not support this CPU",
    "xnn_status_out_of_memory": "not enough memory is free",
    "xnn_status_reallocation_required": "its memory must be allocated again for this input shape",
    "xnn_status_deprecated": "XNNPACK no longer has one of its operators",
}
"""XNNPACK's status codes (xnnpack.h) in words."""

RUNTIME_CODES = {
    0x01: "internal error",
    0x02: "invalid state",
    0x10: "not supported",
    0x11: "not implemented",
    0x12: "invalid argument",
    0x13: "invalid type",
    0x14: "an operator has no kernel",
    0x20: "a backend or resource was not found",
    0x21: "not enough memory",
    0x22: "no access",
    0x23: "invalid program",
    0x24: "invalid external data",
    0x25: "out of resources",
    0x30: "the delegate does not accept this program",
    0x31: "the delegate has not enough memory",
    0x32: "invalid delegate handle",
}
"""ExecuTorch's error codes (runtime/core/error.h) in words."""

_REPLACEMENTS = {
    "max_pool3d": "replace the 3D pooling, for example by a maximum over reshaped dimensions, or use openvino",
    "avg_pool3d": "replace the 3D pooling by a mean over reshaped dimensions, or use openvino",
    "convolution": "use openvino, which has 3D convolutions, or replace them by 2D convolutions",
    "unique": "its result has no fixed size: compute it outside the model",
    "linalg": "compute the decomposition outside the model",
}
"""What to do about operators without a kernel, by a part of their names."""


def _data_dependent(_: re.Match[str], code: str, __: str) -> Explanation:
    if re.match(r"(el)?if\b|while\b|assert\b", code) or re.search(r"\bif\b.+\belse\b", code):
        return Explanation(
            "the model branches on the value of a tensor, which torch.export does not follow (data-dependent control"
            " flow)",
            "select a result with torch.where, or put both branches into torch.cond",
        )
    if code.startswith("for ") or "range(" in code:
        return Explanation(
            "the number of iterations depends on the value of a tensor, which torch.export does not follow"
            " (data-dependent control flow)",
            "use a fixed number of iterations, or torch.while_loop",
        )
    return Explanation(
        "a size or a Python number depends on the value of a tensor, which torch.export does not follow",
        "make it a constant or derive it from shapes, or bound it with torch._check",
    )


def _not_every_size(match: re.Match[str], _: str, __: str) -> Explanation:
    """Explain that a model does not take every size of a dynamic dimension, from the message of torch.export."""
    message = match[0]
    place = re.search(r"L\['(\w+)'\](\S*?)\.size\(\)\[(\d+)\]", message)
    where = f"dimension {place[3]} of its input {place[1]}{place[2]}" if place else "a dynamic dimension"
    what = ""
    if fixed := re.search(r"specialized it to be a constant \((\d+)\)", message):
        what = f": it needs the size {fixed[1]}"
    elif multiple := re.search(r"= (\d+)\*_\w+\s*$", message, re.M):
        what = f": it needs a multiple of {multiple[1]}"
    return Explanation(
        f"the model does not take every size in the range of {where}{what}",
        "derive sizes from the shape of the input (such as -1 in view or reshape) instead of constants, or omit"
        " --dynamic or that dimension of dynamic_shapes",
    )


def _is_complex(node: Node, _: re.Match[str]) -> bool:
    values = node.meta.get("val")
    return any(
        getattr(getattr(value, "dtype", None), "is_complex", False)
        for value in (values if isinstance(values, tuple | list) else [values])
    )


def _is_bf16(node: Node, _: re.Match[str]) -> bool:
    return node.op == "call_function" and str(getattr(node.meta.get("val"), "dtype", "")) == "torch.bfloat16"


def _is_operator(node: Node, match: re.Match[str]) -> bool:
    namespace, _, name = match[1].strip("'\" ").partition("::")
    return str(node.target).startswith(f"{namespace}.{name}.")


def _is_sparse_or_expanded(node: Node, _: re.Match[str]) -> bool:
    value = node.meta.get("val")
    strides = getattr(value, "stride", None)
    is_sparse = str(getattr(value, "layout", "torch.strided")) != "torch.strided"
    return is_sparse or (node.op == "call_function" and callable(strides) and 0 in strides())


def _has_unknown_size(node: Node, _: re.Match[str]) -> bool:
    return bool(node.meta.get("unbacked_bindings"))


def _takes_scalar(node: Node, _: re.Match[str]) -> bool:
    # What quantizes an input of the model has no line of it.
    return model_line_in(node.meta.get("stack_trace")) is not None and any(
        getattr(each.meta.get("val"), "ndim", None) == 0 for each in node.all_input_nodes
    )


def _fixed(cause: str, hint: str) -> Explain:
    return lambda match, _code, delegate: Explanation(
        cause.format(*match.groups(), delegate=delegate), hint.format(*match.groups(), delegate=delegate)
    )


_TABLE = (
    _Known(re.compile(r"data-dependent|DataDependent|Dynamic control flow is not supported"), _data_dependent),
    _Known(re.compile(r"Constraints violated \(.*", re.DOTALL), _not_every_size),
    _Known(
        re.compile(r"Exporting a ScriptModule is not supported"),
        _fixed("torch.export does not take torch.jit.script modules", "return the original module from the factory"),
    ),
    _Known(
        re.compile(r"\.numpy\(\) is not supported for tensor subclasses"),
        _fixed(
            "the model leaves PyTorch for NumPy, which torch.export does not follow",
            "use torch operations inside the model",
        ),
    ),
    _Known(
        re.compile(r"torch\.complex(?:32|64|128)|complex(?:32|64|128)? .*not supported|ComplexFloat"),
        _fixed(
            "the graph has complex tensors, which {delegate} does not support",
            "compute with real and imaginary parts (torch.view_as_real), use xnnpack or portable, or do the transform"
            " outside the model",
        ),
        _is_complex,
    ),
    _Known(
        re.compile(r"IndexError: invalid index of a 0-dim tensor"),
        _fixed(
            "a quantized operator takes a tensor without dimensions (a scalar), which {delegate} does not support",
            "give the tensor the shape (1,), or make it a Python number, which becomes a constant",
        ),
        _takes_scalar,
    ),
    _Known(
        re.compile(r"KeyError: torch\.bfloat16"),
        _fixed(
            "the model has bf16 tensors, which {delegate} does not support",
            "convert the module with .float() in its factory, or use xnnpack or portable",
        ),
        _is_bf16,
    ),
    _Known(
        re.compile(r"Missing out variants: \{(.+?)\}"),
        _fixed(
            "ExecuTorch cannot call {0}: the operator has no out variant",
            "use operators of ATen, or register an out variant of it",
        ),
        _is_operator,
    ),
    _Known(
        re.compile(r"more than one element of the written-to tensor refers to a single memory location"),
        _fixed(
            "the model writes in place to a tensor whose elements share memory (expand or broadcast)",
            "call .clone() on it before the in-place operation",
        ),
    ),
    _Known(
        re.compile(r"fake tensor in the exported program constant's list"),
        _fixed(
            "the model writes to a tensor that torch.export does not follow, for example to the .data of a parameter or"
            " to a tensor kept outside the model",
            "keep the state in a buffer (register_buffer), and change that in place",
        ),
    ),
    _Known(
        re.compile(r"Cannot evaluate a finite upper bound"),
        _fixed(
            "the size of a tensor depends on values and has no upper bound, so that its memory cannot be planned",
            "give the size a bound with torch._check, or use an operator whose result has a fixed size",
        ),
        _has_unknown_size,
    ),
    _Known(
        re.compile(r"0 in strides is not supported"),
        _fixed(
            "a tensor repeats its elements (expand) or is sparse, which ExecuTorch does not support",
            "call .contiguous() on expanded tensors, and .to_dense() on sparse ones",
        ),
        _is_sparse_or_expanded,
    ),
    _Known(
        re.compile(r"[Mm]utat\w+ .*alias|alias\w* .*mutat|is an alias of|output .* alias"),
        _fixed(
            "an in-place operation changes a tensor that shares memory with an input or output",
            "call .clone() on the tensor before the in-place operation",
        ),
    ),
    _Known(
        re.compile(r"[Ss]parse"),
        _fixed("the graph has sparse tensors, which ExecuTorch does not support", "call .to_dense() on them"),
    ),
)
"""The known causes, the specific before the general."""
