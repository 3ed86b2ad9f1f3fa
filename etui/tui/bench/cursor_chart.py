"""The chart of the run under the cursor, in the main screen's chart pane."""

from __future__ import annotations

from functools import partial

from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.results import RunDocument
from etui.store import Store
from etui.tui.database import Database
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.workers import start

PAST_RUNS = 200


class CursorChart:
    """Reads a run and its past runs and shows them in the pane; ``drawn`` is the id of the run whose chart is shown."""

    def __init__(self, pane: ChartPane, database: Database) -> None:
        self._pane = pane
        self._database = database
        self.drawn: str | None = None

    def show(self, run: RunSummary | None) -> None:
        """Show the chart of this run; None for no run."""
        start(self._pane, partial(self._show, run), group="chart", exclusive=True)

    async def _show(self, run: RunSummary | None) -> None:
        self.drawn = None
        if run is None:
            self._pane.show_run(None, [])
            return
        try:
            document, past = await self._database.read(partial(_read, run.id))
        except EtuiError as error:
            # Not an error for the user: the run may have been deleted meanwhile.
            self._pane.log.warning(str(error))
            self._pane.show_run(None, [])
            return
        self._pane.show_run(document, past)
        self.drawn = run.id


def _read(run_id: str, store: Store) -> tuple[RunDocument, list[RunSummary]]:
    """Return a run's document, and the past runs of its configuration."""
    return store.document(run_id), store.past_runs(run_id, PAST_RUNS)
