"""Results about the inside of a program: operator times, graph stages, sections of the file, and numeric gaps.

Part of the tree of results. Every list is in order of execution or of position in the file. What is not known is None,
or empty if it is a name.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Origin(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The place in the source model that a part of a program comes from.

    ``module`` is the path of the innermost module (``layer1.0.conv1``; empty: the model itself or not known),
    ``module_type`` its class, ``operators`` the ATen operators it was made from, ``stack`` the source lines that called
    it, the innermost last.
    """

    module: str = ""
    module_type: str = ""
    operators: list[str] = []
    stack: list[str] = []

    @property
    def is_known(self) -> bool:
        """Whether this names a place in the model; the model itself has a type and no path."""
        return bool(self.module or self.module_type or self.stack)


class Operator(msgspec.Struct, kw_only=True, frozen=True):
    """One operator of one side of a profile, summed over its calls in one inference.

    ``delegate`` is the backend that ran it, None if undelegated; ``subgraph`` numbers the delegate's calls from 0.
    ``median_ms`` and ``p90_ms`` are over the inferences, of the sum of the ``calls``; ``share`` (0 to 1) is its share
    of the sum of all operators of the same side. Events that contain other events are not counted in addition to them.
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

    ``inference_ms`` is the median of a whole traced inference, ``untraced_ms`` the same without tracing in the same
    worker, ``operators_ms`` the sum of the operators' medians. ``unmapped_share`` (0 to 1) is the part of the
    operators' time whose source module is not known.
    """

    inferences: int
    inference_ms: float
    operators_ms: float
    operators: list[Operator]
    untraced_ms: float | None = None
    unmapped_share: float | None = None


class Profile(msgspec.Struct, kw_only=True, frozen=True):
    """Operator times of a program, from ETDump, and of eager, from torch.profiler. ``notes`` are limitations of the
    measurement, one sentence each."""

    created_at: str
    threads: int
    program: OperatorSide
    eager: OperatorSide | None = None
    notes: list[str] = []


class GraphStage(msgspec.Struct, kw_only=True, frozen=True):
    """The graph after one stage of lowering (``aten``, ``core aten``, ``quantized``, ``edge``, ``delegated``,
    ``planned``): the number of nodes by operator, and the duration of the stage in seconds."""

    name: str
    operators: dict[str, int]
    seconds: float | None = None


class Section(msgspec.Struct, kw_only=True, frozen=True):
    """A part of a program file. ``path`` names it from the root, separated by slashes (``delegates/XnnpackBackend 0``),
    so that a list of sections is a tree; the size of a parent includes its children."""

    path: str
    size_bytes: int
    detail: str = ""


class UndelegatedNode(msgspec.Struct, kw_only=True, frozen=True):
    """An undelegated node: its operator and its place in the source. ``breaks`` is whether there are delegated nodes
    both before and after it, so that it splits the graph into partitions."""

    operator: str
    origin: Origin = Origin()
    breaks: bool = False


class LayerGap(msgspec.Struct, kw_only=True, frozen=True):
    """The error of one layer's output against its reference.

    ``mse`` is in the squared unit of the layer and ``max_abs`` in its unit, ``sqnr_db`` is relative to the power of the
    reference (None for an exact match or no power; ``exact`` distinguishes the two). ``non_finite`` counts elements
    that are NaN or infinite although the reference is finite; the other values do not include them. ``contribution`` (0
    to 1) is the part of the error at the output that arises in this layer, if it was determined.
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
    """The per-layer numerical error of a program against the reference that ``against`` names.

    ``threshold_db`` is the SQNR below which a layer is reported, ``first_past`` the index in ``layers`` of the first
    such layer in order of execution. ``method`` describes how the errors and contributions were computed.
    ``suggestion`` is a sentence and ``keep_fp32`` the module it names, both empty if there is no suggestion.
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
    """An input or output of a method of a program: its shape, its dtype, and its size in bytes (the upper bound if the
    shape is dynamic, as are the sizes in ``shape`` then). A value that is not a tensor has its kind as ``dtype`` and no
    shape."""

    kind: TensorKind
    index: int
    dtype: str
    shape: list[int] | None = None
    size_bytes: int | None = None
    dynamic: bool = False


class BackendNeed(msgspec.Struct, kw_only=True, frozen=True):
    """A backend that a program needs, the number of its subgraphs, and whether the runtime of this machine has it."""

    name: str
    subgraphs: int
    here: bool
    hint: str = ""


class MethodInfo(msgspec.Struct, kw_only=True, frozen=True):
    """One method of a program: its inputs and outputs, planned memory, backends, and undelegated operators."""

    name: str
    inputs: list[TensorSignature]
    outputs: list[TensorSignature]
    backends: list[BackendNeed]
    operators: dict[str, int]
    instructions: int
    planned_bytes: int | None = None


class ProgramInfo(msgspec.Struct, kw_only=True, frozen=True):
    """What can be read from a program file without running it. ``loads`` is whether the runtime of this machine loads
    it, ``problem`` the reason if not."""

    name: str
    size_bytes: int
    sha256: str
    schema_version: int | None
    methods: list[MethodInfo]
    sections: list[Section]
    loads: bool | None = None
    problem: str = ""
    notes: list[str] = []


class ExportedTensor(msgspec.Struct, kw_only=True, frozen=True):
    """An input or output of an exported program. A dynamic size is an expression over the names of dimensions, such as
    ``2*s31``. A value that is not a tensor has its kind as ``dtype`` and no shape."""

    name: str
    dtype: str
    shape: list[int | str] | None = None


class DynamicDimension(msgspec.Struct, kw_only=True, frozen=True):
    """A dynamic dimension of an exported program: its bounds (None: not bounded), its size in the example that was
    exported, and the inputs that have it, as ``tokens[1]``."""

    name: str
    minimum: int | None = None
    maximum: int | None = None
    example: int | None = None
    inputs: list[str] = []


class ExportedInfo(msgspec.Struct, kw_only=True, frozen=True):
    """What can be read from an exported program (``.pt2``) without loading it. ``unsafe`` are the parts that would run
    code when it is loaded; empty if there are none."""

    name: str
    size_bytes: int
    sha256: str
    torch_version: str
    inputs: list[ExportedTensor]
    outputs: list[ExportedTensor]
    dimensions: list[DynamicDimension]
    operators: dict[str, int]
    parameters: int
    parameter_bytes: int
    buffers: int
    buffer_bytes: int
    sections: list[Section]
    unsafe: str = ""
