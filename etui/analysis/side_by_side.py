"""Runs side by side: every figure of each beside the base's, what differs, by how much, and which is best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from etui import text
from etui.analysis.bootstrap import LogEstimate, paired_ratio, typical, unpaired_ratio
from etui.analysis.comparison import RunComparison
from etui.analysis.metrics import ONCE_A_BLOCK, WITHOUT_CHANGE, Better, Value, figures
from etui.analysis.relative_change import change, change_interval
from etui.magnitudes import is_latency
from etui.results import Interval, RunDocument
from etui.text import signed

BEST = "*"
DRAWS = 1_000
"""Enough where a block has one value, which leaves nothing to draw within it."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One run's figure: its change against the base in percent, where there is one, with its 95 % interval."""

    value: Value
    change: float | None = None
    ci95: Interval | None = None
    best: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of all runs, the base's first. ``group`` is latency, start, memory, size, accuracy, delegation or
    environment; ``differs`` is whether any run's is another than the base's."""

    group: str
    name: str
    cells: list[Cell]
    differs: bool


def rows(base: RunDocument, others: Sequence[RunDocument], found: Sequence[RunComparison]) -> list[Row]:
    """All figures that any of the runs has. ``found`` are the comparisons of ``others`` with ``base``, in order.

    A time has no change where its comparison was refused: the figures stand there, but what they differ by is not the
    difference of the runs. A time is marked as the best only where it is decided that all others are worse.
    """
    documents = [base, *others]
    beside = [_Beside(base, other, one) for other, one in zip(others, found, strict=True)]
    made = []
    for group, name, better, of in figures(documents):
        values = [of(document) for document in documents]
        if all(value is None for value in values):
            continue
        timed = group in ("latency", "start")
        typical_of_base = _typical(name, base)
        cells = [Cell(value=values[0])]
        cells += [
            one.cell(name, values[0], value, timed, typical_of_base)
            for one, value in zip(beside, values[1:], strict=True)
        ]
        best = _best(cells, better)
        if timed and not _decided(name, cells, best, beside):
            best = frozenset()
        cells = [msgspec.structs.replace(cell, best=True) if at in best else cell for at, cell in enumerate(cells)]
        made.append(Row(group=group, name=name, cells=cells, differs=len(set(map(_figure, values))) > 1))
    return made


def shown(cell: Cell) -> str:
    """A cell as text: the figure, its change with the interval, and a mark on the best of a row."""
    value = cell.value
    words = _figure(value)
    if cell.change is not None:
        words += f"  {signed(cell.change)}"
    if cell.ci95 is not None:
        words += f" ({signed(cell.ci95[0])} to {signed(cell.ci95[1])})"
    return f"{words} {BEST}" if cell.best else words


class _Beside:
    """One of the others beside the base, with what their comparison found."""

    def __init__(self, base: RunDocument, other: RunDocument, found: RunComparison) -> None:
        self._base, self._other, self.found = base, other, found

    def cell(self, name: str, before: Value, now: Value, timed: bool, base: LogEstimate | None) -> Cell:
        """The other's figure. ``base`` is the base's typical one, for what every block measures once."""
        found = self.found
        if not isinstance(before, float) or not isinstance(now, float) or before <= 0 or name in WITHOUT_CHANGE:
            return Cell(value=now)
        if timed and found.refused:
            return Cell(value=now)
        if name == "median ms" and found.ratio is not None:
            return Cell(value=now, change=change(found.ratio), ci95=change_interval(found.ci95) if found.ci95 else None)
        ci95 = self._of_blocks(name, base) if base else None
        return Cell(value=now, change=100 * (now / before - 1), ci95=ci95)

    def _of_blocks(self, name: str, base: LogEstimate) -> Interval | None:
        """The interval of a change of something that every block measures once."""
        if self.found.kind == "paired":
            first, second = _by_block(name, self._base), _by_block(name, self._other)
            pairs = [(first[index], second[index]) for index in sorted(first.keys() & second.keys())]
            estimate = paired_ratio(pairs, DRAWS) if pairs else None
        else:
            alone = _typical(name, self._other)
            estimate = unpaired_ratio(base, alone) if alone else None
        return change_interval(estimate.interval) if estimate and estimate.interval else None

    def span(self, name: str, cell: Cell) -> Interval | None:
        """Between what the change of a time lies: that of the figure where it has an interval, else that of the
        medians."""
        if name in ONCE_A_BLOCK:
            return cell.ci95
        return change_interval(self.found.ci95) if self.found.ci95 and not self.found.refused else None


def _by_block(name: str, document: RunDocument) -> dict[int, list[float]]:
    of = ONCE_A_BLOCK[name]
    return {block.index: [value] for block in document.blocks if (value := of(block)) and is_latency(value)}


def _typical(name: str, document: RunDocument) -> LogEstimate | None:
    values = list(_by_block(name, document).values()) if name in ONCE_A_BLOCK else []
    return typical(values, DRAWS) if values else None


def _figure(value: Value) -> str:
    if isinstance(value, str):
        return text.plain(value)
    return f"{value:,}" if isinstance(value, int) else text.number(value)


def _best(cells: Sequence[Cell], better: Better) -> frozenset[int]:
    """The places of the best. What reads the same is no better, whatever its further digits."""
    known = [cell.value for cell in cells if isinstance(cell.value, float)]
    if better is None or len(set(map(_figure, known))) < 2:
        return frozenset()
    best = _figure(min(known) if better == "lower" else max(known))
    return frozenset(at for at, cell in enumerate(cells) if _figure(cell.value) == best)


def _decided(name: str, cells: Sequence[Cell], best: frozenset[int], beside: Sequence[_Beside]) -> bool:
    """Whether each of the best times is better than every other beyond the doubt that their intervals leave."""
    spans = [(0.0, 0.0), *(one.span(name, cell) for one, cell in zip(beside, cells[1:], strict=True))]
    others = [at for at, cell in enumerate(cells) if at not in best and cell.value is not None]
    for winner, loser in itertools.product(best, others):
        won, lost = spans[winner], spans[loser]
        if won is None or lost is None or won[1] >= lost[0]:
            return False
        against_base = beside[(winner or loser) - 1].found if 0 in (winner, loser) else None
        if against_base and name not in ONCE_A_BLOCK and against_base.verdict not in ("faster", "slower"):
            return False
    return True
