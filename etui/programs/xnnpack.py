"""Read the nodes of a serialized XNNPACK subgraph, and match profile events to them.

The layout is that of ExecuTorch 1.5's ``backends/xnnpack/serialization``: a header, then a flatbuffer of
``schema.fbs``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from etui.programs.flatbuffer import Reader, Table

_KINDS = (
    "", "Add", "FullyConnected", "Softmax", "Sigmoid", "StaticTranspose", "Clamp", "Conv2d", "Div",
    "StaticResizeBilinear2D", "StaticConstantPad", "AvgPooling2d", "Minimum", "DepthwiseConv2d", "MaxPooling2d",
    "Multiply", "Subtract", "Floor", "Convert", "GlobalAvgPooling2d", "StaticReshape", "ArgMaxPooling2d", "SquareRoot",
    "Ceiling", "Hardswish", "LeakyReLU", "Maximum", "Negate", "Square", "ELU", "Abs", "PReLU", "Concatenate2",
    "Concatenate3", "Concatenate4", "StaticSlice", "ScaledDotProductAttention", "BatchMatrixMultiply", "Concatenate5",
    "ConvTranspose2d", "ReciprocalSquareRoot", "Log", "Gelu", "Tanh", "Exp", "Sin", "Copy", "Cos",
)  # fmt: skip
"""The members of the schema's union ``XNodeUnion``, in its order."""

_EVENTS = {
    "convolution": {"Conv2d", "DepthwiseConv2d"},
    "deconvolution": {"ConvTranspose2d"},
    # A 1x1 convolution with stride 1 runs as a matrix multiplication.
    "fully connected": {"FullyConnected", "Conv2d"},
    "batch matrix multiply": {"BatchMatrixMultiply"},
    "divide": {"Div"},
    "transpose": {"StaticTranspose"},
    "max pooling": {"MaxPooling2d"},
    "average pooling": {"AvgPooling2d", "GlobalAvgPooling2d"},
    "global average pooling": {"GlobalAvgPooling2d"},
    "mean": {"GlobalAvgPooling2d"},
    "sum": {"GlobalAvgPooling2d"},
    "static reshape": {"StaticReshape"},
    "copy": {"Copy", "StaticReshape", "Concatenate2", "Concatenate3", "Concatenate4", "Concatenate5"},
    "concatenate": {"Concatenate2", "Concatenate3", "Concatenate4", "Concatenate5"},
    "constant pad": {"StaticConstantPad"},
    "slice": {"StaticSlice"},
    "static slice": {"StaticSlice"},
    "resize bilinear": {"StaticResizeBilinear2D"},
    "square root": {"SquareRoot"},
    "reciprocal square root": {"ReciprocalSquareRoot"},
    "leaky relu": {"LeakyReLU"},
    "argmax pooling": {"ArgMaxPooling2d"},
    "bankers rounding": {"Floor"},
}
_SAME_VALUES = ("Convert", "Copy", "StaticReshape")
"""The kinds whose result has the values of their input, but for rounding."""

_INPUT_AND_OUTPUT = {
    "Softmax": (0, 1),
    "Sigmoid": (0, 1),
    "Convert": (0, 1),
    "Copy": (0, 1),
    "StaticReshape": (2, 3),
    "FullyConnected": (0, 3),
}
"""The fields of a node with the numbers of the values that it reads and writes."""

_MOST_CELLS = 2_000_000


def node_kinds(data: bytes) -> list[tuple[str, int]]:
    """Return kind and debug handle of a subgraph's nodes, in execution order.

    Raises:
        DamagedFile: the bytes are not an XNNPACK subgraph.
    """
    return [(_kind(node), node.number(2, "I")) for node in _graph(data).tables(1)]


