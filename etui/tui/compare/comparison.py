"""What the compare screen compares: the runs, the baseline, the options and the result. No widgets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from etui.analysis.latency import MARGIN
from etui.services.session_progress import SessionFollower
from etui.tui.compare import loader
from etui.tui.compare.loader import Outcome, Runs
from etui.tui.compare.selection import Selection
from etui.tui.database import Database
from etui.tui.glyphs import Glyphs
from etui.tui.workers import stop_flag


class Comparison:
    """Compares runs with a baseline: the ``pinned`` one if it can be read, else the run under the ``cursor`` if it is
    one of them, else the oldest.

    ``runs`` and ``selection`` are None until the runs have been read, ``outcome`` until they have been compared.
    """

    def __init__(
        self, database: Database, run_ids: Sequence[str], *, pinned: str | None = None, cursor: str | None = None
    ) -> None:
        self._database = database
        self.wanted = list(dict.fromkeys([*([pinned] if pinned else []), *run_ids]))
        self.pinned = pinned
        self._cursor = cursor
        self._follower = SessionFollower()
        self.runs: Runs | None = None
        self.selection: Selection | None = None
        self.outcome: Outcome | None = None
        self.margin = MARGIN
        self.is_forced = False

    @property
    def is_live(self) -> bool:
        """Whether one of the runs is not finished."""
        return self.runs is not None and bool(self.runs.live)

    async def read(self, report: Callable[[int], object]) -> Runs:
        """Read the runs, again if they were read before; ``report`` is called in the reading thread with the number
        read so far. The selection stays, except for runs that were deleted meanwhile.

        Raises EtuiError if the database cannot be read.
        """
        with stop_flag() as stopped:
            runs = await self._database.read(
                lambda store: loader.read(store, self.wanted, report, stopped.is_set, self._follower)
            )
        self.runs = runs
        if runs.documents:
            if self.selection is None:
                self.selection = Selection(runs.documents, self._first_base(runs))
            for gone in [run_id for run_id in self.selection.ids if run_id not in runs.documents]:
                self._forget(gone, self.selection, runs)
            self.selection.dropped = [run_id for run_id in self.selection.dropped if run_id in runs.documents]
        return runs

    async def compare(self, glyphs: Glyphs) -> Outcome | None:
        """Compare the selected runs with the current options; None if there are no runs."""
        runs, selection = self.runs, self.selection
        if runs is None or selection is None:
            return None
        self.outcome = await asyncio.to_thread(
            partial(loader.outcome, margin=self.margin, force=self.is_forced, levels=runs.levels),
            runs.documents[selection.base],
            [runs.documents[run_id] for run_id in selection.others],
            selection.slots,
            glyphs,
        )
        return self.outcome

    def _first_base(self, runs: Runs) -> str:
        for preferred in (self.pinned, self._cursor):
            if preferred is not None and preferred in runs.documents:
                return preferred
        return next(iter(runs.documents))

    def _forget(self, run_id: str, selection: Selection, runs: Runs) -> None:
        """Remove a deleted run from the selection."""
        if run_id == selection.base:
            successor = next((other for other in selection.others if other in runs.documents), None)
            if successor is None:
                self.selection = Selection(runs.documents, next(iter(runs.documents)))
                return
            selection.make_base(successor)
        if selection.drop(run_id):
            selection.dropped.remove(run_id)
