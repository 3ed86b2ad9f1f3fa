"""Reads the runs of a comparison and compares them; both are slow and run in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from etui.analysis import pareto
from etui.analysis.pareto import Front
from etui.analysis.session_level import machine_of
from etui.analysis.session_variance import SessionLatency
from etui.errors import EtuiError
from etui.results import LIVE_STATUSES, RunDocument
from etui.services.progress_state import SessionProgress
from etui.services.session_progress import SessionFollower
from etui.store import Condition, Store
from etui.tui.compare.metrics_text import Heading, Sheet, sheet
from etui.tui.glyphs import Glyphs
from etui.wording.comparison_set import Compared
from etui.wording.verdict_table import VerdictRow, verdict_rows

_BATCH = 500
_PROGRESS_EVERY = 10


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that could be read, oldest first. ``gone`` are the ids that the database does not have (any more),
    ``broken`` are the error messages of runs that cannot be read, ``progress`` is that of the first live session."""

    documents: dict[str, RunDocument]
    gone: list[str]
    broken: list[str]
    levels: list[SessionLatency] = []
    progress: SessionProgress | None = None

    @property
    def live(self) -> list[RunDocument]:
        """The runs that are not finished."""
        return [document for document in self.documents.values() if document.status in LIVE_STATUSES]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a comparison that the screen shows."""

    compared: Compared
    sentences: list[list[str]]
    verdicts: list[VerdictRow]
    accuracy: Front
    size: Front
    differing: Sheet
    everything: Sheet


class Stopped(Exception):
    """The result is not needed any more."""


def read(
    store: Store,
    run_ids: Sequence[str],
    report: Callable[[int], object],
    is_stopped: Callable[[], bool],
    follower: SessionFollower | None = None,
) -> Runs:
    """Read the runs, calling ``report`` with the number read so far; ``follower`` follows the first live session.

    Raises EtuiError if the database cannot be read, and Stopped if ``is_stopped`` returns True.
    """
    documents: dict[str, RunDocument] = {}
    broken: list[str] = []
    known: list[str] = []
    for begin in range(0, len(run_ids), _BATCH):
        part = list(run_ids[begin : begin + _BATCH])
        known += [run.id for run in store.summaries([Condition("id", "in", part)], descending=False)]
    # A run that is deleted between the two reads is reported as broken.
    for number, run_id in enumerate(known):
        if is_stopped():
            raise Stopped
        if number % _PROGRESS_EVERY == 0:
            report(number)
        try:
            documents[run_id] = store.document(run_id, operators=False)
        except EtuiError as error:
            broken.append(error.message)
    ordered = dict(sorted(documents.items(), key=lambda item: item[1].created_at))
    machines = {machine_of(run.environment): run.environment for run in ordered.values()}
    levels = [level for machine in machines.values() for level in store.session_levels(machine)]
    gone = [run_id for run_id in run_ids if run_id not in set(known)]
    runs = Runs(documents=ordered, gone=gone, broken=broken, levels=levels)
    if follower is not None and runs.live:
        progress = follower.look(store, runs.live[0].session.id)
        return msgspec.structs.replace(runs, progress=progress)
    return runs


def outcome(
    base: RunDocument,
    others: Sequence[RunDocument],
    slots: Mapping[str, int],
    signs: Glyphs,
    *,
    margin: float,
    force: bool,
    levels: Sequence[SessionLatency] = (),
) -> Outcome:
    """Compare the runs, compute the Pareto fronts, and lay out the table; ``slots`` has the slot of each run."""
    compared = Compared.between(base, others, margin=margin, force=force, levels=levels)
    verdicts = verdict_rows(compared)
    headings = [
        Heading(run=row.run, name=row.name, slot=slots[row.run], verdict=row.verdict, trust=row.trust)
        for row in verdicts
    ]
    return Outcome(
        compared=compared,
        sentences=compared.sentences(),
        verdicts=verdicts,
        accuracy=pareto.accuracy_front(base, others, compared.found),
        size=pareto.size_front(base, others, compared.found),
        differing=sheet(headings, compared.rows, signs, everything=False),
        everything=sheet(headings, compared.rows, signs, everything=True),
    )
