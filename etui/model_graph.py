"""The graph of a model or program: operators with their data flow, and the modules or delegates that they are part of.

Everything is of one inference. Edges are data that flows from one operator to another; weights and other constants are
not part of the graph.
"""

from __future__ import annotations

from typing import Literal

import msgspec

GraphOf = Literal["model", "program"]
"""What a graph was read from: an exported model, whose operators are grouped by module, or a finished program, whose
operators are grouped by partition."""


class GroupCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a module, or one delegated partition of a program.

    ``path`` is the module's path, empty for the model itself, and ``type`` its class; for a partition its name and
    backend. ``parent`` is the index of the call that contains it, None for the outermost. ``call`` counts the calls of
    the same module from 1.
    """

    path: str
    type: str
    parent: int | None = None
    call: int = 1
    delegated: bool = False


class OperatorNode(msgspec.Struct, frozen=True, kw_only=True):
    """One operator: ``group`` is the index of the innermost call that it is part of, ``inputs`` the indices of the
    operators whose results it uses, ``model_inputs`` the indices of the inputs of the model that it uses. For a
    partition, ``contents`` are the operators in it with their number, if its format is known."""

    operator: str
    group: int
    inputs: list[int] = []
    model_inputs: list[int] = []
    contents: dict[str, int] = {}


class GraphTensor(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output of the graph. ``sources`` are the operators that compute an output; if there are none,
    ``model_inputs`` are the inputs that are returned unchanged."""

    name: str
    dtype: str
    shape: list[int | str]
    sources: list[int] = []
    model_inputs: list[int] = []


class ModelGraph(msgspec.Struct, frozen=True, kw_only=True):
    """A graph. ``nodes`` are in order of execution, so that inputs precede their users. ``groups`` begins with the
    model or program itself. ``files`` are the source files that the graph depends on."""

    name: str
    title: str
    of: GraphOf
    groups: list[GroupCall]
    nodes: list[OperatorNode]
    inputs: list[GraphTensor]
    outputs: list[GraphTensor]
    notes: list[str] = []
    files: list[str] = []
