"""The rows of the Artifact tab: the sections of the program file as a tree, the largest first."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.analysis.profiles import MOST_NESTED
from etui.insight import Section
from etui.tui.details.bars import percent
from etui.tui.details.tree_rows import Column, Node, Rows

_OPEN_MOST = 12
"""A section with more parts than this is collapsed at first, so that it does not hide the other sections."""


def section_rows(sections: Sequence[Section], total: int) -> Rows:
    """Return the tree of sections, each with its share of ``total`` bytes. A parent that is not in the list has the sum
    of its children as its size."""
    nodes: dict[str, Node] = {}
    root = Node("", "")
    for number, section in enumerate(sections):
        node = _node(section.path, nodes, root)
        node.figures.update({"order": float(number), "size": float(section.size_bytes)})
        node.item = section
    for node in root.children:
        _size(node)
    for node in root.children:
        _place(node, 0, float(max(total, 1)))
    columns = [
        Column(name="name", title="section", width=0, right=False, cell=lambda node: node.label, tree=True),
        Column(
            name="detail", title="", width=30, right=False, spare=5,
            cell=lambda node: node.item.detail if isinstance(node.item, Section) else "",
        ),
        Column(name="size", title="size", width=9, sorts="size", cell=lambda node: text.size(_bytes(node))),
        Column(name="bytes", title="bytes", width=13, spare=6, sorts="size", cell=lambda node: f"{_bytes(node):,}"),
        Column(name="share", title="% of file", width=10, cell=lambda node: percent(_share(node))),
        Column(name="bar", title="", width=8, right=False, spare=4, cell=lambda _node: "", share=_share),
    ]  # fmt: skip
    rows = Rows(root.children, columns, sort="size")
    rows.opened |= {node.key for node in root.children if len(node.children) <= _OPEN_MOST}
    rows.arrange()
    return rows


def _node(path: str, nodes: dict[str, Node], root: Node) -> Node:
    node, parts = root, path.split("/", MOST_NESTED - 1)
    for end, name in enumerate(parts, start=1):
        whole = "/".join(parts[:end])
        if whole not in nodes:
            nodes[whole] = node.add(Node(whole, name or whole))
        node = nodes[whole]
    return node


def _size(node: Node) -> float:
    under = sum(_size(child) for child in node.children)
    own = node.figures.get("size")
    node.figures["size"] = own if isinstance(own, float) else under
    return float(node.figures["size"] or 0.0)


def _place(node: Node, depth: int, total: float) -> None:
    node.depth = depth
    if not depth:
        node.parent = None
    detail = node.item.detail if isinstance(node.item, Section) else ""
    node.figures["share"] = _bytes(node) / total
    node.search_text = f"{node.key} {detail}".casefold()
    for child in node.children:
        _place(child, depth + 1, total)


def _bytes(node: Node) -> int:
    size = node.figures.get("size")
    return round(size) if isinstance(size, float) else 0


def _share(node: Node) -> float | None:
    share = node.figures.get("share")
    return min(1.0, share) if isinstance(share, float) else None
