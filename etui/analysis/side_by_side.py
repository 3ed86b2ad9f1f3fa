"""Table of runs side by side: every metric compared with the base's, with its change and the best value marked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from etui import text
from etui.analysis.bootstrap import LogEstimate, paired_ratio, typical_latency, unpaired_ratio
from etui.analysis.comparison import RunComparison
from etui.analysis.metrics import compared_facts
from etui.analysis.relative_change import change, change_interval
from etui.facts import LATENCY_PER_ITEM, Better, Fact, RunSummary, Value
from etui.magnitudes import is_latency
from etui.results import Interval, RunDocument
from etui.text import signed

BEST = "*"
DRAWS = 1_000
"""Number of bootstrap draws if a block has a single value; fewer suffice because only blocks are resampled."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One run's value of a metric, with its change from the base in percent and its 95 % interval, if available."""

    value: Value
    change: float | None = None
    ci95: Interval | None = None
    best: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of all runs, the base first. ``group`` is latency, start, memory, size, accuracy, delegation or
    environment; ``differs`` is whether the printed values are not all equal."""

    group: str
    name: str
    cells: list[Cell]
    differs: bool


def rows(base: RunDocument, others: Sequence[RunDocument], comparisons: Sequence[RunComparison]) -> list[Row]:
    """Return a row for each metric of any run. ``comparisons`` are those of ``others`` with ``base``, in order.

    A time has no change if its comparison was refused, and in a comparison per item only the latency per item has one:
    the values are shown, but their difference is not that of the runs. A time is marked as the best only if all others
    are certainly worse. An accuracy has a change, or is the best, only among runs of the same inputs.
    """
    documents = [base, *others]
    paired_runs = [_ComparedRun(base, other, pair) for other, pair in zip(others, comparisons, strict=True)]
    table = []
    for fact in compared_facts(documents):
        values = [fact.compared(document) for document in documents]
        if all(value is None for value in values):
            continue
        group = fact.comparison.group if fact.comparison else ""
        timed = group in ("latency", "start")
        typical_of_base = _typical(fact, base)
        cells = [Cell(value=values[0])]
        cells += [
            pair.cell(fact, values[0], value, timed, typical_of_base)
            for pair, value in zip(paired_runs, values[1:], strict=True)
        ]
        best = _best(cells, fact.better)
        if timed and not _best_is_certain(fact, cells, best, paired_runs):
            best = frozenset()
        if group == "accuracy" and _inputs_differ(documents):
            best = frozenset()
        cells = [
            msgspec.structs.replace(cell, best=True) if index in best else cell for index, cell in enumerate(cells)
        ]
        table.append(
            Row(group=group, name=fact.compared_heading, cells=cells, differs=len(set(map(_value_text, values))) > 1)
        )
    return table


class CellParts(NamedTuple):
    """The parts of a cell as text: the value, its change and the interval of the change, each empty if there is none,
    and the mark of the best value of a row."""

    value: str
    change: str
    interval: str
    mark: str


def parts(cell: Cell) -> CellParts:
    """Return the parts of a cell as text."""
    return CellParts(
        _value_text(cell.value),
        "" if cell.change is None else signed(cell.change),
        "" if cell.ci95 is None else f"({signed(cell.ci95[0])} to {signed(cell.ci95[1])})",
        BEST if cell.best else "",
    )


def shown(cell: Cell) -> str:
    """Return a cell as text: the value, its change with the interval, and a mark if it is the best of its row."""
    value, change, interval, mark = parts(cell)
    return " ".join(part for part in (value, change and f" {change}", interval, mark) if part)


def shown_briefly(cell: Cell) -> str:
    """Return a cell as text without the interval, and as narrow as possible."""
    value, change, _, mark = parts(cell)
    return f"{value}{change and f' {change}'}{mark}"


class _ComparedRun:
    """One run and the base, with the result of their comparison."""

    def __init__(self, base: RunDocument, other: RunDocument, comparison: RunComparison) -> None:
        self._base, self._other, self.comparison = base, other, comparison

    def cell(self, fact: Fact[Any], before: Value, now: Value, timed: bool, base: LogEstimate | None) -> Cell:
        """Return the other run's cell. ``base`` is the base's typical value of a metric measured once per block."""
        comparison = self.comparison
        if not isinstance(before, float) or not isinstance(now, float) or before <= 0 or not fact.kind.relative:
            return Cell(value=now)
        is_of_accuracy = fact.comparison is not None and fact.comparison.group == "accuracy"
        if is_of_accuracy and _inputs_differ([self._base, self._other]):
            return Cell(value=now)
        if timed and (comparison.refused or (comparison.items is not None and fact is not LATENCY_PER_ITEM)):
            return Cell(value=now)
        # Forced, the ratio of two batches is not that of the latencies per item.
        is_per_item = comparison.items is not None or self._base.batch == self._other.batch
        compared = fact is RunSummary.latency_median_ms or (fact is LATENCY_PER_ITEM and is_per_item)
        if compared and comparison.ratio is not None:
            return Cell(
                value=now,
                change=change(comparison.ratio),
                ci95=change_interval(comparison.ci95) if comparison.ci95 else None,
            )
        ci95 = self._block_interval(fact, base) if base else None
        return Cell(value=now, change=100 * (now / before - 1), ci95=ci95)

    def _block_interval(self, fact: Fact[Any], base: LogEstimate) -> Interval | None:
        """Return the 95 % interval of the change in percent of a metric measured once per block."""
        if self.comparison.kind == "paired":
            first, second = _by_block(fact, self._base), _by_block(fact, self._other)
            pairs = [(first[index], second[index]) for index in sorted(first.keys() & second.keys())]
            estimate = paired_ratio(pairs, DRAWS) if pairs else None
        else:
            typical_of_other = _typical(fact, self._other)
            estimate = unpaired_ratio(base, typical_of_other) if typical_of_other else None
        return change_interval(estimate.interval) if estimate and estimate.interval else None

    def span(self, fact: Fact[Any], cell: Cell) -> Interval | None:
        """Return the interval of the change of a time: that of the metric itself if it is measured once per block, else
        that of the medians."""
        if self.comparison.items is not None and fact is not LATENCY_PER_ITEM:
            return None
        if _is_per_block(fact):
            return cell.ci95
        return change_interval(self.comparison.ci95) if self.comparison.ci95 and not self.comparison.refused else None


def _inputs_differ(documents: Sequence[RunDocument]) -> bool:
    """Whether the runs are known to have different inputs."""
    return len({run.inputs.sha256 for run in documents if run.inputs is not None} - {None}) > 1


def _is_per_block(fact: Fact[Any]) -> bool:
    """Whether each block measures the fact once."""
    return fact.comparison is not None and fact.comparison.per_block is not None


def _by_block(fact: Fact[Any], document: RunDocument) -> dict[int, list[float]]:
    """Return the values of a fact that each block measures once, by the index of the block."""
    read = fact.comparison.per_block if fact.comparison else None
    if read is None:
        return {}
    return {block.index: [value] for block in document.blocks if (value := read(block)) and is_latency(value)}


def _typical(fact: Fact[Any], document: RunDocument) -> LogEstimate | None:
    values = list(_by_block(fact, document).values())
    return typical_latency(values, DRAWS) if values else None


def _value_text(value: Value) -> str:
    if isinstance(value, str):
        return text.plain(value)
    return f"{value:,}" if isinstance(value, int) else text.number(value)


def _best(cells: Sequence[Cell], better: Better) -> frozenset[int]:
    """Return the indices of the best values. Values that are printed the same count as equal."""
    known = [cell.value for cell in cells if isinstance(cell.value, float)]
    if better is None or len(set(map(_value_text, known))) < 2:
        return frozenset()
    best = _value_text(min(known) if better == "lower" else max(known))
    return frozenset(index for index, cell in enumerate(cells) if _value_text(cell.value) == best)


def _best_is_certain(
    fact: Fact[Any], cells: Sequence[Cell], best: frozenset[int], paired_runs: Sequence[_ComparedRun]
) -> bool:
    """Whether each of the best times is better than every other one according to their intervals."""
    spans = [(0.0, 0.0), *(pair.span(fact, cell) for pair, cell in zip(paired_runs, cells[1:], strict=True))]
    others = [index for index, cell in enumerate(cells) if index not in best and cell.value is not None]
    for winner, loser in itertools.product(best, others):
        won, lost = spans[winner], spans[loser]
        if won is None or lost is None or won[1] >= lost[0]:
            return False
        against_base = paired_runs[(winner or loser) - 1].comparison if 0 in (winner, loser) else None
        if against_base and not _is_per_block(fact) and against_base.verdict not in ("faster", "slower"):
            return False
    return True
