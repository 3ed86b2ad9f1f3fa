"""A base run compared with others, with the sentences and tables that every front end shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from etui.analysis import side_by_side
from etui.analysis.comparison import RunComparison, compare
from etui.analysis.session_variance import SessionLatency
from etui.results import RunDocument
from etui.wording import comparison as comparison_wording
from etui.wording import task_evaluation
from etui.wording.verdict import verdict


@dataclass(frozen=True)
class Compared:
    """A base run, the other runs, and one comparison for each of them, in the order of ``others``."""

    base: RunDocument
    others: list[RunDocument]
    found: list[RunComparison]

    @classmethod
    def between(
        cls,
        base: RunDocument,
        others: Sequence[RunDocument],
        *,
        margin: float,
        force: bool,
        levels: Sequence[SessionLatency] = (),
    ) -> Compared:
        """Compare the runs. ``margin`` is a share; ``levels`` are those of earlier sessions on this machine."""
        return Compared(base, list(others), compare(base, others, margin=margin, force=force, levels=levels))

    @cached_property
    def names(self) -> dict[str, str]:
        """A short name for each run, by id."""
        return comparison_wording.names([self.base, *self.others])

    def sentences(self) -> list[list[str]]:
        """Return the sentences about each of the other runs; for a run alone, those about it."""
        if not self.others:
            alone = "There is only one run, so it is compared with eager in its own session only."
            return [[alone, *(one.text for one in verdict(self.base))]]
        sentences = []
        for found, other in zip(self.found, self.others, strict=True):
            lines = comparison_wording.sentences(found, self.names)
            if other.id != self.base.id:
                lines.append(comparison_wording.accuracy(self.base, other, self.names))
                lines.append(task_evaluation.compared(self.base, other, self.names))
            sentences.append([line for line in lines if line])
        return sentences

    @cached_property
    def rows(self) -> list[side_by_side.Row]:
        """All metrics of all runs, the base's first."""
        return side_by_side.rows(self.base, self.others, self.found)

    @property
    def headings(self) -> list[str]:
        """The name of each run, the base's first."""
        return [f"{self.names[self.base.id]} (base)", *(self.names[other.id] for other in self.others)]

    def metrics(self, *, everything: bool) -> list[side_by_side.Row]:
        """Return the metrics that differ, or ``everything``; of a run alone, all of them."""
        return [row for row in self.rows if everything or row.differs or not self.others]

    def figures(self, *, everything: bool) -> tuple[list[str], list[list[str]]]:
        """Return headings and rows of a text table of ``metrics``."""
        shown = [[row.name, *map(side_by_side.shown, row.cells)] for row in self.metrics(everything=everything)]
        return ["", *self.headings], shown
