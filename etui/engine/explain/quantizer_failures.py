"""Explain an error inside a delegate's quantizer by the layer at which it arose, from its traceback and the graph."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from etui.engine.explain.error_text import headline
from etui.engine.explain.known_causes import Explanation
from etui.engine.explain.source_lines import chain, model_line_in

if TYPE_CHECKING:
    from torch.fx import Node

_OBSERVED = re.compile(r"activation_post_process_\d+\((\w+)\)")
"""The call of an observer in the code of a prepared graph, whose argument is the value or parameter it observes."""
_LOG = "the log has the traceback"


def explain_quantizer(error: BaseException, doing: str, delegate: str, nodes: Iterable[Node]) -> Explanation:
    """Return the operator and the layer that the quantizer of ``delegate`` cannot handle, as far as they can be found,
    and what to do. ``nodes`` are those of the exported graph."""
    graph, frames = list(nodes), [frame for each in chain(error) for frame in traceback.extract_tb(each.__traceback__)]
    observed = [found[1] for frame in frames if (found := _OBSERVED.search(frame.line or ""))]
    node = _user_of(graph, observed[-1]) if observed else None
    others = "use fp32, or int8 with xnnpack" if delegate != "xnnpack" else "use fp32, or another delegate"
    if node is None and any("/nncf/" in frame.filename for frame in frames):
        node = next((each for each in graph if each.op == "call_function" and _has_several_results(each)), None)
        module = ""
    else:
        module = _module_of(node)
    line = model_line_in(node.meta.get("stack_trace")) if node is not None else None
    at = f" at {line.to_text()}" if line else ""
    what = f"{_operator(node)}{f' of {module}' if module else ''}: " if node is not None else ""
    cause = (
        f"{doing} failed{at}: the quantizer of {delegate or 'this precision'} cannot handle {what or 'this model: '}"
    )
    keep = f"keep that module in FP32 with --keep-fp32 {module}, or " if module else ""
    return Explanation(f"{cause}{headline(error)}", f"{keep}{others}; {_LOG}")


def _user_of(nodes: Sequence[Node], name: str) -> Node | None:
    """Return the first node that uses a parameter, or makes a value, of this name."""
    wanted = name.strip("_")
    for node in nodes:
        if node.name.removeprefix("p_").removeprefix("b_").strip("_") == wanted:
            return next(iter(node.users), None) if node.op == "placeholder" else node
    return None


def _module_of(node: Node | None) -> str:
    """Return the path of the module that a node belongs to; empty if it is not known."""
    stack = node.meta.get("nn_module_stack") if node is not None else None
    paths = [str(entry[0]) for entry in stack.values()] if isinstance(stack, dict) else []
    return paths[-1] if paths and re.fullmatch(r"[\w.]+", paths[-1]) else ""


def _operator(node: Node) -> str:
    return str(node.target).removeprefix("aten.").partition(".")[0]


def _has_several_results(node: Node) -> bool:
    return isinstance(node.meta.get("val"), tuple | list)
