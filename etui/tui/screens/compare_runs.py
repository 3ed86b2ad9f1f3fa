"""The compare screen's data: reads and compares runs in threads, and keeps the baseline and the excluded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import get_current_worker

from etui.analysis.latency import MARGIN
from etui.errors import EtuiError
from etui.results import RunDocument
from etui.text import counted, plain
from etui.tui.compare.loader import Outcome, Runs, Stopped, outcome, read
from etui.tui.compare.selection import Selection
from etui.tui.compare.verdicts import remarks
from etui.tui.defect_guard import Guarded
from etui.tui.error_text import to_text
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs

_REFRESH_S = 3.0
"""Interval at which a comparison with live runs is updated; low, since the measurement shares the machine."""


class CompareRuns(Guarded, Screen[None]):
    """The part of the compare screen that reads and compares runs. Subclasses display the results."""

    app: ScreenHost

    class Progress(Message):
        """The number of runs read so far."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    class Read(Message):
        """The runs have been read."""

        def __init__(self, runs: Runs) -> None:
            super().__init__()
            self.runs = runs

    class Compared(Message):
        """A comparison is complete; ``request`` is the number of the request it answers."""

        def __init__(self, result: Outcome, request: int) -> None:
            super().__init__()
            self.result = result
            self.request = request

    class Failed(Message):
        """The database cannot be read."""

        def __init__(self, error: EtuiError) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self, database: Path, run_ids: Sequence[str], *, baseline: str | None = None, cursor: str | None = None
    ) -> None:
        """Compare ``run_ids`` with the pinned ``baseline``; without one, with the run under the ``cursor`` if it is one
        of them, else with the oldest."""
        super().__init__()
        self._database = database
        self._wanted = list(dict.fromkeys([*([baseline] if baseline else []), *run_ids]))
        self._baseline = baseline
        self._cursor = cursor
        self._runs: Runs | None = None
        self._selection: Selection | None = None
        self._outcome: Outcome | None = None
        self._margin = MARGIN
        self._force = False
        self._request = 0
        self._refresh_timer: Timer | None = None

    @property
    def found(self) -> Outcome | None:
        """The comparison that is shown."""
        return self._outcome

    @property
    def base(self) -> str | None:
        """The id of the baseline."""
        return self._selection.base if self._selection else None

    # Display, implemented by the subclass

    def show_progress(self, message: str) -> None:
        """Show how many runs have been read."""
        raise NotImplementedError

    def show_none(self, lines: Sequence[str]) -> None:
        """Show why there is nothing to compare."""
        raise NotImplementedError

    def show_comparison(self, result: Outcome, runs: Runs, selection: Selection) -> None:
        """Show verdicts, metrics and charts of a comparison."""
        raise NotImplementedError

    def write_title(self, runs: Runs, selection: Selection, *, working: bool) -> None:
        """Update the title; ``working`` means that the comparison is still running."""
        raise NotImplementedError

    # Read and compare

    def on_mount(self) -> None:
        """Start reading."""
        self.show_progress(f"reading {counted(len(self._wanted), 'run')}")
        self._read()

    @work(thread=True, exclusive=True, group="compare-read")
    def _read(self) -> None:
        worker = get_current_worker()
        try:
            runs = read(
                self._database,
                self._wanted,
                lambda count: self.post_message(self.Progress(count)),
                lambda: worker.is_cancelled,
            )
        except Stopped:
            return
        except EtuiError as error:
            self.post_message(self.Failed(error))
            return
        if not worker.is_cancelled:
            self.post_message(self.Read(runs))

    @work(thread=True, exclusive=True, group="compare")
    def _compare(
        self, base: RunDocument, others: Sequence[RunDocument], slots: Mapping[str, int], request: int
    ) -> None:
        worker = get_current_worker()
        levels = self._runs.levels if self._runs is not None else []
        result = outcome(base, others, slots, glyphs(self.app), margin=self._margin, force=self._force, levels=levels)
        if not worker.is_cancelled:
            self.post_message(self.Compared(result, request))

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        # While a comparison is shown, reading again is not reported.
        if self._outcome is None:
            self.show_progress(f"reading: {message.count:,} of {len(self._wanted):,} runs")

    @on(Read)
    def _was_read(self, message: Read) -> None:
        runs = self._runs = message.runs
        if not runs.documents:
            self.show_none(remarks([], runs.gone, runs.broken) or ["No runs to compare."])
            return
        if self._selection is None:
            self._selection = Selection(runs.documents, self._first_base(runs))
        else:
            # The selection stays, except for runs that were deleted meanwhile.
            for gone in [run_id for run_id in self._selection.ids if run_id not in runs.documents]:
                self._forget(gone, runs)
        if runs.live and self._refresh_timer is None:
            self._refresh_timer = self.set_interval(_REFRESH_S, self._read)
        elif not runs.live and self._refresh_timer is not None:
            self._refresh_timer.stop()
            self._refresh_timer = None
        self.compare()

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        # A comparison that is already shown stays.
        if self._outcome is None:
            self.show_none([f"Cannot read these runs: {plain(to_text(message.error))}."])
        else:
            self.app.complain(message.error, "Cannot read the database")

    @on(Compared)
    def _was_compared(self, message: Compared) -> None:
        # Ignore the result of an outdated request.
        if message.request == self._request and self._selection is not None and self._runs is not None:
            self._outcome = message.result
            self.show_comparison(message.result, self._runs, self._selection)

    def compare(self) -> None:
        """Compare again with the current baseline, runs and options."""
        runs, selection = self._runs, self._selection
        if runs is None or selection is None:
            return
        self._request += 1
        others = [runs.documents[run_id] for run_id in selection.others]
        self.write_title(runs, selection, working=True)
        self._compare(runs.documents[selection.base], others, selection.slots, self._request)

    def _first_base(self, runs: Runs) -> str:
        for preferred in (self._baseline, self._cursor):
            if preferred is not None and preferred in runs.documents:
                return preferred
        return next(iter(runs.documents))

    def _forget(self, run_id: str, runs: Runs) -> None:
        selection = self._selection
        assert selection is not None
        if run_id == selection.base:
            successor = next((other for other in selection.others if other in runs.documents), None)
            if successor is None:
                self._selection = Selection(runs.documents, next(iter(runs.documents)))
                return
            selection.make_base(successor)
        selection.drop(run_id)
        selection.dropped.remove(run_id)
