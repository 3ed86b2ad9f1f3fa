"""The rows of the Operators tab: a profile's operators by source module, by name, or ungrouped.

Times are milliseconds per inference, shares are of the sum of all operators of their side. Each row has the figures of
the selected side; the view by module adds those of the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from etui.analysis.operator_kinds import kind_of_operator
from etui.analysis.profiles import ITS_OWN, MODEL_ITSELF, WORTH_OPENING, bare_name, is_known
from etui.insight import Operator, OperatorSide, Profile
from etui.text import MISSING
from etui.tui.details.bars import decimals, fixed, percent
from etui.tui.details.tree_rows import Column, Node, Rows, Tone

View = Literal["module", "operator", "one by one"]
VIEWS: tuple[View, ...] = ("module", "operator", "one by one")
Side = Literal["program", "eager"]

NO_MODULE = "(module not known)"
_LINES_OPENED = 26
"""In the view by module the heaviest branches are expanded at first, up to this number of rows: about a screen."""
_ON_CPU = "CPU"


def operator_rows(profile: Profile, view: View, side: Side) -> Rows:
    """Return the rows, the slowest first; ungrouped operators in the order they ran."""
    chosen, other = _sides(profile, side)
    if view == "module":
        roots = _by_module(chosen, other, side)
    elif view == "operator":
        roots = _by_name(chosen, side)
    else:
        roots = [_leaf(operator, number, side) for number, operator in enumerate(chosen.operators)]
        for node in roots:
            node.label = _named(node.item)
    sort = "name" if view == "one by one" else "share"
    rows = Rows(roots, _columns(chosen, other if view == "module" else None, view, side), sort=sort)
    if view == "module":
        rows.open_heaviest("share", lines=_LINES_OPENED, least=WORTH_OPENING)
    return rows


def where(operator: Operator, side: Side = "program") -> str:
    """Return what runs it: a delegate with the number of its subgraph, ExecuTorch's CPU kernels, or eager."""
    if side == "eager":
        return "eager"
    if operator.delegate is None:
        return _ON_CPU
    number = "" if operator.subgraph is None else f" {operator.subgraph}"
    return f"{short_backend(operator.delegate)}{number}"


def short_backend(name: str) -> str:
    """Return the delegate's name for a backend: ``xnnpack`` for ``XnnpackBackend``."""
    return name.removesuffix("Backend").lower() or name


def _sides(profile: Profile, side: Side) -> tuple[OperatorSide, OperatorSide | None]:
    if side == "eager" and profile.eager is not None:
        return profile.eager, profile.program
    return profile.program, profile.eager


def _columns(chosen: OperatorSide, other: OperatorSide | None, view: View, side: Side) -> list[Column]:
    own_places = decimals(operator.median_ms for operator in chosen.operators)
    beside: Side = "program" if side == "eager" else "eager"
    titles = {"module": "module / operator", "operator": "operator / module", "one by one": "operator"}
    columns = [
        Column(
            name="name", title=titles[view], width=0, right=False, cell=_label, tree=True, sorts="order",
            descends=False, tone=_tone,
        ),
    ]  # fmt: skip
    if side == "program":
        columns.append(Column(name="where", title="where", width=10, right=False, spare=4, cell=_text("where")))
    columns += [
        Column(name="calls", title="calls", width=5, spare=7, sorts="calls", cell=_count("calls")),
        Column(name="p50", title="p50 ms", width=9, sorts="ms", cell=_ms("ms", own_places)),
        Column(name="p90", title="p90 ms", width=9, spare=8, sorts="p90", cell=_ms("p90", own_places)),
        Column(name="share", title="share %", width=8, sorts="ms", cell=_share("share")),
        Column(
            name="bar", title="", width=8, spare=3, right=False, cell=_nothing, share=_figure("share"),
        ),
    ]  # fmt: skip
    if other is not None:
        places = decimals(operator.median_ms for operator in other.operators)
        columns += [
            Column(name="other", title=f"{beside} ms", width=10, spare=2, sorts="other", cell=_ms("other", places)),
            Column(name="other share", title=f"{beside} %", width=9, spare=9, cell=_share("other share")),
        ]
    return columns


# By module


def _by_module(chosen: OperatorSide, other: OperatorSide | None, side: Side) -> list[Node]:
    beside: Side = "program" if side == "eager" else "eager"
    root = Node("", "")
    nodes: dict[str, Node] = {"": root}
    for number, operator in enumerate(chosen.operators):
        _module(operator, nodes).add(_leaf(operator, number, side))
    for number, operator in enumerate(other.operators if other else ()):
        leaf = _leaf(operator, number, beside)
        # What the other side ran stands in the other side's columns.
        leaf.figures.update(
            {"other": leaf.figures["ms"], "other share": leaf.figures["share"], "ms": None, "share": None, "p90": None}
        )
        leaf.figures["calls"] = leaf.figures["order"] = None
        _module(operator, nodes).add(leaf)
    for child in root.children:
        _gather(child)
        _sum_up(child)
        _lift(child)
    return root.children


