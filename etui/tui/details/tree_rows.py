"""The rows of a table or tree: sorted among their siblings, folded, and filtered, without drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from etui.table_columns import fitting_columns

Tone = Literal["", "faint", "good", "bad", "warn", "live"]


class Node:
    """A row. Columns sort by ``figures``, filters search in ``search_text``; ``item`` is the object that it shows."""

    __slots__ = ("children", "depth", "figures", "item", "key", "label", "parent", "search_text")

    def __init__(
        self,
        key: str,
        label: str,
        *,
        figures: dict[str, float | str | None] | None = None,
        search_text: str = "",
        item: object = None,
    ) -> None:
        self.key = key
        self.label = label
        self.figures = figures or {}
        self.search_text = search_text
        self.item = item
        self.children: list[Node] = []
        self.parent: Node | None = None
        self.depth = 0

    def add(self, child: Node) -> Node:
        """Append a child row, and return it."""
        child.parent, child.depth = self, self.depth + 1
        self.children.append(child)
        return child

    def leaves(self) -> Iterator[Node]:
        """Yield the descendants without children; the row itself if it has no children."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column. ``title`` includes the unit, ``width`` is in cells. In a narrow view the column with the highest
    ``spare`` is hidden first, and one with 0 stays. The ``tree`` column takes the remaining room. A ``share`` from 0 to
    1 makes it a column of bars. ``sorts`` is the figure to sort by; empty: not sortable."""

    name: str
    title: str
    width: int
    cell: Callable[[Node], str]
    right: bool = True
    spare: int = 0
    sorts: str = ""
    descends: bool = True
    tree: bool = False
    share: Callable[[Node], float | None] | None = None
    tone: Callable[[Node], Tone] | None = None


GAP = 1
TREE_LEAST = 26
BAR_MOST = 24


def sized_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Return the columns that fit, each with its width. Of the remaining room bars take a part, the tree the rest."""
    widths = [TREE_LEAST if column.tree else column.width for column in columns]
    fitting = fitting_columns(widths, [column.spare for column in columns], width, gap=GAP)
    shown = [columns[index] for index in fitting]
    left = max(0, width - sum(widths[index] for index in fitting) - GAP * (len(fitting) - 1))
    sizes = []
    for column in shown:
        if column.share is not None:
            grown = min(BAR_MOST - column.width, left // 4)
            sizes.append((column, column.width + max(0, grown)))
            left -= max(0, grown)
        else:
            sizes.append((column, column.width))
    return [(column, max(4, min(TREE_LEAST + left, width)) if column.tree else size) for column, size in sizes]


class Rows:
    """The visible rows in their order."""

    def __init__(
        self, roots: Sequence[Node], columns: Sequence[Column], *, sort: str, descending: bool | None = None
    ) -> None:
        self.roots = list(roots)
        self.columns = list(columns)
        by_name = {column.name: column for column in self.columns}
        self.sort = sort
        self.descending = by_name[sort].descends if descending is None else descending
        self.query = ""
        self.opened: set[str] = set()
        self._closed: set[str] = set()
        self._by = {column.name: column.sorts for column in self.columns}
        self._matched: set[int] | None = None
        self._expand_trunk()
        self.shown: list[Node] = []
        self.arrange()

    def __len__(self) -> int:
        return len(self.shown)

    def at(self, index: int) -> Node | None:
        """Return a visible row."""
        return self.shown[index]

    def key(self, row: Node) -> str:
        """Return the key of a row."""
        return row.key

    def index_of(self, key: str) -> int | None:
        """Return the index of a visible row; None if it is not visible."""
        return next((index for index, node in enumerate(self.shown) if node.key == key), None)

    @property
    def is_tree(self) -> bool:
        """Whether any row has children."""
        return any(node.children for node in self.roots)

    def _expand_trunk(self) -> None:
        # A tree with a single root is expanded down to the first branching.
        nodes = self.roots
        while len(nodes) == 1 and nodes[0].children:
            self.opened.add(nodes[0].key)
            nodes = nodes[0].children

    def open_heaviest(self, figure: str, *, lines: int, least: float) -> None:
        """Expand the branches with the largest figure, at least ``least``, as far as ``lines`` rows allow."""

        def weight(node: Node) -> float:
            value = node.figures.get(figure)
            return value if isinstance(value, float) else 0.0

        count, waiting = len(self.shown), [node for node in self.shown if node.children and not self.is_open(node)]
        while waiting:
            node = waiting.pop(max(range(len(waiting)), key=lambda index: weight(waiting[index])))
            inside = node.children
            branches = any(child.children for child in inside)
            if branches and weight(node) >= least and count + len(inside) <= lines:
                self.opened.add(node.key)
                count += len(inside)
                waiting += [child for child in inside if child.children]
        self.arrange()

    def arrange(self) -> None:
        """Compute the visible rows again."""
        by, descending = self._by[self.sort], self.descending
        matched = self._matched
        shown: list[Node] = []

        def walk(nodes: list[Node]) -> None:
            kept = nodes if matched is None else [node for node in nodes if id(node) in matched]
            for node in in_order(kept, by, descending=descending):
                shown.append(node)
                if node.children and self.is_open(node):
                    walk(node.children)

        walk(self.roots)
        self.shown = shown

    def is_open(self, node: Node) -> bool:
        """Whether this row's children are visible; with a filter they are, unless the row was collapsed since."""
        return node.key not in self._closed if self._matched is not None else node.key in self.opened

    def set_open(self, node: Node, to: bool) -> None:
        """Expand or collapse a row."""
        if self._matched is not None:
            (self._closed.discard if to else self._closed.add)(node.key)
        else:
            (self.opened.add if to else self.opened.discard)(node.key)
        self.arrange()

    def toggle_all(self) -> None:
        """Expand every row, or collapse every row if all are expanded."""
        every = {node.key for root in self.roots for node in _branches(root)}
        if self._matched is not None:
            self._closed = every if not self._closed else set()
        else:
            self.opened = set() if every <= self.opened else every
        self.arrange()

    def sort_by(self, name: str) -> None:
        """Sort by a column in its default direction."""
        column = next(column for column in self.columns if column.name == name)
        self.sort, self.descending = name, column.descends
        self.arrange()

    def reverse(self) -> None:
        """Reverse the sort order."""
        self.descending = not self.descending
        self.arrange()

    def filter(self, query: str) -> None:
        """Show only leaves that contain every word, and none of those with a minus, and the rows above them."""
        if query.split() == self.query.split():
            return
        self.query, self._closed = query, set()
        self._matched = None
        wanted = [word.casefold() for word in query.split() if not word.startswith("-")]
        unwanted = [word[1:].casefold() for word in query.split() if word.startswith("-") and word != "-"]
        if wanted or unwanted:
            matched: set[int] = set()
            for leaf in self.leaves():
                text = leaf.search_text
                if all(word in text for word in wanted) and not any(word in text for word in unwanted):
                    node: Node | None = leaf
                    while node is not None and id(node) not in matched:
                        matched.add(id(node))
                        node = node.parent
            self._matched = matched
        self.arrange()

    def leaves(self) -> Iterator[Node]:
        """Yield every leaf, visible or not."""
        for root in self.roots:
            yield from root.leaves()

    def matching(self) -> list[Node]:
        """Return the leaves that match the filter."""
        return [leaf for leaf in self.leaves() if self._matched is None or id(leaf) in self._matched]


def in_order(nodes: Sequence[Node], by: str, *, descending: bool) -> list[Node]:
    """Sort rows by a figure; those without it come last in either direction."""
    present = [node for node in nodes if node.figures.get(by) is not None]
    absent = [node for node in nodes if node.figures.get(by) is None]
    # The figures of one name are all numbers or all text.
    return [*sorted(present, key=lambda node: node.figures[by], reverse=descending), *absent]  # type: ignore[arg-type,return-value]


def _branches(node: Node) -> Iterator[Node]:
    if node.children:
        yield node
        for child in node.children:
            yield from _branches(child)
