"""A base with the runs beside it, and what can be said of them: the same words wherever a comparison is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from etui.analysis import side_by_side as sides
from etui.analysis.comparison import RunComparison, compare
from etui.analysis.session_variance import Level
from etui.results import RunDocument
from etui.wording import comparison as comparison_words
from etui.wording import run as words


@dataclass(frozen=True)
class Compared:
    """A base, the runs beside it, and what came of it, in the order of ``others``."""

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
        levels: Sequence[Level] = (),
    ) -> Compared:
        """Compare the runs. ``margin`` is a share; ``levels`` are those of earlier sessions on the machine."""
        return Compared(base, list(others), compare(base, others, margin=margin, force=force, levels=levels))

    @cached_property
    def names(self) -> dict[str, str]:
        """A short name for each run."""
        return comparison_words.names([self.base, *self.others])

    def sentences(self) -> list[list[str]]:
        """What can be said of each of the others; of a run alone, what can be said of it."""
        if not self.others:
            alone = "There is only one run, so nothing to compare it with but eager of its own session."
            return [[alone, *words.verdict(self.base)]]
        said = []
        for found, other in zip(self.found, self.others, strict=True):
            lines = comparison_words.sentences(found, self.names)
            if other.id != self.base.id:
                lines.append(comparison_words.accuracy(self.base, other, self.names))
            said.append([line for line in lines if line])
        return said

    @cached_property
    def rows(self) -> list[sides.Row]:
        """Every figure of all runs, the base's first."""
        return sides.rows(self.base, self.others, self.found)

    def figures(self, *, everything: bool) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of a table of text: what differs, or ``everything``."""
        named = self.names
        headings = [f"{named[self.base.id]} (base)", *(named[other.id] for other in self.others)]
        shown = [
            [row.name, *map(sides.shown, row.cells)]
            for row in self.rows
            if everything or row.differs or not self.others
        ]
        return ["", *headings], shown
