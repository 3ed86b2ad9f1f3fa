"""The rows of a table that may be a tree: sorted among their siblings, folded, and filtered. Nothing here draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

Tone = Literal["", "faint", "good", "bad", "warn", "live"]


class Node:
    """A row. ``figures`` are what its columns sort by, ``words`` what a filter looks in; ``item`` is what it shows."""

    __slots__ = ("children", "depth", "figures", "item", "key", "label", "parent", "words")

    def __init__(
        self,
        key: str,
        label: str,
        *,
        figures: dict[str, float | str | None] | None = None,
        words: str = "",
        item: object = None,
    ) -> None:
        self.key = key
        self.label = label
        self.figures = figures or {}
        self.words = words
        self.item = item
        self.children: list[Node] = []
        self.parent: Node | None = None
        self.depth = 0

    def add(self, child: Node) -> Node:
        """Put a row under this one, and return it."""
        child.parent, child.depth = self, self.depth + 1
        self.children.append(child)
        return child

    def leaves(self) -> Iterator[Node]:
        """The rows under this one that have none under themselves; the row itself where it has none."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column. ``title`` holds the unit and ``width`` is its cells; where there is no room the column with the highest
    ``falls`` goes first, and one of 0 stays. The one that is a ``tree`` takes what room is left. A ``share`` from 0 to
    1 makes it a column of bars. One whose ``sorts`` is empty is not sorted by."""

    name: str
    title: str
    width: int
    cell: Callable[[Node], str]
    right: bool = True
    falls: int = 0
    sorts: str = ""
    descends: bool = True
    tree: bool = False
    share: Callable[[Node], float | None] | None = None
    tone: Callable[[Node], Tone] | None = None


GAP = 1
TREE_LEAST = 26
BAR_MOST = 24


def fitting_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns there is room for, each with its width; the tree's column has what is left, but bars grow first."""
    shown = list(columns)

    def taken() -> int:
        return sum(TREE_LEAST if column.tree else column.width for column in shown) + GAP * (len(shown) - 1)

    while taken() > width:
        going = max(shown, key=lambda column: column.falls)
        if not going.falls:
            break
        shown.remove(going)
    left = max(0, width - taken())
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
    """The rows that are to be seen, in their order. ``tree`` says whether branches can be opened."""

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
        self._only_root()
        self.shown: list[Node] = []
        self.arrange()

    @property
    def is_tree(self) -> bool:
        """Whether any row has rows under it."""
        return any(node.children for node in self.roots)

    def _only_root(self) -> None:
        # A tree that begins with one trunk is opened as far as it branches.
        nodes = self.roots
        while len(nodes) == 1 and nodes[0].children:
            self.opened.add(nodes[0].key)
            nodes = nodes[0].children

    def open_heaviest(self, figure: str, *, lines: int, least: float) -> None:
        """Open the branches with most of a figure, from ``least`` up, as far as so many lines hold what is in them."""

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
        """Bring the rows in order again."""
        by, turn = self._by[self.sort], self.descending
        matched = self._matched
        shown: list[Node] = []

        def walk(nodes: list[Node]) -> None:
            kept = nodes if matched is None else [node for node in nodes if id(node) in matched]
            for node in in_order(kept, by, descending=turn):
                shown.append(node)
                if node.children and self.is_open(node):
                    walk(node.children)

        walk(self.roots)
        self.shown = shown

    def is_open(self, node: Node) -> bool:
        """Whether what is under this row is shown; while a filter holds everything is, unless it was closed since."""
        return node.key not in self._closed if self._matched is not None else node.key in self.opened

    def set_open(self, node: Node, to: bool) -> None:
        """Open or close a branch."""
        if self._matched is not None:
            (self._closed.discard if to else self._closed.add)(node.key)
        else:
            (self.opened.add if to else self.opened.discard)(node.key)
        self.arrange()

    def turn_all(self) -> None:
        """Open every branch, or close every one where all are open."""
        every = {node.key for root in self.roots for node in _branches(root)}
        if self._matched is not None:
            self._closed = every if not self._closed else set()
        else:
            self.opened = set() if every <= self.opened else every
        self.arrange()

    def sort_by(self, name: str) -> None:
        """Sort by a column, the way round that suits it."""
        column = next(column for column in self.columns if column.name == name)
        self.sort, self.descending = name, column.descends
        self.arrange()

    def turn_round(self) -> None:
        """Turn the sorting round."""
        self.descending = not self.descending
        self.arrange()

    def filter(self, query: str) -> None:
        """Show only rows without rows under them in which every word occurs (with a minus: none), and those above."""
        if query.split() == self.query.split():
            return
        self.query, self._closed = query, set()
        self._matched = None
        wanted = [word.casefold() for word in query.split() if not word.startswith("-")]
        unwanted = [word[1:].casefold() for word in query.split() if word.startswith("-") and word != "-"]
        if wanted or unwanted:
            found: set[int] = set()
            for leaf in self.leaves():
                if all(word in leaf.words for word in wanted) and not any(word in leaf.words for word in unwanted):
                    node: Node | None = leaf
                    while node is not None and id(node) not in found:
                        found.add(id(node))
                        node = node.parent
            self._matched = found
        self.arrange()

    def leaves(self) -> Iterator[Node]:
        """Every row without rows under it, shown or not."""
        for root in self.roots:
            yield from root.leaves()

    def matching(self) -> list[Node]:
        """The rows without rows under them that meet the filter."""
        return [leaf for leaf in self.leaves() if self._matched is None or id(leaf) in self._matched]


def in_order(nodes: Sequence[Node], by: str, *, descending: bool) -> list[Node]:
    """Sorted by a figure, those that have none last whichever way it goes."""
    with_it = [node for node in nodes if node.figures.get(by) is not None]
    without = [node for node in nodes if node.figures.get(by) is None]
    # All figures of one name are numbers, or all are words.
    return [*sorted(with_it, key=lambda node: node.figures[by], reverse=descending), *without]  # type: ignore[arg-type,return-value]


def _branches(node: Node) -> Iterator[Node]:
    if node.children:
        yield node
        for child in node.children:
            yield from _branches(child)
