"""Modules that stay in FP32 while the rest is quantized: checking their paths, and telling which nodes are theirs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from etui.errors import PreparationError


def module_path(node: torch.fx.Node) -> str:
    """The path of the innermost module a node of an exported graph was called in; empty for the model itself, or where
    the export did not keep it."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = str(next(reversed(stack.values()))[0])
    # A module that is called more than once has the number of the call behind its path.
    return path.partition("@")[0]


def is_under(path: str, modules: Iterable[str]) -> bool:
    """Whether a module's path is one of ``modules``, or inside one."""
    return any(path == module or path.startswith(f"{module}.") for module in modules)


def check_modules(module: nn.Module, wanted: Sequence[str]) -> None:
    """Refuse paths that the model does not have. Raises PreparationError naming the nearest that it has."""
    known = list(dict.fromkeys([*(name for name, _ in module.named_modules() if name), *_called(module)]))
    for path in wanted:
        if path in known:
            continue
        ending = [name for name in known if name.endswith(f".{path}")]
        near = (ending or difflib.get_close_matches(path, known, n=3, cutoff=0.5))[:3]
        hint = f"did you mean {' or '.join(near)}?" if near else f"the outermost are {', '.join(_outermost(known))}"
        raise PreparationError(f"the model has no module {path!r} to keep in FP32", hint)


def _called(module: nn.Module) -> list[str]:
    """The modules an exported program was made of: of those without weights only its nodes still tell."""
    if not isinstance(module, torch.fx.GraphModule):
        return []
    stacks = (node.meta.get("nn_module_stack") or {} for node in module.graph.nodes)
    # A module that is called more than once has the number of the call behind its path.
    paths = (str(path).partition("@")[0] for stack in stacks for path, _ in stack.values())
    return [path for path in paths if path]


def _outermost(known: Sequence[str]) -> list[str]:
    return [name for name in known if "." not in name][:8] or ["none: it is one single module"]
