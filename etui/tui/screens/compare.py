"""The screen that compares runs: the verdicts in words, the figures side by side, and pictures of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import get_current_worker

from etui.analysis import pareto
from etui.analysis.latency import MARGIN
from etui.errors import EtuiError
from etui.results import RunDocument
from etui.text import counted, plain
from etui.tui.actions import Scope, bindings
from etui.tui.compare.figures import FiguresTable, best_sign
from etui.tui.compare.pictures import ComparePictures
from etui.tui.compare.selection import Selection
from etui.tui.compare.source import Outcome, Runs, Stopped, outcome, read
from etui.tui.compare.words import SUMMED_FROM, Paragraph, VerdictView, remarks, summary
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from etui.tui.app import EtuiApp

MOST_RUNS = 1_000
"""More than so many runs side by side nobody reads; the filter finds those worth comparing."""
_AGAIN_S = 3.0
"""So often a comparison with live runs is made again: they share the machine."""
_ROOMY = (100, 30)


class CompareScreen(Screen[None]):
    """Some runs of a database beside a base. The actions of scope ``compare`` are its methods."""

    app: EtuiApp
    scope: ClassVar[Scope] = "compare"
    DEFAULT_CSS = """
    CompareScreen { layout: vertical; }
    CompareScreen #compare-title { height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap;
        text-overflow: ellipsis; }
    CompareScreen #compare-frame { height: 1fr; min-height: 4; border-top: solid $border-blurred;
        border-title-color: $text-muted; border-subtitle-color: $text-muted; padding: 0 1; }
    CompareScreen #compare-frame:focus { border-top: solid $border; border-title-color: $text-accent; }
    CompareScreen #compare-pictures { height: 9; min-height: 8; }
    CompareScreen.-zoomed #compare-words, CompareScreen.-zoomed #compare-frame { display: none; }
    CompareScreen KeyBar { height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]

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
        self._everything = False
        self._asked = 0
        self._again: Timer | None = None
        self._focus_run: str | None = None

    def compose(self) -> ComposeResult:
        """Title, words, figures, pictures, keys."""
        yield Static("Compare", id="compare-title", markup=False)
        yield VerdictView(id="compare-words")
        yield FiguresTable(id="compare-frame")
        yield ComparePictures(id="compare-pictures")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Begin to read."""
        self._figures.focus()
        self._words.show([Paragraph(words=f"reading {counted(len(self._wanted), 'run')}")])
        self._read()

    @property
    def found(self) -> Outcome | None:
        """The comparison that is shown."""
        return self._outcome

    @property
    def base(self) -> str | None:
        """The base's id."""
        return self._selection.base if self._selection else None

    @property
    def _figures(self) -> FiguresTable:
        return self.query_one(FiguresTable)

    @property
    def _words(self) -> VerdictView:
        return self.query_one(VerdictView)

    @property
    def _pictures(self) -> ComparePictures:
        return self.query_one(ComparePictures)

    # Reading and comparing, in threads

    @work(thread=True, exclusive=True, group="compare-read", exit_on_error=False)
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

    @work(thread=True, exclusive=True, group="compare", exit_on_error=False)
    def _compare(self, base: RunDocument, others: Sequence[RunDocument], slots: Mapping[str, int], asked: int) -> None:
        worker = get_current_worker()
        found = outcome(base, others, slots, glyphs(self.app), margin=self._margin, force=self._force)
        if not worker.is_cancelled:
            self.post_message(self.Compared(found, asked))

    def on_compare_screen_told(self, message: Told) -> None:
        """Say how far the reading is; nothing where there is something to read already."""
        if self._outcome is None:
            self._words.show([Paragraph(words=f"reading: {message.count:,} of {len(self._wanted):,} runs")])

    def on_compare_screen_read(self, message: Read) -> None:
        """Compare what was read."""
        runs = self._runs = message.runs
        if not runs.documents:
            lines = remarks([], runs.gone, runs.broken) or ["There is no run to compare."]
            self._words.show([Paragraph(words=line) for line in lines])
            self._lay_out()
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
        self._ask()

    def on_compare_screen_failed(self, message: Failed) -> None:
        """Say it; what is shown stays."""
        if self._outcome is None:
            self._words.show([Paragraph(words=f"These runs cannot be read: {plain(str(message.error))}.")])
            self._lay_out()
        else:
            self.notify(str(message.error), title="The database cannot be read", severity="error", markup=False)

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

    def _ask(self) -> None:
        """Compare again, with what is chosen now."""
        runs, selection = self._runs, self._selection
        if runs is None or selection is None:
            return
        self._asked += 1
        others = [runs.documents[one] for one in selection.others]
        self._write_title(working=True)
        self._compare(runs.documents[selection.base], others, selection.slots, self._asked)

    def on_compare_screen_compared(self, message: Compared) -> None:
        """Show it, unless another was asked for meanwhile."""
        if message.asked != self._asked or self._selection is None or self._runs is None:
            return
        self._outcome = message.found
        self._write_words(message.found, self._runs, self._selection)
        self._write_figures(message.found)
        self._show_pictures()
        self._write_title(working=False)
        self._lay_out()
        self.refresh_bindings()

    # Drawing

    def _write_words(self, found: Outcome, runs: Runs, selection: Selection) -> None:
        compared = found.compared
        gone = list(runs.gone)
        said = []
        if self._baseline in gone:
            gone.remove(self._baseline or "")
            name = compared.names[compared.base.id]
            said.append(f"The pinned baseline {(self._baseline or '')[:6]} was deleted: {name} is the base instead.")
        said += remarks(runs.live, gone, runs.broken)
        paragraphs = [Paragraph(words=words) for words in said]
        if not compared.others:
            paragraphs += [Paragraph(words=" ".join(found.sentences[0]), run=compared.base.id, slot=0)]
        else:
            if len(compared.others) >= SUMMED_FROM:
                paragraphs.append(Paragraph(words=summary(compared.found)))
            for other, one, lines in zip(compared.others, compared.found, found.sentences, strict=True):
                words = " ".join(lines)
                paragraphs.append(
                    Paragraph(words=words, run=other.id, slot=selection.slot(other.id), verdict=one.verdict)
                )
        self._words.show(paragraphs)

    def _write_figures(self, found: Outcome) -> None:
        compared = found.compared
        self._figures.show(found.everything if self._everything else found.differing)
        if self._focus_run is None:
            # The answer is about the others: the first of them is where the work begins.
            self._figures.put_cursor(compared.others[0].id if compared.others else compared.base.id)
        self._write_frame()

    def _write_frame(self) -> None:
        figures, signs = self._figures, glyphs(self.app)
        which = "every figure" if self._everything else "only what differs"
        about = f"{signs.about} half the 95 % interval {signs.dot} {best_sign(self.app)} best of its row"
        figures.border_title = f"Figures {signs.dot} {which} {signs.dot} {about}"

    def _show_pictures(self) -> None:
        if self._outcome is not None and self._selection is not None:
            near = self._figures.run or self._selection.base
            self._pictures.show(self._outcome, self._selection, near)

    def _write_title(self, *, working: bool) -> None:
        selection, runs = self._selection, self._runs
        if selection is None or runs is None:
            return
        signs = glyphs(self.app)
        base = runs.documents[selection.base]
        line = Text("Compare  ")
        line.append(f"{signs.baseline} {plain(f'{base.model.name} {base.precision}/{base.delegate}')}")
        parts = [f"beside {counted(len(selection.others), 'run')}", f"margin {self._margin * 100:g} %"]
        if self._force:
            parts.append("forced")
        if selection.dropped:
            parts.append(f"{len(selection.dropped):,} left out")
        if runs.live:
            parts.append(f"{signs.live} live")
        if working and (len(selection.others) > 20 or self._outcome is None):
            parts.append("comparing")
        line.append("".join(f" {signs.dot} {part}" for part in parts), "not bold")
        self.query_one("#compare-title", Static).update(line)

    def on_resize(self, event: events.Resize) -> None:
        """Share the height between words, figures and pictures."""
        del event
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        """The words take what they need, but never so much that the figures and pictures cannot be read."""
        height = self.size.height
        roomy = self.size.width >= _ROOMY[0] and height >= _ROOMY[1]
        most = max(3, height // 4)
        self._words.styles.height = max(1, min(self._words.lines_needed, most))
        self._pictures.styles.height = "1fr" if self.has_class("-zoomed") else height * 2 // 5 if roomy else 9

    # What the keys do

    @on(FiguresTable.Moved)
    def _moved(self, event: FiguresTable.Moved) -> None:
        self._focus_run = event.run
        self._words.point_at(event.run)
        self._show_pictures()

    @on(FiguresTable.Opened)
    def _opened(self, event: FiguresTable.Opened) -> None:
        self._open(event.run)

    def _open(self, run_id: str) -> None:
        from etui.tui.screens.details import DetailsScreen

        self.app.push_screen(DetailsScreen(self._database, run_id))

    def action_right(self) -> None:
        """The next run."""
        self._figures.move(1)

    def action_left(self) -> None:
        """The run before."""
        self._figures.move(-1)

    def action_details(self) -> None:
        """Open the details of the run under the cursor."""
        if (run := self._figures.run) is not None:
            self._open(run)

    def action_base(self) -> None:
        """Make the run under the cursor the base."""
        run, selection = self._figures.run, self._selection
        if run is None or selection is None or run == selection.base:
            return
        selection.make_base(run)
        self._ask()

    def action_drop(self) -> None:
        """Leave the run under the cursor out."""
        run, selection = self._figures.run, self._selection
        if run is None or selection is None:
            return
        if run == selection.base:
            self.notify("This is the base: make another run the base first, with p.", severity="warning", timeout=4)
            return
        selection.drop(run)
        self._ask()

    def action_take_back(self) -> None:
        """Take the runs in again that were left out."""
        if self._selection is not None and self._selection.take_back():
            self._ask()

    def action_differing(self) -> None:
        """Show every figure, or only those that differ."""
        self._everything = not self._everything
        if self._outcome is not None:
            self._write_figures(self._outcome)

    def action_force(self) -> None:
        """Compare what is not comparable, or no longer."""
        self._force = not self._force
        self._ask()

    def action_margin(self) -> None:
        """Ask for the margin."""
        from etui.tui.screens.margin import MarginDialog

        if self._selection is None:
            return

        def chosen(percent: float | None) -> None:
            if percent is not None:
                self._margin = percent / 100
                self._ask()

        self.app.push_screen(MarginDialog(self._margin * 100), chosen)

    def action_copy(self) -> None:
        """Copy the comparison as Markdown."""
        from etui.report.comparison import as_markdown
        from etui.tui.markdown import copy_markdown

        if (found := self._outcome) is None:
            return
        names = found.compared.names
        fronts = []
        if found.compared.others:
            fronts = [*pareto.sentences(found.accuracy, names), *pareto.sentences(found.size, names)]
        page = as_markdown(found.compared, everything=self._everything, remarks=fronts)
        self.notify(copy_markdown(self.app, page), title="Copied", markup=False)

    def action_report(self) -> None:
        """Write a report of these runs."""
        from etui.tui.screens.report import ReportDialog

        if (found := self._outcome) is None:
            return
        documents = [found.compared.base, *found.compared.others]

        def written(path: Path | None) -> None:
            if path is not None:
                self.app.say(f"the report was written: {path}", keep=True)

        self.app.push_screen(ReportDialog(documents, margin=self._margin, force=self._force), written)

    def action_trend(self) -> None:
        """The trend of the run under the cursor."""
        from etui.tui.screens.trend import TrendScreen

        if (run := self._figures.run) is not None:
            self.app.push_screen(TrendScreen(self._database, run))

    def action_duel(self) -> None:
        """Measure the base and the run under the cursor again, interleaved."""
        run, selection = self._figures.run, self._selection
        if run is None or selection is None:
            return
        if run == selection.base:
            self.notify("A duel needs two runs: put the cursor on another than the base.", severity="warning")
            return
        self._queue_duel(selection.base, run)

    @work(thread=True, exclusive=True, group="duel", exit_on_error=False)
    def _queue_duel(self, first: str, second: str) -> None:
        from etui.duel import queue_duel
        from etui.store import Store

        try:
            with Store.open(self._database, create=False) as store:
                ids = [run_id for run_id, _ in queue_duel(store, first, second).runs]
        except EtuiError as error:
            self.call_later(self.app.complain, error)
            return
        self.call_later(self._follow_duel, ids)

    def _follow_duel(self, run_ids: list[str]) -> None:
        """Compare the two new runs from now on, as their blocks come."""
        self.app.nudge()
        self.app.say("the duel is queued: what is known of it so far stands here, and is filled as its blocks come")
        self.app.push_screen(CompareScreen(self._database, run_ids, baseline=run_ids[0]))

    def action_view_1(self) -> None:
        """Histograms."""
        self._pictures.choose(0)

    def action_view_2(self) -> None:
        """Cumulative distributions."""
        self._pictures.choose(1)

    def action_view_3(self) -> None:
        """Blocks."""
        self._pictures.choose(2)

    def action_view_4(self) -> None:
        """Latency against accuracy."""
        self._pictures.choose(3)

    def action_view_5(self) -> None:
        """Latency against size."""
        self._pictures.choose(4)

    def action_log_scale(self) -> None:
        """Turn the logarithmic axis on or off."""
        if not self._pictures.turn_log():
            self.notify("The blocks are shown in percent, which has no logarithmic scale.", timeout=3)

    def action_zoom(self) -> None:
        """Give the picture the whole height, or take it back."""
        self.toggle_class("-zoomed")
        self._lay_out()

    def action_close(self) -> None:
        """Go back; from a picture of full height, to the figures."""
        if self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.dismiss()
