"""Reads the runs of a comparison and compares them, away from the screen's own thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from etui.analysis import pareto
from etui.analysis.pareto import Front
from etui.analysis.session_level import machine_of
from etui.analysis.session_variance import Level
from etui.errors import EtuiError
from etui.results import LIVE_STATUSES, RunDocument
from etui.store import Condition, Store
from etui.tui.compare.metrics_text import Heading, Sheet, sheet
from etui.tui.glyphs import Glyphs
from etui.wording.comparison_set import Compared

_AT_ONCE = 500
_TELL_EVERY = 10


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that could be read, oldest first; ``gone`` are ids of which there are none (any more), and ``broken``
    sentences on those that cannot be read."""

    documents: dict[str, RunDocument]
    gone: list[str]
    broken: list[str]
    levels: list[Level] = []

    @property
    def live(self) -> list[RunDocument]:
        """Those whose figures are not final."""
        return [document for document in self.documents.values() if document.status in LIVE_STATUSES]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that the screen shows of a comparison."""

    compared: Compared
    sentences: list[list[str]]
    accuracy: Front
    size: Front
    differing: Sheet
    everything: Sheet


class Stopped(Exception):
    """Nobody waits for it any more."""


def read(database: Path, run_ids: Sequence[str], tell: Callable[[int], object], is_stopped: Callable[[], bool]) -> Runs:
    """Read the runs; ``tell`` is told how many have been. Raises EtuiError where the database cannot be read, and
    Stopped."""
    documents: dict[str, RunDocument] = {}
    broken: list[str] = []
    with Store.open(database, create=False) as store:
        known: list[str] = []
        for begin in range(0, len(run_ids), _AT_ONCE):
            part = list(run_ids[begin : begin + _AT_ONCE])
            known += [run.id for run in store.summaries([Condition("id", "in", part)], descending=False)]
        # A run may go between the two looks; then the second says that it is broken.
        for number, run_id in enumerate(known):
            if is_stopped():
                raise Stopped
            if number % _TELL_EVERY == 0:
                tell(number)
            try:
                documents[run_id] = store.document(run_id, operators=False)
            except EtuiError as error:
                broken.append(error.message)
        ordered = dict(sorted(documents.items(), key=lambda item: item[1].created_at))
        machines = {machine_of(run.environment): run.environment for run in ordered.values()}
        levels = [level for machine in machines.values() for level in store.session_levels(machine)]
    gone = [one for one in run_ids if one not in set(known)]
    return Runs(documents=ordered, gone=gone, broken=broken, levels=levels)


def outcome(
    base: RunDocument,
    others: Sequence[RunDocument],
    slots: Mapping[str, int],
    signs: Glyphs,
    *,
    margin: float,
    force: bool,
    levels: Sequence[Level] = (),
) -> Outcome:
    """Compare the runs, look for the fronts, and lay out the table; ``slots`` holds that of each run."""
    compared = Compared.between(base, others, margin=margin, force=force, levels=levels)
    verdicts = {one.other: one.verdict for one in compared.found}
    headings = [
        Heading(run=one.id, name=compared.names[one.id], slot=slots[one.id], verdict=verdicts.get(one.id))
        for one in (base, *others)
    ]
    return Outcome(
        compared=compared,
        sentences=compared.sentences(),
        accuracy=pareto.accuracy_front(base, others, compared.found),
        size=pareto.size_front(base, others, compared.found),
        differing=sheet(headings, compared.rows, signs, everything=False),
        everything=sheet(headings, compared.rows, signs, everything=True),
    )
