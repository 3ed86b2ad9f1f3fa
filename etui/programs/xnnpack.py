"""What an XNNPACK subgraph is made of, read from its bytes, and from which of its nodes an event of a profile comes.

The layout is that of ExecuTorch 1.5's ``backends/xnnpack/serialization``: a head, then a flatbuffer of ``schema.fbs``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from etui.programs.flatbuffer import Reader

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
    # A convolution of one by one with stride one is run as a matrix multiplication.
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
_MOST_CELLS = 2_000_000


def node_kinds(data: bytes) -> list[tuple[str, int]]:
    """The nodes of a subgraph in the order it runs them: kind and debug handle.

    Raises DamagedFile where the bytes are no subgraph of XNNPACK's.
    """
    start, size = 0, len(data)
    if data[4:8] == b"XH00":
        start, size = struct.unpack_from("<II", data, 10)
    graph = Reader(memoryview(data)[start : start + size]).root()
    found = []
    for node in graph.tables(1):
        kind = node.number(0, "B")
        found.append((_KINDS[kind] if kind < len(_KINDS) else "", node.number(2, "I")))
    return found


def match_events(events: Sequence[str], nodes: Sequence[tuple[str, int | None]]) -> list[int | None]:
    """For each event of one run of a subgraph, by its name, the origin of its node; ``nodes`` are kind and origin.

    XNNPACK runs the nodes in their order, having dropped some (a clamp it fused) and put in a few of its own. As many
    events as can be are matched in order, once each as early and once as late as that leaves free: what is of one
    origin either way is certain, and the others have None.
    """
    wanted = [_fitting(name) for name in events]
    kinds = [kind for kind, _ in nodes]
    first = _matched(wanted, kinds)
    last = [None if at is None else len(kinds) - 1 - at for at in _matched(wanted[::-1], kinds[::-1])[::-1]]
    return [
        nodes[one][1] if one is not None and other is not None and nodes[one][1] == nodes[other][1] else None
        for one, other in zip(first, last, strict=True)
    ]


def _matched(wanted: Sequence[set[str]], kinds: Sequence[str]) -> list[int | None]:
    """The place of each event's node, as early as can be: where every event can follow the one before, each takes the
    first node that fits."""
    first = _first_fitting(wanted, kinds)
    if None not in first or len(wanted) * len(kinds) > _MOST_CELLS:
        return first
    return _longest(wanted, kinds)


def _fitting(event: str) -> set[str]:
    """The kinds of node that an event such as ``Convolution (NHWC, F32) IGEMM #3`` can be."""
    name = event.partition("(")[0].partition("#")[0].strip().lower()
    known = _EVENTS.get(name)
    if known is not None:
        return known
    squeezed = name.replace(" ", "")
    return {kind for kind in _KINDS if kind and kind.lower() == squeezed}


def _first_fitting(wanted: Sequence[set[str]], kinds: Sequence[str]) -> list[int | None]:
    found: list[int | None] = []
    place = 0
    for fitting in wanted:
        at = next((index for index in range(place, len(kinds)) if kinds[index] in fitting), None)
        found.append(at)
        if at is not None:
            place = at + 1
    return found


def _longest(wanted: Sequence[set[str]], kinds: Sequence[str]) -> list[int | None]:
    """The longest common subsequence of events and nodes."""
    rows, columns = len(wanted), len(kinds)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows - 1, -1, -1):
        fitting, here, below = wanted[row], best[row], best[row + 1]
        for column in range(columns - 1, -1, -1):
            skipped = max(below[column], here[column + 1])
            here[column] = max(skipped, below[column + 1] + 1) if kinds[column] in fitting else skipped
    found: list[int | None] = []
    column = 0
    for row in range(rows):
        at = None
        # Only what keeps the best count is taken: first the node that fits, else the next event.
        while column < columns and best[row][column] > best[row + 1][column]:
            if kinds[column] in wanted[row] and best[row][column] == best[row + 1][column + 1] + 1:
                at = column
                column += 1
                break
            column += 1
        found.append(at)
    return found
