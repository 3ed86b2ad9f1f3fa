"""The screen that compares runs: the verdicts in words, the figures side by side, and pictures of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from etui.actions import Scope, bindings
from etui.text import counted, plain
from etui.tui.compare.charts import ComparePictures
from etui.tui.compare.loader import Outcome, Runs
from etui.tui.compare.metrics_table import MetricsTable, best_sign
from etui.tui.compare.selection import Selection
from etui.tui.compare.verdicts import SUMMED_FROM, Paragraph, VerdictView, remarks, summary
from etui.tui.screens.compare_actions import CompareActions
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import KeyBar

MOST_RUNS = 1_000
"""More than so many runs side by side nobody reads; the filter finds those worth comparing."""
_ROOMY = (100, 30)


class CompareScreen(CompareActions):
    """Some runs of a database beside a base. The actions of scope ``compare`` are its methods."""

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

    def __init__(
        self, database: Path, run_ids: Sequence[str], *, baseline: str | None = None, cursor: str | None = None
    ) -> None:
        super().__init__(database, run_ids, baseline=baseline, cursor=cursor)
        self._everything = False
        self._focus_run: str | None = None

    def compose(self) -> ComposeResult:
        """Title, words, figures, pictures, keys."""
        yield Static("Compare", id="compare-title", markup=False)
        yield VerdictView(id="compare-words")
        yield MetricsTable(id="compare-frame")
        yield ComparePictures(id="compare-pictures")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Begin at the figures."""
        self._figures.focus()

    @property
    def run(self) -> str | None:
        """The run under the cursor."""
        return self._figures.run

    @property
    def shows_everything(self) -> bool:
        """Whether every figure is shown, not only those that differ."""
        return self._everything

    @property
    def _figures(self) -> MetricsTable:
        return self.query_one(MetricsTable)

    @property
    def _words(self) -> VerdictView:
        return self.query_one(VerdictView)

    @property
    def _pictures(self) -> ComparePictures:
        return self.query_one(ComparePictures)

    # Drawing

    def show_progress(self, words: str) -> None:
        """Say how far the reading is."""
        self._words.show([Paragraph(words=words)])

    def show_none(self, lines: Sequence[str]) -> None:
        """Say why there is nothing to compare."""
        self._words.show([Paragraph(words=line) for line in lines])
        self._lay_out()

    def show_comparison(self, found: Outcome, runs: Runs, selection: Selection) -> None:
        """Show it in words, figures and pictures."""
        self._write_words(found, runs, selection)
        self._write_figures(found)
        self._show_pictures()
        self.write_title(runs, selection, working=False)
        self._lay_out()
        self.refresh_bindings()

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

    def write_title(self, runs: Runs, selection: Selection, *, working: bool) -> None:
        """The base, what stands beside it, and how it is compared."""
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

    @on(MetricsTable.Moved)
    def _moved(self, event: MetricsTable.Moved) -> None:
        self._focus_run = event.run
        self._words.point_at(event.run)
        self._show_pictures()

    @on(MetricsTable.Opened)
    def _opened(self, event: MetricsTable.Opened) -> None:
        self.open(event.run)

    def action_right(self) -> None:
        """The next run."""
        self._figures.move(1)

    def action_left(self) -> None:
        """The run before."""
        self._figures.move(-1)

    def action_base(self) -> None:
        """Make the run under the cursor the base."""
        run, selection = self.run, self._selection
        if run is None or selection is None or run == selection.base:
            return
        selection.make_base(run)
        self.compare()

    def action_drop(self) -> None:
        """Leave the run under the cursor out."""
        run, selection = self.run, self._selection
        if run is None or selection is None:
            return
        if run == selection.base:
            self.notify("This is the base: make another run the base first, with p.", severity="warning", timeout=4)
            return
        selection.drop(run)
        self.compare()

    def action_take_back(self) -> None:
        """Take the runs in again that were left out."""
        if self._selection is not None and self._selection.take_back():
            self.compare()

    def action_differing(self) -> None:
        """Show every figure, or only those that differ."""
        self._everything = not self._everything
        if self._outcome is not None:
            self._write_figures(self._outcome)

    def action_force(self) -> None:
        """Compare what is not comparable, or no longer."""
        self._force = not self._force
        self.compare()

    def action_margin(self) -> None:
        """Ask for the margin."""
        from etui.tui.screens.equivalence_margin import MarginDialog

        if self._selection is None:
            return

        def chosen(percent: float | None) -> None:
            if percent is not None:
                self._margin = percent / 100
                self.compare()

        self.app.push_screen(MarginDialog(self._margin * 100), chosen)

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
