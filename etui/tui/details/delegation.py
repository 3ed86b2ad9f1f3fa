"""The details' page on delegation: how much the delegate took, what it left and why, stage by stage, and the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from rich.text import Text

from etui import text
from etui.analysis.delegation import Advice, advice, time_share
from etui.analysis.operator_kinds import bare_name
from etui.insight import GraphStage, Origin, UndelegatedNode
from etui.results import Delegation, RunDocument
from etui.tui.details.bars import fixed
from etui.tui.text_layout import Column, Sheet, Styles
from etui.wording.verdict import part

_PLACES = 4
_CHANGES = 3
_LINES = 2


def delegation_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """The page as text."""
    sheet = Sheet(width, styles)
    delegation = document.delegation
    if delegation is None:
        said = "What the delegate took is not known: " + (document.error or f"the run is {document.status}")
        sheet.say(f"{said}.", styles.muted)
    else:
        _answer(sheet, document, delegation)
        _advice(sheet, advice(document))
        _outside(sheet, document, delegation)
    _stages(sheet, document.graph_stages)
    _memory(sheet, document)
    if delegation is not None and document.delegate != "portable":
        _sources(sheet, delegation.outside)
    return sheet.text


def _answer(sheet: Sheet, document: RunDocument, delegation: Delegation) -> None:
    total = delegation.delegated_nodes + delegation.undelegated_nodes
    pieces = text.counted(delegation.subgraphs, "subgraph")
    if document.delegate == "portable":
        sheet.say(f"No delegate: all {total:,} nodes run on ExecuTorch's own kernels.", sheet.styles.strong)
    else:
        share = f" ({part(delegation.delegated_nodes / total)})" if total else ""
        sheet.say(
            f"{document.delegate} took {delegation.delegated_nodes:,} of {total:,} nodes{share}, in {pieces}.",
            sheet.styles.strong,
        )
    if (time := time_share(document)) is not None:
        sheet.say(f"{part(round(time, 6))} of the operators' time is inside the delegate.")
    elif document.delegate != "portable":
        sheet.say("How much of the time that is, a profile tells: P makes one.", sheet.styles.muted)
    breaks = sum(node.breaks for node in delegation.outside)
    if breaks:
        sheet.say(f"{breaks:,} {'node stands' if breaks == 1 else 'nodes stand'} between delegated ones and part them.")


def _advice(sheet: Sheet, found: Sequence[Advice]) -> None:
    if not found:
        return
    sheet.heading("Why, and what to do")
    for one in found:
        sheet.say(one.seen, glyph=sheet.styles.flagged)
        if one.what_to_do:
            words = one.what_to_do
            sheet.fact("", f"{words[0].upper()}{words[1:]}{'' if words.endswith('.') else '.'}", label_width=2)


# What stayed outside


class _Place(msgspec.Struct):
    """Nodes of one operator from one place of the source."""

    origin: Origin
    nodes: int = 0


def _outside(sheet: Sheet, document: RunDocument, delegation: Delegation) -> None:
    counts = delegation.undelegated_operators
    if not counts:
        return
    times = _times_outside(document)
    sheet.heading("Outside the delegate" if document.delegate != "portable" else "Operators", "most nodes first")
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shared = _shared([node.origin.module for node in delegation.outside if node.origin.module])
    columns = [
        Column("operator", right=False),
        Column("nodes"),
        Column("parting"),
        Column(f"from, in {shared}" if shared else "from", right=False),
    ]
    rows = []
    for name, count in by_count:
        nodes = [node for node in delegation.outside if node.operator == name]
        breaks = sum(node.breaks for node in nodes)
        rows.append([_shortened(name), f"{count:,}", f"{breaks:,}" if breaks else "", _modules(nodes, len(shared))])
    sheet.table(columns, rows)
    if times:
        sheet.gap()
        sheet.say(times, sheet.styles.muted)


def _times_outside(document: RunDocument) -> str:
    profile = document.profile
    if profile is None or document.delegate == "portable":
        return ""
    outside: dict[str, float] = {}
    for one in profile.program.operators:
        if one.delegate is None:
            outside[one.name] = outside.get(one.name, 0.0) + one.median_ms
    first = sorted(outside.items(), key=lambda item: -item[1])[:3]
    if not first:
        return ""
    parts = ", ".join(f"{name} {fixed(ms, 3)} ms" for name, ms in first)
    return f"Their time: {fixed(sum(outside.values()), 3)} ms an inference; the most in {parts}."


def _shortened(operator: str) -> str:
    """An operator's name without what most have in common."""
    return operator.removeprefix("aten.").removesuffix(".default")


def _shared(modules: Sequence[str]) -> str:
    """The path that all these modules have in common, up to a dot; empty for none."""
    parts = [module.split(".") for module in modules]
    same = 0
    while parts and all(len(one) > same and one[same] == parts[0][same] for one in parts):
        same += 1
    return ".".join(parts[0][:same]) if parts and len(parts) > 1 else ""


def _modules(nodes: Sequence[UndelegatedNode], shared: int) -> str:
    """The modules the nodes come from, those of one kind once: ``layers.*.norm``; without the first ``shared``
    characters, which all have."""
    cut = [node.origin.module[shared:].lstrip(".") or "itself" for node in nodes if node.origin.module]
    found = dict.fromkeys(_starred(module) for module in cut)
    names = list(found)
    more = f" and {len(names) - _PLACES} more" if len(names) > _PLACES else ""
    return ", ".join(names[:_PLACES]) + more


