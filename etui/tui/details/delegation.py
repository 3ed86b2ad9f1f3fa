"""The Delegation tab of the details: delegated and undelegated nodes, reasons, lowering stages, and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui import text
from etui.analysis.delegation import time_share
from etui.analysis.operator_kinds import bare_name
from etui.insight import GraphStage, Origin, UndelegatedNode
from etui.results import Delegation, RunDocument
from etui.services.executorch_only import reason_not_available
from etui.tui.details.bars import fixed
from etui.tui.details.section_view import add_section
from etui.tui.text_layout import Column, Sheet, Styles
from etui.wording import run_sections
from etui.wording.verdict import delegated

_PLACES = 4
_CHANGES = 3
_LINES = 2


def delegation_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the tab's text."""
    sheet = Sheet(width, styles)
    delegation = document.delegation
    if delegation is None:
        if reason := reason_not_available(document, "the delegation"):
            sheet.say(f"{reason[0].upper()}{reason[1:]}.", styles.muted)
        else:
            reason = document.error or f"the run is {document.status}"
            sheet.say(f"The delegation is not known: {reason}.", styles.muted)
    else:
        _answer(sheet, document, delegation)
        add_section(sheet, run_sections.remedies(document))
        _undelegated(sheet, document, delegation)
    _stages(sheet, document.graph_stages)
    add_section(sheet, run_sections.memory(document))
    if delegation is not None and document.delegate != "portable":
        _sources(sheet, delegation.outside)
    return sheet.text


def _answer(sheet: Sheet, document: RunDocument, delegation: Delegation) -> None:
    if sentence := delegated(document):
        sheet.say(sentence, sheet.styles.strong)
    if time_share(document) is None and document.delegate != "portable":
        sheet.say("A profile shows the share of time spent in the delegate: press P.", sheet.styles.muted)
    breaks = sum(node.breaks for node in delegation.outside)
    if breaks:
        nodes = "undelegated node splits" if breaks == 1 else "undelegated nodes split"
        sheet.say(f"{breaks:,} {nodes} the graph between delegated ones.")


# Undelegated nodes


class _Place(msgspec.Struct):
    """The nodes of one operator that come from one source location."""

    origin: Origin
    nodes: int = 0


def _undelegated(sheet: Sheet, document: RunDocument, delegation: Delegation) -> None:
    counts = delegation.undelegated_operators
    if not counts:
        return
    times = _undelegated_times(document)
    sheet.heading("Undelegated operators" if document.delegate != "portable" else "Operators", "most nodes first")
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shared = _shared_path([node.origin.module for node in delegation.outside if node.origin.module])
    columns = [
        Column("operator", right=False),
        Column("nodes"),
        Column("splitting"),
        Column(f"module, in {shared}" if shared else "module", right=False),
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


def _undelegated_times(document: RunDocument) -> str:
    profile = document.profile
    if profile is None or document.delegate == "portable":
        return ""
    times_ms: dict[str, float] = {}
    for operator in profile.program.operators:
        if operator.delegate is None:
            times_ms[operator.name] = times_ms.get(operator.name, 0.0) + operator.median_ms
    slowest = sorted(times_ms.items(), key=lambda item: -item[1])[:3]
    if not slowest:
        return ""
    parts = ", ".join(f"{name} {fixed(ms, 3)} ms" for name, ms in slowest)
    return f"They take {fixed(sum(times_ms.values()), 3)} ms per inference, most of it in {parts}."


def _shortened(operator: str) -> str:
    """Return an operator's name without its namespace and default overload."""
    return operator.removeprefix("aten.").removesuffix(".default")


def _shared_path(modules: Sequence[str]) -> str:
    """Return the leading path components that all these modules share; empty for none."""
    parts = [module.split(".") for module in modules]
    shared = 0
    while parts and all(len(path) > shared and path[shared] == parts[0][shared] for path in parts):
        shared += 1
    return ".".join(parts[0][:shared]) if parts and len(parts) > 1 else ""


def _modules(nodes: Sequence[UndelegatedNode], shared: int) -> str:
    """Return the modules the nodes come from, each pattern such as ``layers.*.norm`` once, without the first ``shared``
    characters."""
    cut = [node.origin.module[shared:].lstrip(".") or "itself" for node in nodes if node.origin.module]
    names = list(dict.fromkeys(_starred(module) for module in cut))
    more = f" and {len(names) - _PLACES} more" if len(names) > _PLACES else ""
    return ", ".join(names[:_PLACES]) + more


def _starred(module: str) -> str:
    """Return a module's path with ``*`` for its numbers, the same for all layers of a stack."""
    return ".".join("*" if part.isdecimal() else part for part in module.split("."))


def _sources(sheet: Sheet, nodes: Sequence[UndelegatedNode]) -> None:
    """Write the source lines of undelegated operators, the most frequent operator first."""
    if not any(node.origin.stack for node in nodes):
        return
    sheet.heading("Source of the undelegated operators", "innermost line last")
    by_name: dict[str, list[UndelegatedNode]] = {}
    for node in nodes:
        by_name.setdefault(node.operator, []).append(node)
    for name, same_name in sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0])):
        _places(sheet, name, same_name)


def _places(sheet: Sheet, name: str, nodes: Sequence[UndelegatedNode]) -> None:
    """Write the source locations of an operator, each once with its number of nodes."""
    places: dict[tuple[str, tuple[str, ...]], _Place] = {}
    for node in nodes:
        key = (_starred(node.origin.module), tuple(node.origin.stack[-_LINES:]))
        places.setdefault(key, _Place(node.origin)).nodes += 1
    known = [place for place in places.values() if place.origin.stack]
    if not known:
        return
    sheet.say("")
    sheet.say(name, sheet.styles.strong)
    for place in known[:_PLACES]:
        origin = place.origin
        kind = f" ({origin.module_type})" if origin.module_type else ""
        similar = f", and {place.nodes - 1:,} similar" if place.nodes > 1 else ""
        sheet.say(f"{origin.module or 'the model itself'}{kind}{similar}")
        for line in origin.stack[-_LINES:]:
            sheet.line(f"  {line}", sheet.styles.muted)
    if len(known) > _PLACES:
        sheet.say(f"and {len(known) - _PLACES:,} more places", sheet.styles.muted)


# Lowering stages


def _stages(sheet: Sheet, stages: Sequence[GraphStage]) -> None:
    if not stages:
        return
    sheet.heading("Lowering stages", "nodes of the graph after each stage, and what changed")
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
    """Return the operators whose counts changed most, as ``+3 add, -2 mul``; overloads of one operator count as one."""
    changes: Counter[str] = Counter()
    for sign, counts in ((1, after), (-1, before)):
        for name, count in counts.items():
            changes[bare_name(name)] += sign * count
    most = sorted((item for item in changes.items() if item[1]), key=lambda item: (-abs(item[1]), item[0]))
    if not most:
        return "only overloads" if before != after else "nothing"
    more = f", {len(most) - _CHANGES} more" if len(most) > _CHANGES else ""
    return ", ".join(f"{count:+,} {name}" for name, count in most[:_CHANGES]) + more