def output_kind(data: bytes) -> str | None:
    """Return the kind of the node that computes the values of a subgraph's only output, but for copies, reshaping and
    conversion between types; "" for a kind that is not read here, None if there are several outputs.

    Raises:
        DamagedFile: the bytes are not an XNNPACK subgraph.
    """
    graph = _graph(data)
    outputs = graph.numbers(5, "I")
    if len(outputs) != 1:
        return None
    made: dict[int, tuple[str, int]] = {}
    for node in graph.tables(1):
        kind = _kind(node)
        call = node.table(1) if kind in _INPUT_AND_OUTPUT else None
        if call is not None:
            read, written = _INPUT_AND_OUTPUT[kind]
            made[call.number(written, "I")] = (kind, call.number(read, "I"))
    kind, value = "", outputs[0]
    while value in made and kind in ("", *_SAME_VALUES):
        kind, value = made.pop(value)
    return "" if kind in _SAME_VALUES else kind


def _graph(data: bytes) -> Table:
    start, size = 0, len(data)
    if data[4:8] == b"XH00":
        start, size = struct.unpack_from("<II", data, 10)
    return Reader(memoryview(data)[start : start + size]).root()


def _kind(node: Table) -> str:
    kind = node.number(0, "B")
    return _KINDS[kind] if kind < len(_KINDS) else ""


def match_events(events: Sequence[str], nodes: Sequence[tuple[str, int | None]]) -> list[int | None]:
    """Return the origin of the node of each event of one execution of a subgraph; None if it is ambiguous.

    ``events`` are event names; ``nodes`` are pairs of kind and origin. XNNPACK executes the nodes in order, without
    some of them (a fused clamp) and with a few added ones. A longest common subsequence is matched twice, with each
    event as early and as late as possible; an event whose two nodes have the same origin is certain.
    """
    candidates = [_candidates(name) for name in events]
    kinds = [kind for kind, _ in nodes]
    earliest = _matched(candidates, kinds)
    latest = [None if at is None else len(kinds) - 1 - at for at in _matched(candidates[::-1], kinds[::-1])[::-1]]
    return [
        nodes[early][1] if early is not None and late is not None and nodes[early][1] == nodes[late][1] else None
        for early, late in zip(earliest, latest, strict=True)
    ]


def _matched(candidates: Sequence[set[str]], kinds: Sequence[str]) -> list[int | None]:
    """Return the earliest possible node index of each event: greedily if that matches every event, else by the longest
    common subsequence."""
    first = _greedy(candidates, kinds)
    if None not in first or len(candidates) * len(kinds) > _MOST_CELLS:
        return first
    return _longest(candidates, kinds)


def _candidates(event: str) -> set[str]:
    """Return the kinds of node that an event such as ``Convolution (NHWC, F32) IGEMM #3`` can belong to."""
    name = event.partition("(")[0].partition("#")[0].strip().lower()
    known = _EVENTS.get(name)
    if known is not None:
        return known
    squeezed = name.replace(" ", "")
    return {kind for kind in _KINDS if kind and kind.lower() == squeezed}


def _greedy(candidates: Sequence[set[str]], kinds: Sequence[str]) -> list[int | None]:
    indices: list[int | None] = []
    start = 0
    for allowed in candidates:
        at = next((index for index in range(start, len(kinds)) if kinds[index] in allowed), None)
        indices.append(at)
        if at is not None:
            start = at + 1
    return indices


def _longest(candidates: Sequence[set[str]], kinds: Sequence[str]) -> list[int | None]:
    """Return the node index of each event in the longest common subsequence of events and nodes."""
    rows, columns = len(candidates), len(kinds)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows - 1, -1, -1):
        allowed, here, below = candidates[row], best[row], best[row + 1]
        for column in range(columns - 1, -1, -1):
            skipped = max(below[column], here[column + 1])
            here[column] = max(skipped, below[column + 1] + 1) if kinds[column] in allowed else skipped
    indices: list[int | None] = []
    column = 0
    for row in range(rows):
        at = None
        # Take only steps that keep the best length: a match if possible, else skip the node.
        while column < columns and best[row][column] > best[row + 1][column]:
            if kinds[column] in candidates[row] and best[row][column] == best[row + 1][column + 1] + 1:
                at = column
                column += 1
                break
            column += 1
        indices.append(at)
    return indices
