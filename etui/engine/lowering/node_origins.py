"""The origin of a graph's node in the source model (module, operator, source lines), from the node's metadata."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import torch

from etui.insight import Origin

MOST_FRAMES = 3
"""The number of innermost source lines kept per node."""

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>[^\n]+)(?:\n\s+(?P<code>[^\n]+))?')
_OPERATOR = re.compile(r"^[a-z_0-9]+\.[A-Za-z_0-9]+(\.[A-Za-z_0-9]+)?$")


def origin_of(node: torch.fx.Node) -> Origin:
    """Return the module, the ATen operators and the source lines that a node comes from; empty fields if unknown."""
    module, kind = _module(node)
    return Origin(module=module, module_type=kind, operators=_operators(node), stack=stack_lines(node))


def stack_lines(node: torch.fx.Node) -> list[str]:
    """Return the innermost source lines of a node, as ``package/file.py:12 in forward: code``."""
    lines = []
    for frame in _FRAME.finditer(str(node.meta.get("stack_trace") or "")):
        code = f": {frame['code'].strip()}" if frame["code"] else ""
        lines.append(f"{_short_path(frame['file'])}:{frame['line']} in {frame['function'].strip()}{code}")
    return lines[-MOST_FRAMES:]


def _module(node: torch.fx.Node) -> tuple[str, str]:
    """Return the path and class of the innermost module that called a node."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return str(path).removeprefix("L['self'].").removeprefix("L['self']"), name.rpartition(".")[2]


def _operators(node: torch.fx.Node) -> list[str]:
    """Return the operators of the exported graph that a node was made from: the deepest of its recorded sources."""
    operators: dict[str, None] = {}
    for source in node.meta.get("from_node") or ():
        deepest = source
        while deepest.from_node:
            deepest = deepest.from_node[-1]
        if _OPERATOR.match(deepest.target):
            operators[deepest.target] = None
    if not operators and (original := node.meta.get("original_aten")) is not None:
        operators[str(original)] = None
    return list(operators)


def _short_path(file: str) -> str:
    """Return a file's path relative to its package's parent folder; only the file name for a user's file."""
    parts = PurePath(file).parts
    for root in ("site-packages", "dist-packages"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return "/".join(parts[parts.index("etui") :]) if "etui" in parts[:-1] and "engine" in parts else parts[-1]