def _module(operator: Operator, nodes: dict[str, Node]) -> Node:
    """The node of the module an operator came from, made with those above it where it is not there yet."""
    path = _module_of(operator)
    node = nodes.get(path)
    if node is not None:
        return node
    above = nodes[""]
    parts = path.split(".") if operator.origin.module else [path]
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        if name not in nodes:
            nodes[name] = above.add(Node(f"m {name}", _short(parts[:end])))
        above = nodes[name]
    return above


def _gather(node: Node) -> None:
    """Put a module's own operators under one row, where they would stand in a crowd between the modules in it."""
    own = [child for child in node.children if not child.children]
    modules = [child for child in node.children if child.children]
    if modules and len(own) > 1:
        node.children = list(modules)
        gathered = node.add(Node(f"{node.key} {ITS_OWN}", ITS_OWN))
        for leaf in own:
            gathered.add(leaf)
    for module in modules:
        _gather(module)


def _module_of(operator: Operator) -> str:
    return operator.origin.module or (MODEL_ITSELF if is_known(operator) else NO_MODULE)


def _short(parts: list[str]) -> str:
    """A module's own name; with the one before it where it is only a number."""
    return ".".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]


def _lift(node: Node, depth: int = 0) -> None:
    """Count depths from 0 at the top."""
    node.depth = depth
    if depth == 0:
        node.parent = None
    for child in node.children:
        _lift(child, depth + 1)


# By name


def _by_name(chosen: OperatorSide, side: Side) -> list[Node]:
    nodes: dict[str, Node] = {}
    for number, operator in enumerate(chosen.operators):
        name = bare_name(operator.name)
        node = nodes.setdefault(name, Node(f"o {name}", name))
        leaf = _leaf(operator, number, side)
        leaf.label = _module_of(operator)
        node.add(leaf)
    for node in nodes.values():
        _sum_up(node)
    return list(nodes.values())


def _leaf(operator: Operator, number: int, side: Side) -> Node:
    origin = operator.origin
    place = where(operator, side)
    return Node(
        f"{side} {number}",
        operator.name,
        figures={
            "order": float(number), "calls": float(operator.calls), "ms": operator.median_ms, "p90": operator.p90_ms,
            "share": operator.share, "where": place,
        },
        search_text=" ".join(
            (operator.name, kind_of_operator(operator), origin.module, origin.module_type, place, *origin.operators)
        ).casefold(),
        item=operator,
    )  # fmt: skip


def _sum_up(node: Node) -> None:
    """Give a branch the sums of what is under it; a p90 has no sum, only that of a single operator holds for it."""
    for child in node.children:
        if child.children:
            _sum_up(child)
    for name in ("calls", "ms", "share", "other", "other share"):
        values = [value for child in node.children if isinstance(value := child.figures.get(name), float)]
        node.figures[name] = sum(values) if values else None
    timed = [leaf for leaf in node.leaves() if leaf.figures.get("ms") is not None]
    node.figures["p90"] = timed[0].figures["p90"] if len(timed) == 1 else None
    orders = [value for child in node.children if isinstance(value := child.figures.get("order"), float)]
    node.figures["order"] = min(orders) if orders else None
    node.figures["where"] = _together(child.figures.get("where") for child in node.children)


def _together(places: Iterable[object]) -> str:
    """Where the parts of a branch run: one place, or the delegates and the CPU without their numbers."""
    found = list(dict.fromkeys(str(place) for place in places if place and place != "eager"))
    if len(found) <= 1:
        return found[0] if found else "eager"
    return "+".join(dict.fromkeys(part for place in found for part in place.rstrip("0123456789 ").split("+")))


# Cells


def _label(node: Node) -> str:
    return node.label


def _named(item: object) -> str:
    assert isinstance(item, Operator)
    return f"{item.name}  {item.origin.module}".rstrip()


def _nothing(_node: Node) -> str:
    return ""


def _tone(node: Node) -> Tone:
    return "faint" if node.figures.get("ms") is None else ""


def _figure(name: str) -> Callable[[Node], float | None]:
    def figure(node: Node) -> float | None:
        value = node.figures.get(name)
        return value if isinstance(value, float) else None

    return figure


def _text(name: str) -> Callable[[Node], str]:
    return lambda node: str(node.figures.get(name) or "")


def _count(name: str) -> Callable[[Node], str]:
    figure = _figure(name)
    return lambda node: MISSING if (value := figure(node)) is None else f"{value:,.0f}"


def _ms(name: str, places: int) -> Callable[[Node], str]:
    figure = _figure(name)
    return lambda node: fixed(figure(node), places)


def _share(name: str) -> Callable[[Node], str]:
    figure = _figure(name)
    return lambda node: percent(figure(node))
