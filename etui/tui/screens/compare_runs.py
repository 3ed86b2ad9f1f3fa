"""What the compare screen compares: runs read and compared in threads, and which of them is the base or left out."""

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
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs

_AGAIN_S = 3.0
"""So often a comparison with live runs is made again: they share the machine."""


class CompareRuns(Guarded, Screen[None]):
    """The part of the compare screen that reads and compares. What it has to show it hands to the other half."""

    app: ScreenHost

    class Told(Message):
        """So many runs have been read."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    class Read(Message):
        """The runs have been read."""

        def __init__(self, runs: Runs) -> None:
            super().__init__()
            self.runs = runs

    class Compared(Message):
        """The comparison that was asked for last is there."""

        def __init__(self, found: Outcome, asked: int) -> None:
            super().__init__()
            self.found = found
            self.asked = asked

    class Failed(Message):
        """The database cannot be read."""

        def __init__(self, error: EtuiError) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self, database: Path, run_ids: Sequence[str], *, baseline: str | None = None, cursor: str | None = None
    ) -> None:
        """Compare ``run_ids`` with the pinned ``baseline``; without one, with the run under the ``cursor`` where that
        is among them, else with the oldest."""
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
        self._asked = 0
        self._again: Timer | None = None

    @property
    def found(self) -> Outcome | None:
        """The comparison that is shown."""
        return self._outcome

    @property
    def base(self) -> str | None:
        """The base's id."""
        return self._selection.base if self._selection else None

    # What the half that shows gives

    def show_progress(self, words: str) -> None:
        """Say how far the reading is."""
        raise NotImplementedError

    def show_none(self, lines: Sequence[str]) -> None:
        """Say why there is nothing to compare."""
        raise NotImplementedError

    def show_comparison(self, found: Outcome, runs: Runs, selection: Selection) -> None:
        """Show the comparison that was asked for last."""
        raise NotImplementedError

    def write_title(self, runs: Runs, selection: Selection, *, working: bool) -> None:
        """Say what is compared, and with ``working`` that the comparison is under way."""
        raise NotImplementedError

    # Reading and comparing

    def on_mount(self) -> None:
        """Begin to read."""
        self.show_progress(f"reading {counted(len(self._wanted), 'run')}")
        self._read()

    @work(thread=True, exclusive=True, group="compare-read")
    def _read(self) -> None:
        worker = get_current_worker()
        try:
            runs = read(
                self._database,
                self._wanted,
                lambda count: self.post_message(self.Told(count)),
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
    def _compare(self, base: RunDocument, others: Sequence[RunDocument], slots: Mapping[str, int], asked: int) -> None:
        worker = get_current_worker()
        levels = self._runs.levels if self._runs is not None else []
        found = outcome(base, others, slots, glyphs(self.app), margin=self._margin, force=self._force, levels=levels)
        if not worker.is_cancelled:
            self.post_message(self.Compared(found, asked))

    @on(Told)
    def _told(self, message: Told) -> None:
        # Where there is something to look at already, reading it again is not worth a word.
        if self._outcome is None:
            self.show_progress(f"reading: {message.count:,} of {len(self._wanted):,} runs")

    @on(Read)
    def _was_read(self, message: Read) -> None:
        runs = self._runs = message.runs
        if not runs.documents:
            self.show_none(remarks([], runs.gone, runs.broken) or ["There is no run to compare."])
            return
        if self._selection is None:
            self._selection = Selection(runs.documents, self._first_base(runs))
        else:
            # Read again: what was chosen stays, but for runs that have gone.
            for gone in [one for one in self._selection.ids if one not in runs.documents]:
                self._forget(gone, runs)
        if runs.live and self._again is None:
            self._again = self.set_interval(_AGAIN_S, self._read)
        elif not runs.live and self._again is not None:
            self._again.stop()
            self._again = None
        self.compare()

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        # What is shown stays.
        if self._outcome is None:
            self.show_none([f"These runs cannot be read: {plain(str(message.error))}."])
        else:
            self.notify(str(message.error), title="The database cannot be read", severity="error", markup=False)

    @on(Compared)
    def _was_compared(self, message: Compared) -> None:
        # Another may have been asked for meanwhile.
        if message.asked == self._asked and self._selection is not None and self._runs is not None:
            self._outcome = message.found
            self.show_comparison(message.found, self._runs, self._selection)

    def compare(self) -> None:
        """Compare again, with what is chosen now."""
        runs, selection = self._runs, self._selection
        if runs is None or selection is None:
            return
        self._asked += 1
        others = [runs.documents[one] for one in selection.others]
        self.write_title(runs, selection, working=True)
        self._compare(runs.documents[selection.base], others, selection.slots, self._asked)

    def _first_base(self, runs: Runs) -> str:
        for wanted in (self._baseline, self._cursor):
            if wanted is not None and wanted in runs.documents:
                return wanted
        return next(iter(runs.documents))

    def _forget(self, run_id: str, runs: Runs) -> None:
        selection = self._selection
        assert selection is not None
        if run_id == selection.base:
            heir = next((one for one in selection.others if one in runs.documents), None)
            if heir is None:
                self._selection = Selection(runs.documents, next(iter(runs.documents)))
                return
            selection.make_base(heir)
        selection.drop(run_id)
        selection.dropped.remove(run_id)
