"""The rows of the Operators tab: a profile's operators by source module, by name, or ungrouped.

Times are milliseconds per inference, shares are of the sum of all operators of their side. Each row has the figures of
the selected side; the view by module adds those of the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from etui.analysis.operator_kinds import kind_of_operator
from etui.analysis.profiles import (
    ITS_OWN,
    MODEL_ITSELF,
    NOT_KNOWN,
    WORTH_OPENING,
    Group,
    module_tree,
    summed,
    without_number,
)
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
        # The figures of the selected side are those that a group has for the program.
        tree = module_tree(msgspec.structs.replace(profile, program=chosen, eager=other))
        leaves = _leaves(chosen, other, side)
        roots = [_module_node(group, leaves, None) for group in tree.children]
    elif view == "operator":
        roots = _by_name(chosen, side)
    else:
        roots = [_leaf(operator, number, side) for number, operator in enumerate(chosen.operators)]
        for node in roots:
            node.label = _name_and_module(node.item)
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
    other_side = _other(side)
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
            name="bar", title="", width=8, spare=3, right=False, cell=_empty, share=_figure("share"),
        ),
    ]  # fmt: skip
    if other is not None:
        places = decimals(operator.median_ms for operator in other.operators)
        columns += [
            Column(name="other", title=f"{other_side} ms", width=10, spare=2, sorts="other", cell=_ms("other", places)),
            Column(name="other share", title=f"{other_side} %", width=9, spare=9, cell=_share("other share")),
        ]
    return columns


# By module


def _leaves(chosen: OperatorSide, other: OperatorSide | None, side: Side) -> dict[str, list[Node]]:
    """Return the rows of the operators of both sides by the path of their group in the module tree."""
    leaves: dict[str, list[Node]] = {}
    for number, operator in enumerate(chosen.operators):
        leaves.setdefault(_path(operator), []).append(_leaf(operator, number, side))
    for number, operator in enumerate(other.operators if other else ()):
        leaf = _leaf(operator, number, _other(side))
        # An operator of the other side has figures only in that side's columns.
        leaf.figures.update(
            {"other": leaf.figures["ms"], "other share": leaf.figures["share"], "ms": None, "share": None, "p90": None}
        )
        leaf.figures["calls"] = leaf.figures["order"] = None
        leaf.figures["other order"] = float(number)
        leaves.setdefault(_path(operator), []).append(leaf)
    return leaves


def _module_node(group: Group, leaves: Mapping[str, Sequence[Node]], above: Node | None) -> Node:
    """Return the row of a module with those of its modules and operators; several operators of its own that would be
    scattered between its modules are under a separate row."""
    path = _shown_path(group.path)
    node = Node(f"m {path}", _short(path))
    if above is not None:
        above.add(node)
    for child in group.children:
        _module_node(child, leaves, node)
    own = leaves.get(group.path, ())
    if group.children and len(own) > 1:
        holder = node.add(Node(f"{node.key} {ITS_OWN}", ITS_OWN))
        for leaf in own:
            holder.add(leaf)
        _set_sums(holder, summed(group.path, ITS_OWN, group.operators, group.eager_operators))
    else:
        for leaf in own:
            node.add(leaf)
        node.children.sort(key=_order)
    _set_sums(node, group)
    return node


def _path(operator: Operator) -> str:
    """Return the path of an operator's group in the module tree."""
    return operator.origin.module or (MODEL_ITSELF if operator.origin.is_known else NOT_KNOWN)


def _shown_path(path: str) -> str:
    return NO_MODULE if path == NOT_KNOWN else path


def _short(path: str) -> str:
    """Return a module's own name, with the preceding one if it is a number."""
    parts = path.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]


def _other(side: Side) -> Side:
    return "program" if side == "eager" else "eager"


# By name


def _by_name(chosen: OperatorSide, side: Side) -> list[Node]:
    nodes: dict[str, Node] = {}
    operators: dict[str, list[Operator]] = {}
    for number, operator in enumerate(chosen.operators):
        name = without_number(operator.name)
        node = nodes.setdefault(name, Node(f"o {name}", name))
        leaf = _leaf(operator, number, side)
        leaf.label = _shown_path(_path(operator))
        node.add(leaf)
        operators.setdefault(name, []).append(operator)
    for name, node in nodes.items():
        _set_sums(node, summed("", name, operators[name]))
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


def _set_sums(node: Node, group: Group) -> None:
    """Give a row the sums of its group, and the location and first position of its children."""
    node.figures.update(
        {
            "calls": None if group.calls is None else float(group.calls),
            "ms": group.median_ms, "share": group.share, "p90": group.p90_ms,
            "other": group.eager_ms, "other share": group.eager_share,
        }
    )  # fmt: skip
    for name in ("order", "other order"):
        orders = [value for child in node.children if isinstance(value := child.figures.get(name), float)]
        node.figures[name] = min(orders) if orders else None
    node.figures["where"] = _together(child.figures.get("where") for child in node.children)


def _order(node: Node) -> tuple[bool, float]:
    """A sort key: the position of a row's first operator, those of the other side last."""
    order, other = node.figures.get("order"), node.figures.get("other order")
    return (False, order) if isinstance(order, float) else (True, other if isinstance(other, float) else 0.0)


def _together(places: Iterable[object]) -> str:
    """Return where the parts of a branch run: one location, or the delegates and the CPU without their numbers."""
    distinct = list(dict.fromkeys(str(place) for place in places if place and place != "eager"))
    if len(distinct) <= 1:
        return distinct[0] if distinct else "eager"
    return "+".join(dict.fromkeys(part for place in distinct for part in place.rstrip("0123456789 ").split("+")))


# Cells


def _label(node: Node) -> str:
    return node.label


def _name_and_module(item: object) -> str:
    assert isinstance(item, Operator)
    return f"{item.name}  {item.origin.module}".rstrip()


def _empty(_node: Node) -> str:
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
