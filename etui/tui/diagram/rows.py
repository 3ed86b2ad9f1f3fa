"""The rows of a diagram: its boxes in an order of execution, with the data flow drawn beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from etui import text
from etui.charts.graph_lanes import ASCII_LANES, LaneGlyphs, lanes
from etui.tui.details.tree_rows import Column, Node, Rows, Tone
from etui.wording.diagram import Diagram, DiagramBox

_MOST_FLOW, _MOST_VALUE = 25, 30


def diagram_rows(diagram: Diagram, *, unicode: bool) -> tuple[Rows, int]:
    """Return the rows, and the number of edges that are not drawn for lack of room."""
    drawn = lanes(len(diagram.boxes), diagram.edges, LaneGlyphs() if unicode else ASCII_LANES)
    nodes = [_node(index, box) for index, box in enumerate(diagram.boxes)]
    rows: list[Rows] = []
    places = {id(node): index for index, node in enumerate(nodes)}
    columns = _columns(diagram, len(drawn.rows[0]) if drawn.rows else 0, partial(_flow, rows, drawn.rows, places))
    rows.append(Rows(nodes, columns, sort="name"))
    return rows[0], drawn.missing


def box_of(node: Node) -> DiagramBox | None:
    """Return the box of a row."""
    return node.item if isinstance(node.item, DiagramBox) else None


def _flow(rows: list[Rows], drawn: list[str], places: dict[int, int], node: Node) -> str:
    # The lines connect rows only in the order of execution.
    in_order = not rows or (rows[0].sort == "name" and not rows[0].descending and not rows[0].query)
    return drawn[places[id(node)]] if in_order else ""


def _node(index: int, box: DiagramBox) -> Node:
    return Node(
        str(index),
        box.full_name,
        figures={"order": float(index), "type": box.kind.casefold() or None, "value": box.figure, "share": box.figure},
        search_text=f"{box.full_name} {box.kind} {box.value}".casefold(),
        item=box,
    )


def _columns(diagram: Diagram, flow_width: int, flow: Callable[[Node], str]) -> list[Column]:
    widest = max((text.width(box.value) for box in diagram.boxes), default=0)
    value = max(len(diagram.value_heading) + 2, min(_MOST_VALUE, widest))
    columns = [
        Column(name="flow", title="flow", width=min(_MOST_FLOW, max(5, flow_width)), right=False, spare=3,
               cell=flow),
        Column(name="name", title="box", width=0, right=False, tree=True, sorts="order", descends=False,
               cell=lambda node: node.label),
        Column(name="type", title="type", width=18, right=False, spare=4, sorts="type", descends=False,
               cell=_cell(lambda box: box.kind)),
        Column(name="value", title=diagram.value_heading, width=value, right=False,
               sorts="value" if diagram.colour != "type" else "", descends=diagram.colour != "gap",
               cell=_cell(lambda box: box.value), tone=_tone),
    ]  # fmt: skip
    if diagram.colour == "time":
        most = max((box.figure or 0.0 for box in diagram.boxes), default=0.0) or 1.0
        columns.append(
            Column(name="bar", title="", width=8, right=False, spare=5, cell=lambda _node: "",
                   share=partial(_share, most))
        )  # fmt: skip
    return columns


def _cell(shown: Callable[[DiagramBox], str]) -> Callable[[Node], str]:
    def cell(node: Node) -> str:
        box = box_of(node)
        return shown(box) if box is not None else ""

    return cell


def _share(most: float, node: Node) -> float | None:
    box = box_of(node)
    return box.figure / most if box is not None and box.figure is not None else None


def _tone(node: Node) -> Tone:
    box = box_of(node)
    if box is None or box.tone == "none":
        return "faint"
    return "bad" if box.tone == "bad" else "warn" if box.tone == "undelegated" else ""
