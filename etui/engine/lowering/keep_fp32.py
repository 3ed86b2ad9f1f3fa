"""Modules kept in FP32 during quantization: check their paths, and determine which nodes belong to them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from etui.errors import PreparationError


def module_path(node: torch.fx.Node) -> str:
    """Return the path of the innermost module that called a node of an exported graph; empty for the model itself, or
    if the export did not record it."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = str(next(reversed(stack.values()))[0])
    # The path of a module that is called more than once ends with @ and the number of the call.
    return path.partition("@")[0]


def is_under(path: str, modules: Iterable[str]) -> bool:
    """Return whether a module's path is one of ``modules``, or inside one."""
    return any(path == module or path.startswith(f"{module}.") for module in modules)


def check_modules(module: nn.Module, paths: Sequence[str]) -> None:
    """Check that the model has modules with these paths.

    Raises:
        PreparationError: it does not have one of them; the hint has similar paths.
    """
    known = list(dict.fromkeys([*(name for name, _ in module.named_modules() if name), *_called(module)]))
    for path in paths:
        if path in known:
            continue
        ending = [name for name in known if name.endswith(f".{path}")]
        similar = (ending or difflib.get_close_matches(path, known, n=3, cutoff=0.5))[:3]
        hint = f"did you mean {' or '.join(similar)}?" if similar else f"it has {', '.join(_outermost(known))}"
        raise PreparationError(f"the model has no module {path!r} to keep in FP32", hint)


def _called(module: nn.Module) -> list[str]:
    """Return the module paths of an exported program, from its nodes: modules without weights appear only there."""
    if not isinstance(module, torch.fx.GraphModule):
        return []
    stacks = (node.meta.get("nn_module_stack") or {} for node in module.graph.nodes)
    # The path of a module that is called more than once ends with @ and the number of the call.
    paths = (str(path).partition("@")[0] for stack in stacks for path, _ in stack.values())
    return [path for path in paths if path]


def _outermost(known: Sequence[str]) -> list[str]:
    return [name for name in known if "." not in name][:8] or ["no submodules"]
