"""The compare screen's actions: details, trend, duel, copy as Markdown, report."""

from __future__ import annotations

from pathlib import Path

from textual import work

from etui.analysis import pareto
from etui.errors import EtuiError
from etui.tui.screens.compare_runs import CompareRuns
from etui.tui.screens.trust_file import ask_trust


class CompareActions(CompareRuns):
    """The actions of the compare screen. Disk access runs in a thread; its errors are reported in a notice."""

    @property
    def run(self) -> str | None:
        """The run under the cursor."""
        raise NotImplementedError

    @property
    def shows_everything(self) -> bool:
        """Whether all metrics are shown, not only those that differ."""
        raise NotImplementedError

    def open(self, run_id: str) -> None:
        """Open a run's details."""
        from etui.tui.screens.details import DetailsScreen

        self.app.push_screen(DetailsScreen(self._database, run_id))

    def action_details(self) -> None:
        """Open the details of the run under the cursor."""
        if (run := self.run) is not None:
            self.open(run)

    def action_copy(self) -> None:
        """Copy the comparison as Markdown."""
        from etui.report.comparison import as_markdown
        from etui.tui.markdown import copy_markdown

        if (result := self._outcome) is None:
            return
        names = result.compared.names
        fronts = []
        if result.compared.others:
            fronts = [*pareto.sentences(result.accuracy, names), *pareto.sentences(result.size, names)]
        page = as_markdown(result.compared, everything=self.shows_everything, remarks=fronts)
        self.notify(copy_markdown(self.app, page), title="Copied", markup=False)

    def action_report(self) -> None:
        """Write a report on these runs."""
        from etui.tui.screens.report import ReportDialog

        if (result := self._outcome) is None:
            return
        documents = [result.compared.base, *result.compared.others]

        def written(path: Path | None) -> None:
            if path is not None:
                self.app.say(f"Report written to {path}", keep=True)

        levels = self._runs.levels if self._runs is not None else []
        dialog = ReportDialog(documents, margin=self._margin, force=self._force, levels=levels)
        self.app.push_screen(dialog, written)

    def action_trend(self) -> None:
        """Show the trend of the run under the cursor."""
        from etui.tui.screens.trend import TrendScreen

        if (run := self.run) is not None:
            self.app.push_screen(TrendScreen(self._database, run))

    def action_duel(self) -> None:
        """Measure the baseline and the run under the cursor again, interleaved."""
        run, selection = self.run, self._selection
        if run is None or selection is None:
            return
        if run == selection.base:
            self.notify("A duel needs two runs: move the cursor to a run other than the baseline.", severity="warning")
            return
        self._queue_duel(selection.base, run)

    @work(thread=True, exclusive=True, group="duel")
    def _queue_duel(self, first: str, second: str, trusted: tuple[str, ...] = ()) -> None:
        from etui.runner.rebuild_program import Untrusted
        from etui.services.duel import queue_duel
        from etui.store import Store

        try:
            with Store.open(self._database, create=False) as store:
                ids = [run_id for run_id, _ in queue_duel(store, first, second, trusted_files=trusted).runs]
        except Untrusted as error:
            allowed = (*trusted, *error.files)
            self.call_later(ask_trust, self.app, error, lambda: self._queue_duel(first, second, allowed))
            return
        except EtuiError as error:
            self.call_later(self.app.complain, error)
            return
        self.call_later(self._follow_duel, ids)

    def _follow_duel(self, run_ids: list[str]) -> None:
        """Open a comparison of the two new runs, which updates as blocks complete."""
        self.app.nudge()
        self.app.say("The duel is queued. Partial results appear here as blocks complete.")
        self.app.push_screen(type(self)(self._database, run_ids, baseline=run_ids[0]))
