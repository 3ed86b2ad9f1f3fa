"""Where a graph's node comes from in the source model: what export keeps in each node's meta, made small and plain."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import torch

from etui.insight import Origin

MOST_FRAMES = 3
"""Source lines kept of a node: the innermost ones, where its operator was called."""

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>[^\n]+)(?:\n\s+(?P<code>[^\n]+))?')
_OPERATOR = re.compile(r"^[a-z_0-9]+\.[A-Za-z_0-9]+(\.[A-Za-z_0-9]+)?$")


def origin_of(node: torch.fx.Node) -> Origin:
    """The module, the ATen operator and the source lines that a node comes from, as far as its meta tells."""
    module, kind = _module(node)
    return Origin(module=module, module_type=kind, operators=_operators(node), stack=stack_lines(node))


def stack_lines(node: torch.fx.Node) -> list[str]:
    """The innermost source lines of a node, as ``package/file.py:12 in forward: code``."""
    lines = []
    for found in _FRAME.finditer(str(node.meta.get("stack_trace") or "")):
        code = f": {found['code'].strip()}" if found["code"] else ""
        lines.append(f"{_place(found['file'])}:{found['line']} in {found['function'].strip()}{code}")
    return lines[-MOST_FRAMES:]


def _module(node: torch.fx.Node) -> tuple[str, str]:
    """The path and class of the innermost module that called a node."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return str(path).removeprefix("L['self'].").removeprefix("L['self']"), name.rpartition(".")[2]


def _operators(node: torch.fx.Node) -> list[str]:
    """The operators of the exported graph that a node was made of: the deepest of what it says it comes from."""
    found: dict[str, None] = {}
    for source in node.meta.get("from_node") or ():
        deepest = source
        while deepest.from_node:
            deepest = deepest.from_node[-1]
        if _OPERATOR.match(deepest.target):
            found[deepest.target] = None
    if not found and (original := node.meta.get("original_aten")) is not None:
        found[str(original)] = None
    return list(found)


def _place(file: str) -> str:
    """A file's path from its package on, without where on this machine that lies; the file's name of a user's own."""
    parts = PurePath(file).parts
    for root in ("site-packages", "dist-packages"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return "/".join(parts[parts.index("etui") :]) if "etui" in parts[:-1] and "engine" in parts else parts[-1]
