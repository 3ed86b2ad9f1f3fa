"""The screen that compares runs: verdicts, metrics side by side, and charts of several runs."""

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
"""Maximum number of runs: more cannot be read side by side."""
_ROOMY = (100, 30)


class CompareScreen(CompareActions):
    """Compares runs with a baseline. The actions of scope ``compare`` are its methods."""

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
        """Title, verdicts, metrics, charts, keys."""
        yield Static("Compare", id="compare-title", markup=False)
        yield VerdictView(id="compare-words")
        yield MetricsTable(id="compare-frame")
        yield ComparePictures(id="compare-pictures")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Focus the metrics."""
        self._metrics.focus()

    @property
    def run(self) -> str | None:
        """The run under the cursor."""
        return self._metrics.run

    @property
    def shows_everything(self) -> bool:
        """Whether all metrics are shown, not only those that differ."""
        return self._everything

    @property
    def _metrics(self) -> MetricsTable:
        return self.query_one(MetricsTable)

    @property
    def _verdicts(self) -> VerdictView:
        return self.query_one(VerdictView)

    @property
    def _charts(self) -> ComparePictures:
        return self.query_one(ComparePictures)

    # Display

    def show_progress(self, message: str) -> None:
        """Show how many runs have been read."""
        self._verdicts.show([Paragraph(words=message)])

    def show_none(self, lines: Sequence[str]) -> None:
        """Show why there is nothing to compare."""
        self._verdicts.show([Paragraph(words=line) for line in lines])
        self._lay_out()

    def show_comparison(self, result: Outcome, runs: Runs, selection: Selection) -> None:
        """Show verdicts, metrics and charts of a comparison."""
        self._write_verdicts(result, runs, selection)
        self._write_metrics(result)
        self._show_charts()
        self.write_title(runs, selection, working=False)
        self._lay_out()
        self.refresh_bindings()

    def _write_verdicts(self, result: Outcome, runs: Runs, selection: Selection) -> None:
        compared = result.compared
        gone = list(runs.gone)
        notes = []
        if self._baseline in gone:
            gone.remove(self._baseline or "")
            name = compared.names[compared.base.id]
            deleted = (self._baseline or "")[:6]
            notes.append(f"The pinned baseline {deleted} was deleted; {name} is the baseline instead.")
        notes += remarks(runs.live, gone, runs.broken)
        paragraphs = [Paragraph(words=note) for note in notes]
        if not compared.others:
            paragraphs += [Paragraph(words=" ".join(result.sentences[0]), run=compared.base.id, slot=0)]
        else:
            if len(compared.others) >= SUMMED_FROM:
                paragraphs.append(Paragraph(words=summary(compared.found)))
            for other, comparison, lines in zip(compared.others, compared.found, result.sentences, strict=True):
                text = " ".join(lines)
                slot = selection.slot(other.id)
                paragraphs.append(Paragraph(words=text, run=other.id, slot=slot, verdict=comparison.verdict))
        self._verdicts.show(paragraphs)

    def _write_metrics(self, result: Outcome) -> None:
        compared = result.compared
        self._metrics.show(result.everything if self._everything else result.differing)
        if self._focus_run is None:
            # The verdicts are about the other runs, so the cursor starts at the first of them.
            self._metrics.put_cursor(compared.others[0].id if compared.others else compared.base.id)
        self._write_frame()

    def _write_frame(self) -> None:
        metrics, symbols = self._metrics, glyphs(self.app)
        which = "all" if self._everything else "only those that differ"
        legend = f"{symbols.about} half the 95 % interval {symbols.dot} {best_sign(self.app)} best of its row"
        metrics.border_title = f"Metrics {symbols.dot} {which} {symbols.dot} {legend}"

    def _show_charts(self) -> None:
        if self._outcome is not None and self._selection is not None:
            near = self._metrics.run or self._selection.base
            self._charts.show(self._outcome, self._selection, near)

    def write_title(self, runs: Runs, selection: Selection, *, working: bool) -> None:
        """Update the title: the baseline, the number of other runs, and the options of the comparison."""
        symbols = glyphs(self.app)
        base = runs.documents[selection.base]
        line = Text("Compare  ")
        line.append(f"{symbols.baseline} {plain(f'{base.model.name} {base.precision}/{base.delegate}')}")
        parts = [f"with {counted(len(selection.others), 'run')}", f"margin {self._margin * 100:g} %"]
        if self._force:
            parts.append("forced")
        if selection.dropped:
            parts.append(f"{len(selection.dropped):,} excluded")
        if runs.live:
            parts.append(f"{symbols.live} live")
        if working and (len(selection.others) > 20 or self._outcome is None):
            parts.append("comparing")
        line.append("".join(f" {symbols.dot} {part}" for part in parts), "not bold")
        self.query_one("#compare-title", Static).update(line)

    def on_resize(self, event: events.Resize) -> None:
        """Divide the height between verdicts, metrics and charts."""
        del event
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        """Give the verdicts the height they need, up to a quarter of the screen."""
        height = self.size.height
        roomy = self.size.width >= _ROOMY[0] and height >= _ROOMY[1]
        most = max(3, height // 4)
        self._verdicts.styles.height = max(1, min(self._verdicts.lines_needed, most))
        self._charts.styles.height = "1fr" if self.has_class("-zoomed") else height * 2 // 5 if roomy else 9

    # Actions

    @on(MetricsTable.Moved)
    def _moved(self, event: MetricsTable.Moved) -> None:
        self._focus_run = event.run
        self._verdicts.point_at(event.run)
        self._show_charts()

    @on(MetricsTable.Opened)
    def _opened(self, event: MetricsTable.Opened) -> None:
        self.open(event.run)

    def action_right(self) -> None:
        """Go to the next run."""
        self._metrics.move_right(1)

    def action_left(self) -> None:
        """Go to the previous run."""
        self._metrics.move_right(-1)

    def action_base(self) -> None:
        """Make the run under the cursor the baseline."""
        run, selection = self.run, self._selection
        if run is None or selection is None or run == selection.base:
            return
        selection.make_base(run)
        self.compare()

    def action_drop(self) -> None:
        """Exclude the run under the cursor."""
        run, selection = self.run, self._selection
        if run is None or selection is None:
            return
        if run == selection.base:
            self.notify("This is the baseline: press p on another run first.", severity="warning", timeout=4)
            return
        selection.drop(run)
        self.compare()

    def action_take_back(self) -> None:
        """Include the excluded runs again."""
        if self._selection is not None and self._selection.take_back():
            self.compare()

    def action_differing(self) -> None:
        """Show all metrics, or only those that differ."""
        self._everything = not self._everything
        if self._outcome is not None:
            self._write_metrics(self._outcome)

    def action_force(self) -> None:
        """Switch the comparison of incompatible runs on or off."""
        self._force = not self._force
        self.compare()

    def action_margin(self) -> None:
        """Ask for the equivalence margin."""
        from etui.tui.screens.equivalence_margin import MarginDialog

        if self._selection is None:
            return

        def chosen(percent: float | None) -> None:
            if percent is not None:
                self._margin = percent / 100
                self.compare()

        self.app.push_screen(MarginDialog(self._margin * 100), chosen)

    def action_view_1(self) -> None:
        """Show histograms."""
        self._charts.choose(0)

    def action_view_2(self) -> None:
        """Show empirical distributions."""
        self._charts.choose(1)

    def action_view_3(self) -> None:
        """Show the latency of each block."""
        self._charts.choose(2)

    def action_view_4(self) -> None:
        """Show latency against accuracy."""
        self._charts.choose(3)

    def action_view_5(self) -> None:
        """Show latency against size."""
        self._charts.choose(4)

    def action_log_scale(self) -> None:
        """Switch the logarithmic axis on or off."""
        if not self._charts.turn_log():
            self.notify("Blocks are shown in percent, without a logarithmic scale.", timeout=3)

    def action_zoom(self) -> None:
        """Enlarge the chart to the full height, or restore it."""
        self.toggle_class("-zoomed")
        self._lay_out()

    def action_close(self) -> None:
        """Go back; from an enlarged chart, to the metrics."""
        if self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.dismiss()