def _starred(module: str) -> str:
    """A module's path with its numbers left out, so that the layers of a stack are one."""
    return ".".join("*" if part.isdecimal() else part for part in module.split("."))


def _sources(sheet: Sheet, nodes: Sequence[UndelegatedNode]) -> None:
    """What stayed outside, line by line of the source, those that are met most first."""
    if not any(node.origin.stack for node in nodes):
        return
    sheet.heading("Where what is outside comes from", "the innermost source lines last")
    by_name: dict[str, list[UndelegatedNode]] = {}
    for node in nodes:
        by_name.setdefault(node.operator, []).append(node)
    for name, found in sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0])):
        _places(sheet, name, found)


def _places(sheet: Sheet, name: str, nodes: Sequence[UndelegatedNode]) -> None:
    """Where an operator comes from in the source, a place that is met again and again once."""
    places: dict[tuple[str, tuple[str, ...]], _Place] = {}
    for node in nodes:
        key = (_starred(node.origin.module), tuple(node.origin.stack[-_LINES:]))
        places.setdefault(key, _Place(node.origin)).nodes += 1
    told = [place for place in places.values() if place.origin.stack]
    if not told:
        return
    sheet.say("")
    sheet.say(name, sheet.styles.strong)
    for place in told[:_PLACES]:
        origin = place.origin
        kind = f" ({origin.module_type})" if origin.module_type else ""
        times = f", and {place.nodes - 1:,} like it" if place.nodes > 1 else ""
        sheet.say(f"{origin.module or 'the model itself'}{kind}{times}")
        for line in origin.stack[-_LINES:]:
            sheet.line(f"  {line}", sheet.styles.muted)
    if len(told) > _PLACES:
        sheet.say(f"and {len(told) - _PLACES:,} more places", sheet.styles.muted)


# Stage by stage


def _stages(sheet: Sheet, stages: Sequence[GraphStage]) -> None:
    if not stages:
        return
    sheet.heading("Lowering, stage by stage", "nodes of the graph after each stage, and what it changed")
    columns = [
        Column("stage", right=False), Column("nodes"), Column("change"), Column("kinds", optional=True),
        Column("seconds"), Column("what changed", right=False),
    ]  # fmt: skip
    rows: list[list[str]] = []
    before: GraphStage | None = None
    for stage in stages:
        count = sum(stage.operators.values())
        previous = sum(before.operators.values()) if before else None
        rows.append(
            [
                stage.name,
                f"{count:,}",
                "" if previous is None else f"{count - previous:+,}" if count != previous else "0",
                f"{len(stage.operators):,}",
                text.MISSING if stage.seconds is None else text.number(stage.seconds),
                "" if before is None else changed(before.operators, stage.operators),
            ]
        )
        before = stage
    sheet.table(columns, rows)


def changed(before: dict[str, int], after: dict[str, int]) -> str:
    """The operators whose counts moved most, as ``+3 add, -2 mul``; of overloads no more is said than that."""
    moves: Counter[str] = Counter()
    for sign, counts in ((1, after), (-1, before)):
        for name, count in counts.items():
            moves[bare_name(name)] += sign * count
    most = sorted((item for item in moves.items() if item[1]), key=lambda item: (-abs(item[1]), item[0]))
    if not most:
        return "only overloads" if before != after else "nothing"
    more = f", {len(most) - _CHANGES} more" if len(most) > _CHANGES else ""
    return ", ".join(f"{count:+,} {name}" for name, count in most[:_CHANGES]) + more


# Memory


def _memory(sheet: Sheet, document: RunDocument) -> None:
    ours, eager = document.memory, document.eager_memory
    if ours is None and eager is None:
        return
    sheet.heading("Memory", "of load and inference, in a pass of its own")
    rows = [
        [label, text.size(getattr(ours, field, None)), text.size(getattr(eager, field, None))]
        for label, field in (
            ("planned", "planned_bytes"),
            ("peak RSS", "peak_rss_bytes"),
            ("after load", "load_rss_bytes"),
            ("before anything", "baseline_rss_bytes"),
        )
    ]
    rows.insert(2, ["of its own", *(text.size(own_peak(one)) for one in (ours, eager))])
    columns = [Column("", right=False), Column(f"{document.precision}/{document.delegate}"), Column("eager")]
    sheet.table(columns, [row for row in rows if any(cell != text.MISSING for cell in row[1:])])
    sheet.gap()
    for sentence in _planned(document):
        sheet.say(sentence, sheet.styles.muted)


def own_peak(memory: object) -> int | None:
    """How far memory rose over what the process had before it loaded anything."""
    peak, baseline = getattr(memory, "peak_rss_bytes", None), getattr(memory, "baseline_rss_bytes", None)
    return peak - baseline if peak is not None and baseline is not None else None


def _planned(document: RunDocument) -> Iterable[str]:
    memory = document.memory
    if memory is None or memory.planned_bytes is None:
        return
    own = own_peak(memory)
    if own is not None and own > memory.planned_bytes and document.artifact is not None:
        yield (
            f"ExecuTorch plans {text.size(memory.planned_bytes)} for activations; memory really rises by"
            f" {text.size(own)}. The rest is the program ({text.size(document.artifact.size_bytes)}) and what the"
            " delegate allocates for itself: packed weights and its workspace."
        )
    else:
        yield "Planned is what ExecuTorch reserves; a delegate's packed weights and workspace come on top."
