"""The chart of the run under the cursor, in the main screen's chart pane; that of a live run follows its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.results import RunDocument
from etui.store import Condition, Store
from etui.tui.bench.live_rows import measured_blocks
from etui.tui.database import Database
from etui.tui.feed import LiveSession
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.workers import start

PAST_RUNS = 200


class CursorChart:
    """Reads a run and its past runs and shows them in the pane; ``drawn`` is the id of the run whose chart is shown."""

    def __init__(self, pane: ChartPane, database: Database) -> None:
        self._pane = pane
        self._database = database
        self.drawn: str | None = None
        self._past: list[RunSummary] = []
        self._blocks = 0
        """The number of blocks, of the run and its baseline, in the last reading of a live run."""

    def show(self, run: RunSummary | None) -> None:
        """Show the chart of this run; None for no run."""
        self.drawn = None
        self._blocks, self._past = 0, []
        start(self._pane, partial(self._show, run), group="chart", exclusive=True)

    def take(self, sessions: Sequence[LiveSession]) -> None:
        """Draw the chart again if its run has new blocks."""
        if self.drawn is None or not (self._pane.display and self._pane.screen.is_current):
            return
        blocks = measured_blocks(sessions, self.drawn)
        if blocks > self._blocks:
            self._blocks = blocks
            start(self._pane, partial(self._update, self.drawn), group="chart", exclusive=True)

    async def _update(self, run_id: str) -> None:
        try:
            document, session = await self._database.read(partial(_read_live, run_id))
        except EtuiError as error:
            # The feed reports a database that cannot be read.
            self._pane.log.warning(str(error))
        else:
            self._pane.show_run(document, self._past, session)

    async def _show(self, run: RunSummary | None) -> None:
        if run is None:
            self._pane.show_run(None, [])
            return
        try:
            document, past, session = await self._database.read(partial(_read, run.id))
        except EtuiError as error:
            # Not an error for the user: the run may have been deleted meanwhile.
            self._pane.log.warning(str(error))
            self._pane.show_run(None, [])
            return
        self._past = past
        self._pane.show_run(document, past, session)
        self.drawn = run.id


def _read(run_id: str, store: Store) -> tuple[RunDocument, list[RunSummary], list[RunSummary]]:
    """Return a run's document, the past runs of its configuration, and the runs of its session."""
    document, session = _read_live(run_id, store)
    return document, store.past_runs(run_id, PAST_RUNS), session


def _read_live(run_id: str, store: Store) -> tuple[RunDocument, list[RunSummary]]:
    """Return a run's document, and the runs of its session if these differ in more than precision and delegate."""
    document = store.document(run_id)
    if document.variant is None:
        return document, []
    return document, store.summaries([Condition("session", "=", document.session.id)])
