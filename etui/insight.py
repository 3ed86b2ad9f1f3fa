"""What looking inside a program showed: its operators' times, its graph stage by stage, its file's sections, and where
its numbers moved.

Part of the tree of results. Every list stands in the order in which things run or lie in the file; sorting is for who
shows it. What is not known is None, or an empty text where it is a name.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Origin(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Where something in a program comes from in the source model.

    ``module`` is the path of the innermost module (``layer1.0.conv1``; empty: the model itself or not known),
    ``module_type`` its class, ``operators`` the ATen operators it was made of, ``stack`` the source lines that called
    it, the innermost last.
    """

    module: str = ""
    module_type: str = ""
    operators: list[str] = []
    stack: list[str] = []


class Operator(msgspec.Struct, kw_only=True, frozen=True):
    """One operator of one side of a profile, summed over its calls in one inference.

    ``delegate`` is the backend that ran it, None outside of any; ``subgraph`` numbers the delegate's calls from 0.
    ``median_ms`` and ``p90_ms`` are over the inferences, of the sum of the ``calls``; ``share`` (0 to 1) is of the sum
    of all operators of its side. Events that hold other events are not counted beside them.
    """

    name: str
    calls: int
    median_ms: float
    p90_ms: float | None
    share: float
    delegate: str | None = None
    subgraph: int | None = None
    origin: Origin = Origin()


class OperatorSide(msgspec.Struct, kw_only=True, frozen=True):
    """The operators of one side, a program or eager, in the order they first ran.

    ``inference_ms`` is the median of a whole inference while traced, ``untraced_ms`` of the same without tracing in
    the same child, ``operators_ms`` the sum of the operators' medians. ``unmapped_share`` (0 to 1) is the part of the
    operators' time whose source module is not known.
    """

    inferences: int
    inference_ms: float
    operators_ms: float
    operators: list[Operator]
    untraced_ms: float | None = None
    unmapped_share: float | None = None


class Profile(msgspec.Struct, kw_only=True, frozen=True):
    """A program under ETDump, and eager under torch.profiler, operator by operator. ``notes`` are what must be known
    with it, a sentence each."""

    created_at: str
    threads: int
    program: OperatorSide
    eager: OperatorSide | None = None
    notes: list[str] = []


class GraphStage(msgspec.Struct, kw_only=True, frozen=True):
    """The graph after one stage of lowering (``aten``, ``core aten``, ``quantized``, ``edge``, ``delegated``,
    ``planned``): how many nodes of which operator, and the seconds the stage took."""

    name: str
    operators: dict[str, int]
    seconds: float | None = None


class Section(msgspec.Struct, kw_only=True, frozen=True):
    """A part of a program's file. ``path`` names it from the root with slashes between the parts
    (``delegates/XnnpackBackend 0``), so that a list of them is a tree; a parent's size holds its children's."""

    path: str
    size_bytes: int
    detail: str = ""


class UndelegatedNode(msgspec.Struct, kw_only=True, frozen=True):
    """A node the delegate did not take: its operator and its place in the source. ``breaks`` is whether delegated nodes
    stand both before and after it, so that it parts the graph."""

    operator: str
    origin: Origin = Origin()
    breaks: bool = False


class LayerGap(msgspec.Struct, kw_only=True, frozen=True):
    """How far one layer's output is from its reference, in the order of execution.

    ``mse`` and ``max_abs`` are in the layer's own unit, ``sqnr_db`` relative to the reference's power (None for an
    exact match or no power; ``exact`` tells which). ``non_finite`` counts elements that are NaN or infinite where the
    reference is not; the figures leave them out. ``contribution`` (0 to 1) is the part of the error at the output that
    arises in this layer, where that was found out.
    """

    name: str
    elements: int
    mse: float
    max_abs: float
    sqnr_db: float | None = None
    exact: bool = False
    non_finite: int = 0
    delegated: bool | None = None
    contribution: float | None = None
    origin: Origin = Origin()


class NumericGap(msgspec.Struct, kw_only=True, frozen=True):
    """Layer by layer, how far a program's numbers are from those of ``against``.

    ``threshold_db`` is the SQNR below which a layer counts as off, ``first_past`` the place in ``layers`` of the first
    that is. ``method`` says in words how the figures and the contributions were found. ``suggestion`` is a sentence,
    ``keep_fp32`` the module it names, both empty where there is none.
    """

    created_at: str
    against: str
    method: str
    inputs: int
    threshold_db: float
    layers: list[LayerGap]
    first_past: int | None = None
    suggestion: str = ""
    keep_fp32: str = ""
    notes: list[str] = []


TensorKind = Literal["input", "output"]


class TensorSignature(msgspec.Struct, kw_only=True, frozen=True):
    """An input or output of a program's method: its shape, its dtype, and the bytes it takes (the upper bound where the
    shape is dynamic). Something else than a tensor has its kind as ``dtype`` and no shape."""

    kind: TensorKind
    index: int
    dtype: str
    shape: list[int] | None = None
    size_bytes: int | None = None


class BackendNeed(msgspec.Struct, kw_only=True, frozen=True):
    """A backend a program needs, in how many subgraphs, and whether this box's runtime has it."""

    name: str
    subgraphs: int
    here: bool
    hint: str = ""


class MethodInfo(msgspec.Struct, kw_only=True, frozen=True):
    """One method of a program: what goes in and comes out, what it plans to use, what it calls outside of delegates."""

    name: str
    inputs: list[TensorSignature]
    outputs: list[TensorSignature]
    backends: list[BackendNeed]
    operators: dict[str, int]
    instructions: int
    planned_bytes: int | None = None


class ProgramInfo(msgspec.Struct, kw_only=True, frozen=True):
    """What a program's file tells without running it. ``loads`` is whether this box's runtime loads it, ``problem`` why
    not."""

    name: str
    size_bytes: int
    sha256: str
    schema_version: int | None
    methods: list[MethodInfo]
    sections: list[Section]
    loads: bool | None = None
    problem: str = ""
    notes: list[str] = []
