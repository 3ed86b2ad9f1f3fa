"""A diagram of a model as texts, the same for every front end: what each box says, its class of colour, and a legend.

A box says in words what its colour says. Texts from models and files are as they are: whoever draws them escapes them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from etui import text
from etui.analysis.box_figures import GapOf, TimeOf, UndelegatedIn, gaps, times, undelegated
from etui.analysis.graph_folding import Box, Folded, fold
from etui.analysis.numeric_gap import exceeds_threshold
from etui.analysis.operator_kinds import KINDS, bare_name, kind_of
from etui.errors import UsageError
from etui.insight import NumericGap, Profile
from etui.model_graph import ModelGraph
from etui.results import Delegation, RunDocument

Colour = Literal["type", "time", "gap", "delegate"]
COLOURS: tuple[Colour, ...] = ("type", "time", "gap", "delegate")

Tone = Literal[
    "compute", "attention", "normalization", "activation", "pooling", "data", "other",
    "level 0", "level 1", "level 2", "level 3", "level 4", "bad", "delegated", "undelegated", "none",
]  # fmt: skip
"""A class of colour. The levels are shades of one colour from the lightest to the darkest."""

_KIND_TONES: dict[str, Tone] = {
    "convolution": "compute",
    "linear layers": "compute",
    "matrix multiplication": "compute",
    "attention": "attention",
    "layer_norm": "normalization",
    "group_norm": "normalization",
    "batch_norm": "normalization",
    "softmax": "activation",
    "embedding": "data",
    "pooling": "pooling",
    "quantizing and dequantizing": "data",
    "activations": "activation",
    "resizing": "pooling",
    "moving data": "data",
    "element-wise arithmetic": "other",
}
_TYPE_LEGEND: tuple[tuple[Tone, str], ...] = (
    ("compute", "convolution or matrix product"),
    ("attention", "attention"),
    ("normalization", "normalization"),
    ("activation", "activation"),
    ("pooling", "pooling or resizing"),
    ("data", "embedding, or moving and converting data"),
    ("other", "element-wise arithmetic and others"),
)
_FIRST = tuple(tone for tone, _ in _TYPE_LEGEND)

_SHARES = (0.01, 0.05, 0.10, 0.20)
"""The shares of the time at which the next shade begins."""
_LEAST_SHARE = 0.0005
"""Smaller shares would be rounded to zero."""
_MARGINS_DB = (10.0, 20.0)
"""The distances from the SQNR threshold at which the next lighter shade begins."""

_AT_MOST, _AT_LEAST = "≤", "≥"
_MOST_NAMES = 4


class DiagramBox(msgspec.Struct, kw_only=True, frozen=True):
    """A box as texts: ``name`` within the surrounding modules, ``full_name`` with their path, ``kind`` (a class, or the
    operators), ``value`` what the colour says, ``about`` further facts, one per line. ``figure`` is the number behind
    the value: a share (0 to 1), an SQNR in dB, or a number of operators."""

    shape: Literal["module", "operators", "partition", "end"]
    name: str
    full_name: str
    kind: str = ""
    value: str = ""
    tone: Tone = "none"
    about: list[str] = []
    inside: tuple[int, ...] = ()
    figure: float | None = None
    median_ms: float | None = None


class Around(msgspec.Struct, kw_only=True, frozen=True):
    """A module around several boxes, and the index of the next one around it."""

    name: str
    kind: str
    parent: int | None


class Entry(msgspec.Struct, kw_only=True, frozen=True):
    """A line of the legend."""

    tone: Tone
    text: str


class Diagram(msgspec.Struct, kw_only=True, frozen=True):
    """A diagram. ``edges`` are pairs of box indices; boxes are in an order of execution. ``heading`` names what the
    colour shows, ``value_heading`` is its short form for a column of values."""

    title: str
    subtitle: str
    colour: Colour
    level: int
    levels: int
    heading: str
    value_heading: str
    boxes: list[DiagramBox]
    edges: list[tuple[int, int]]
    around: list[Around]
    legend: list[Entry]
    notes: list[str]


class _Look(msgspec.Struct, kw_only=True, frozen=True):
    """What the colour of one box says."""

    value: str = ""
    tone: Tone = "none"
    about: list[str] = []
    figure: float | None = None
    median_ms: float | None = None


class _Looks(msgspec.Struct, kw_only=True, frozen=True):
    heading: str
    value_heading: str
    boxes: list[_Look]
    legend: list[Entry]
    notes: list[str] = []


def default_colour(graph: ModelGraph, document: RunDocument | None) -> Colour:
    """Return the colour of a diagram if none is requested: time for a run with a profile, delegation for a program."""
    if graph.of == "program":
        return "delegate"
    return "time" if document is not None and document.profile is not None else "type"


def diagram(
    graph: ModelGraph,
    *,
    level: int | None = None,
    colour: Colour | None = None,
    document: RunDocument | None = None,
) -> Diagram:
    """Return a diagram of a graph, folded to a level, coloured by what is known of it or of a run of it.

    Raises UsageError if what the colour shows is not known.
    """
    chosen = colour or default_colour(graph, document)
    folded = fold(graph, level)
    looks = _looks(graph, folded, chosen, document)
    counts: Counter[str] = Counter(box.kind for box in folded.boxes)
    return Diagram(
        title=graph.name,
        subtitle=_subtitle(graph, folded, counts, document),
        colour=chosen,
        level=folded.level,
        levels=folded.levels,
        heading=looks.heading,
        value_heading=looks.value_heading,
        boxes=[_box(folded, box, look) for box, look in zip(folded.boxes, looks.boxes, strict=True)],
        edges=folded.edges,
        around=[
            Around(name=_relative(each.path, _path_of(folded, each.parent)) + _call(each.call, each.calls),
                   kind=each.type, parent=each.parent)
            for each in folded.around
        ],
        legend=looks.legend,
        notes=[*graph.notes, *looks.notes],
    )  # fmt: skip


def _subtitle(graph: ModelGraph, folded: Folded, counts: Counter[str], document: RunDocument | None) -> str:
    parts = [graph.title] if graph.title else []
    if document is not None:
        parts.append(f"run {document.id} {document.precision}/{document.delegate}")
    named = {"module": "module", "partition": "partition"}
    parts += [text.counted(counts[kind], name) for kind, name in named.items() if counts[kind]]
    parts.append(f"{text.counted(len(graph.nodes), 'operator')}")
    parts.append(f"level {folded.level} of {folded.levels}")
    return ", ".join(parts)


def flow_legend(after: str, apart: str) -> str:
    """Explain the lines beside a list of boxes; ``after`` and ``apart`` are the marks of its rows."""
    return (
        f"flow: {after} uses the result of the row above, {apart} does not; lines to the right lead to the other rows"
        " that use a result."
    )


def in_ascii(diagram: Diagram) -> Diagram:
    """Return a diagram whose own signs are ASCII; names of the model stay as they are."""
    boxes = [
        msgspec.structs.replace(box, value=text.in_ascii(box.value), about=[*map(text.in_ascii, box.about)])
        for box in diagram.boxes
    ]
    return msgspec.structs.replace(diagram, boxes=boxes, notes=[*map(text.in_ascii, diagram.notes)])


# Boxes


def _box(folded: Folded, box: Box, look: _Look) -> DiagramBox:
    around = _path_of(folded, box.inside[-1] if box.inside else None)
    call = _call(box.call, box.calls)
    if box.kind in ("input", "output"):
        return DiagramBox(shape="end", name=box.path, full_name=box.path, kind=box.tensor)
    about = [f"module {box.path}{call}" if box.path else "the model itself"] if box.kind != "partition" else []
    about += [f"{count} x {bare_name(name)}" if count > 1 else bare_name(name) for name, count in box.operators.items()]
    if box.kind == "operators":
        names = _names(box.operators)
        place = box.path or "the model itself"
        return DiagramBox(
            shape="operators", name=names, full_name=f"{place}: {names}" if box.path else names, kind="",
            inside=box.inside, about=[*look.about, *about], value=look.value, tone=look.tone, figure=look.figure,
            median_ms=look.median_ms,
        )  # fmt: skip
    kind = box.type
    if box.kind == "partition" and box.operators:
        kind = f"{box.type}: {text.counted(sum(box.operators.values()), 'operator')}"
    elif box.kind == "module" and not box.type:
        kind = "list of modules"
    return DiagramBox(
        shape="partition" if box.kind == "partition" else "module",
        name=_relative(box.path, around) + call,
        full_name=box.path + call,
        kind=kind,
        inside=box.inside,
        value=look.value,
        tone=look.tone,
        about=[*look.about, *about],
        figure=look.figure,
        median_ms=look.median_ms,
    )


def _path_of(folded: Folded, index: int | None) -> str:
    return "" if index is None else folded.around[index].path


def _relative(path: str, around: str) -> str:
    return path.removeprefix(f"{around}.") if around else path


def _call(call: int, calls: int) -> str:
    return f" (call {call} of {calls})" if calls > 1 else ""


def _names(operators: dict[str, int]) -> str:
    names = list(dict.fromkeys(bare_name(name).rstrip("_") for name in operators))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


# Colours


def check_known(colour: Colour, document: RunDocument | None, *, program: bool) -> None:
    """Raise UsageError if what a colour shows is not known: of a model or program alone, or of a run."""
    if colour == "type" or (colour == "delegate" and program):
        return
    if program:
        raise UsageError(
            "a program alone has neither times nor errors by module",
            "name a run of its model, or use --colour delegate or type",
            screen_hint="",
        )
    if document is None:
        what = {"time": "a profile", "gap": "a numeric gap analysis", "delegate": "its delegation"}[colour]
        raise UsageError(
            f"--colour {colour} shows what was measured",
            f"name a run with {what} in place of the model: etui diagram RUN",
            screen_hint="",
        )
    delegation = document.delegation
    if colour == "time" and document.profile is None:
        raise UsageError(
            f"run {document.id} has no profile", f"make one: etui profile {document.id}", screen_hint=""
        )  # fmt: skip
    if colour == "gap" and document.gap is None:
        raise UsageError(
            f"run {document.id} has no numeric gap analysis", f"make one: etui gap {document.id}", screen_hint=""
        )
    if colour == "delegate" and (delegation is None or (delegation.undelegated_nodes and not delegation.outside)):
        raise UsageError(
            f"run {document.id} does not record which operators were delegated",
            "choose --colour type or time",
            screen_hint="",
        )


def known_colours(document: RunDocument | None, *, program: bool) -> list[Colour]:
    """Return the colours for which everything is known."""
    found = []
    for colour in COLOURS:
        try:
            check_known(colour, document, program=program)
        except UsageError:
            continue
        found.append(colour)
    return found


def _looks(graph: ModelGraph, folded: Folded, colour: Colour, document: RunDocument | None) -> _Looks:
    check_known(colour, document, program=graph.of == "program")
    if colour == "delegate" and graph.of == "program":
        return _by_partition(folded)
    if colour == "time" and document is not None and document.profile is not None:
        return _by_time(document.profile, folded)
    if colour == "gap" and document is not None and document.gap is not None:
        return _by_gap(document.gap, folded)
    if colour == "delegate" and document is not None and document.delegation is not None:
        return _by_delegation(document.delegation, document.delegate, folded)
    return _by_type(folded)


def _by_type(folded: Folded) -> _Looks:
    looks = []
    for box in folded.boxes:
        kinds = list(dict.fromkeys(kind_of(name) for name in box.operators))
        tones: list[Tone] = [_tone_of(kind) for kind in kinds]
        tone = min(tones, key=_FIRST.index) if tones else "none"
        looks.append(_Look(value=_kinds_text(kinds) if box.operators else "", tone=tone))
    used = {look.tone for look in looks}
    return _Looks(
        heading="the first of these kinds of operators that a box contains",
        value_heading="operators",
        boxes=looks,
        legend=[Entry(tone=tone, text=name) for tone, name in _TYPE_LEGEND if tone in used],
    )


def _tone_of(kind: str) -> Tone:
    return _KIND_TONES.get(kind, "other")


_KIND_ORDER = [kind for kind, _ in KINDS]


def _kinds_text(kinds: list[str]) -> str:
    """Return the kinds of operators in a box, without those that only move data if there are others."""
    working = [kind for kind in kinds if kind != "moving data"] or kinds
    ordered = sorted(
        working,
        key=lambda kind: (
            _FIRST.index(_tone_of(kind)),
            _KIND_ORDER.index(kind) if kind in _KIND_ORDER else len(_KIND_ORDER),
        ),
    )
    more = f" +{len(ordered) - 2}" if len(ordered) > 2 else ""
    return ", ".join(ordered[:2]) + more


def _by_time(profile: Profile, folded: Folded) -> _Looks:
    found, elsewhere = times(profile, folded.boxes)
    looks = [_time_look(box, time) for box, time in zip(folded.boxes, found, strict=True)]
    bounds = (0.0, *_SHARES)
    legend = [
        Entry(tone=_level(number), text=_range(low, high))
        for number, (low, high) in enumerate(zip(bounds, (*_SHARES, None), strict=True))
    ]
    legend.append(Entry(tone="none", text="no operator was measured: fused into another, or removed"))
    notes = []
    if elsewhere >= _LEAST_SHARE:
        notes.append(f"{text.percent(elsewhere, 1)} of the time is in operators whose box is not known.")
    notes += _shared_note(time is not None and time.shared for time in found)
    return _Looks(
        heading="measured share of the time of all operators of the program",
        value_heading="share of time",
        boxes=looks,
        legend=legend,
        notes=notes,
    )


def _time_look(box: Box, time: TimeOf | None) -> _Look:
    if time is None:
        return _Look(value="" if box.kind in ("input", "output") else "not measured")
    sign = f"{_AT_MOST} " if time.shared else ""
    level = sum(time.share >= bound for bound in _SHARES)
    return _Look(
        value=f"{sign}{text.percent(time.share, 1)}" if time.share >= _LEAST_SHARE else f"< {text.percent(0.001, 1)}",
        tone=_level(level),
        about=[f"{sign}{text.number(time.median_ms)} ms in {text.counted(time.operators, 'operator')} of the program"],
        figure=time.share,
        median_ms=time.median_ms,
    )


def _by_gap(gap: NumericGap, folded: Folded) -> _Looks:
    found, elsewhere = gaps(gap, folded.boxes)
    looks = [_gap_look(box, one, gap.threshold_db) for box, one in zip(folded.boxes, found, strict=True)]
    limit = gap.threshold_db
    first, second = (limit + margin for margin in _MARGINS_DB)
    legend = [
        Entry(tone="bad", text=f"! below {text.number(limit)} dB, the limit"),
        Entry(tone="level 2", text=f"{text.number(limit)} to {text.number(first)} dB"),
        Entry(tone="level 1", text=f"{text.number(first)} to {text.number(second)} dB"),
        Entry(tone="level 0", text=f"{text.number(second)} dB or more, or exact"),
        Entry(tone="none", text="no layer was compared"),
    ]
    notes = []
    if elsewhere:
        notes.append(f"{text.counted(elsewhere, 'compared layer')} cannot be shown: the box is not known.")
    notes += _shared_note(one is not None and one.shared for one in found)
    return _Looks(
        heading=f"lowest SQNR of the layers in a box, against {gap.against}",
        value_heading="lowest SQNR",
        boxes=looks,
        legend=legend,
        notes=notes,
    )


def _gap_look(box: Box, gap: GapOf | None, limit: float) -> _Look:
    if gap is None:
        return _Look(value="" if box.kind in ("input", "output") else "not compared")
    worst = gap.worst
    sign = f"{_AT_LEAST} " if gap.shared else ""
    if worst.non_finite:
        value, figure = "NaN or infinite values", None
    elif worst.sqnr_db is None:
        value, figure = ("exact" if worst.mse == 0 else "error against zeros"), None
    else:
        value, figure = f"{sign}{worst.sqnr_db:.1f} dB", worst.sqnr_db
    about = [f"worst of {text.counted(gap.layers, 'compared layer')}: {worst.name}"]
    if gap.beyond:
        about.append(f"{text.counted(gap.beyond, 'layer')} beyond the limit")
    if exceeds_threshold(worst, limit):
        return _Look(value=f"! {value}", tone="bad", about=about, figure=figure)
    above = sum((worst.sqnr_db if worst.sqnr_db is not None else math.inf) >= limit + margin for margin in _MARGINS_DB)
    return _Look(value=value, tone=_level(2 - above), about=about, figure=figure)


def _by_delegation(delegation: Delegation, delegate: str, folded: Folded) -> _Looks:
    found, elsewhere = undelegated(delegation, folded.boxes)
    looks = [_delegation_look(box, one) for box, one in zip(folded.boxes, found, strict=True)]
    if delegate == "portable":
        notes = [f"The run uses no delegate: all {delegation.undelegated_nodes:,} operators are undelegated."]
    else:
        notes = [
            f"{delegation.delegated_nodes:,} operators of the program are delegated to {delegate}, "
            f"{delegation.undelegated_nodes:,} are not."
        ]
    if elsewhere:
        notes.append(f"{text.counted(elsewhere, 'undelegated operator')} cannot be shown: the box is not known.")
    notes += _shared_note(one.shared for one in found)
    return _Looks(
        heading="undelegated operators in a box",
        value_heading="undelegated",
        boxes=looks,
        legend=[
            Entry(tone="undelegated", text="with undelegated operators, their number"),
            Entry(tone="delegated", text="without undelegated operators"),
        ],
        notes=notes,
    )


def _delegation_look(box: Box, found: UndelegatedIn) -> _Look:
    if box.kind in ("input", "output"):
        return _Look()
    if not found.count:
        return _Look(value="none", tone="delegated", figure=0.0)
    names = [f"undelegated: {count} x {bare_name(name)}" for name, count in found.operators.items()]
    sign = f"{_AT_MOST} " if found.shared else ""
    return _Look(value=f"{sign}{found.count:,} undelegated", tone="undelegated", about=names, figure=float(found.count))


def _by_partition(folded: Folded) -> _Looks:
    looks = []
    for box in folded.boxes:
        if box.kind in ("input", "output"):
            looks.append(_Look())
        elif box.kind == "partition":
            looks.append(_Look(value="delegated", tone="delegated"))
        else:
            count = sum(box.operators.values())
            looks.append(_Look(value=f"{count:,} undelegated", tone="undelegated", figure=float(count)))
    return _Looks(
        heading="delegated partitions and undelegated operators",
        value_heading="delegated",
        boxes=looks,
        legend=[
            Entry(tone="delegated", text="partition, executed by its backend"),
            Entry(tone="undelegated", text="undelegated operators, executed by ExecuTorch"),
        ],
    )


def _shared_note(shared: Iterable[bool]) -> list[str]:
    if any(shared):
        return [
            f"{_AT_MOST} and {_AT_LEAST}: what was measured does not name the call of a module, and several boxes may"
            " share it."
        ]
    return []


def _level(number: int) -> Tone:
    levels: tuple[Tone, ...] = ("level 0", "level 1", "level 2", "level 3", "level 4")
    return levels[number]


def _range(low: float, high: float | None) -> str:
    if not low and high is not None:
        return f"below {text.percent(high)}"
    return f"{text.percent(low)} or more" if high is None else f"{text.percent(low)} to {text.percent(high)}"
