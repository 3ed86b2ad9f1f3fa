"""The screen that compares runs: a table of verdicts, the sentences about the run under the cursor, metrics side by
side, and charts of several runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from etui.actions import Scope, bindings
from etui.analysis import pareto
from etui.errors import EtuiError
from etui.text import counted, plain, width
from etui.tui.compare.charts import ComparePictures
from etui.tui.compare.comparison import Comparison
from etui.tui.compare.loader import Outcome, Runs
from etui.tui.compare.metrics_table import MetricsTable, best_sign
from etui.tui.compare.run_messages import RunMoved, RunOpened
from etui.tui.compare.selection import Selection
from etui.tui.compare.task_views import NO_TASK
from etui.tui.compare.verdict_table import VerdictTable
from etui.tui.compare.verdicts import Paragraph, VerdictView, remarks, summary
from etui.tui.database import Database
from etui.tui.defect_guard import Guarded
from etui.tui.error_text import to_text
from etui.tui.run_actions import RunActions
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import KeyBar
from etui.tui.widgets.progress_line import ProgressLine
from etui.tui.widgets.sweep_views import NO_ITEMS, NO_SWEEP
from etui.tui.widgets.virtual_table import VirtualTable
from etui.tui.workers import start
from etui.wording import run as run_wording

_REFRESH_S = 3.0
"""Interval at which a comparison with live runs is updated; low, since the measurement shares the machine."""
_ROOMY = (100, 30)
_EDGES_OF_TITLE = 4
"""The cells of a border that its title does not use."""
_LEAST_METRICS, _LEAST_VERDICTS, _CHART, _LEAST_HEIGHT_WITH_CHART = 4, 4, 9, 20


class CompareScreen(Guarded, Screen[None]):
    """Compares runs with a baseline. The actions of scope ``compare`` are its methods."""

    app: ScreenHost
    scope: ClassVar[Scope] = "compare"
    DEFAULT_CSS = """
    CompareScreen { layout: vertical; }
    CompareScreen #compare-title { height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap;
        text-overflow: ellipsis; }
    CompareScreen #compare-frame { height: 1fr; min-height: 4; border-top: solid $border-blurred;
        border-title-color: $text-muted; border-subtitle-color: $text-muted; padding: 0 1; }
    CompareScreen #compare-frame:focus { border-top: solid $border; border-title-color: $text-accent; }
    CompareScreen #compare-pictures { height: 9; min-height: 8; }
    CompareScreen.-zoomed #compare-verdicts, CompareScreen.-zoomed #compare-words,
    CompareScreen.-zoomed #compare-frame { display: none; }
    CompareScreen KeyBar { height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]

    def __init__(
        self, database: Database, run_ids: Sequence[str], *, baseline: str | None = None, cursor: str | None = None
    ) -> None:
        """Compare ``run_ids`` with the pinned ``baseline``; without one, with the run under the ``cursor`` if it is one
        of them, else with the oldest."""
        super().__init__()
        self._comparison = Comparison(database, run_ids, pinned=baseline, cursor=cursor)
        self._actions = RunActions(self)
        self._everything = False
        self._focus_run: str | None = None
        self._place = 1

    def compose(self) -> ComposeResult:
        """Title, verdicts, sentences, metrics, charts, keys."""
        yield Static("Compare", id="compare-title", markup=False)
        yield ProgressLine(id="compare-progress")
        yield VerdictTable(id="compare-verdicts")
        yield VerdictView(id="compare-words")
        yield MetricsTable(id="compare-frame")
        yield ComparePictures(id="compare-pictures")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Focus the verdicts and start reading."""
        self._verdicts.focus()
        self._words.show([Paragraph(text=f"reading {counted(len(self._comparison.wanted), 'run')}")])
        start(self, self._read, group="compare-read")

    @property
    def found(self) -> Outcome | None:
        """The comparison that is shown."""
        return self._comparison.outcome

    @property
    def base(self) -> str | None:
        """The id of the baseline."""
        return self._comparison.selection.base if self._comparison.selection else None

    @property
    def _metrics(self) -> MetricsTable:
        return self.query_one(MetricsTable)

    @property
    def _verdicts(self) -> VerdictTable:
        return self.query_one(VerdictTable)

    @property
    def _words(self) -> VerdictView:
        return self.query_one(VerdictView)

    @property
    def _charts(self) -> ComparePictures:
        return self.query_one(ComparePictures)

    # Reading and comparing

    async def _read(self) -> None:
        """Read the runs and compare them; repeat while one of them is live."""
        problem = ""
        while True:
            try:
                runs = await self._comparison.read(lambda count: self.call_later(self._show_progress, count))
            except EtuiError as error:
                if self.found is None:
                    self._show_none([f"Cannot read these runs: {plain(to_text(error))}."])
                elif str(error) != problem:
                    # The comparison that is shown stays.
                    self.app.complain(error, "Cannot read the database")
                problem = str(error)
            else:
                problem = ""
                self.query_one(ProgressLine).show(runs.progress)
                if runs.documents:
                    self._compare()
                else:
                    self._show_none(remarks([], runs.gone, runs.broken) or ["No runs to compare."])
            if not self._comparison.is_live:
                return
            await asyncio.sleep(_REFRESH_S)

    def _compare(self) -> None:
        """Compare again with the current baseline, runs and options."""
        runs, selection = self._comparison.runs, self._comparison.selection
        if runs is not None and selection is not None:
            self._write_title(runs, selection, working=True)
            start(self, self._compare_now, group="compare", exclusive=True)

    async def _compare_now(self) -> None:
        result = await self._comparison.compare(glyphs(self.app))
        runs, selection = self._comparison.runs, self._comparison.selection
        if result is None or runs is None or selection is None:
            return
        ids = selection.ids
        if self._focus_run not in ids:
            # The verdicts are about the other runs, so the cursor starts at the first of them.
            place = min(self._place, len(ids) - 1)
            self._focus_run = ids[max(place, 1)] if len(ids) > 1 else ids[0]
        self._place = ids.index(self._focus_run)
        self._write_verdicts(result, selection)
        self._write_words(result, runs, selection)
        self._write_metrics(result)
        self._show_charts()
        self._write_title(runs, selection, working=False)
        self._lay_out()
        self.refresh_bindings()

    # Display

    def _show_progress(self, count: int) -> None:
        """Show how many runs have been read; reading again while a comparison is shown is not reported."""
        if self._comparison.runs is None:
            message = f"reading: {count:,} of {len(self._comparison.wanted):,} runs"
            self._words.show([Paragraph(text=message)])

    def _show_none(self, lines: Sequence[str]) -> None:
        """Show why there is nothing to compare."""
        self._words.show([Paragraph(text=line) for line in lines])
        self._lay_out()

    def _write_verdicts(self, result: Outcome, selection: Selection) -> None:
        run = self._focus_run or selection.base
        self._verdicts.show(result.verdicts, selection.slots, self._comparison.margin, run)

    def _write_words(self, result: Outcome, runs: Runs, selection: Selection) -> None:
        """Write the remarks, and the sentences about the run under the cursor."""
        compared, run = result.compared, self._focus_run
        gone = list(runs.gone)
        notes = []
        pinned = self._comparison.pinned
        if pinned is not None and pinned in gone:
            gone.remove(pinned)
            name = compared.names[compared.base.id]
            notes.append(f"The pinned baseline {pinned[:6]} was deleted; {name} is the baseline instead.")
        notes += remarks(runs.live, gone, runs.broken)
        paragraphs = [Paragraph(text=note) for note in notes]
        for other, comparison, lines in zip(compared.others, compared.found, result.sentences, strict=False):
            if other.id == run:
                slot = selection.slot(other.id)
                text = " ".join(lines)
                paragraphs.append(Paragraph(text=text, run=run, slot=slot, verdict=comparison.verdict))
        if run == compared.base.id:
            about = result.sentences[0]
            if compared.others:
                about = [f"{compared.names[run]} is the baseline.", run_wording.speed(compared.base)]
            paragraphs.append(Paragraph(text=" ".join(about), run=run, slot=0))
        longest = max((sum(map(len, lines)) + len(lines) for lines in result.sentences), default=0)
        self._words.show(paragraphs, longest=longest)

    def _write_metrics(self, result: Outcome) -> None:
        self._metrics.show(result.everything if self._everything else result.differing)
        if self._focus_run is not None:
            self._metrics.put_cursor(self._focus_run)
        self._write_frame()

    def _write_frame(self) -> None:
        metrics, symbols = self._metrics, glyphs(self.app)
        which = "all" if self._everything else "only those that differ"
        legend = [f"{symbols.about} half the 95 % interval"] if metrics.shows_intervals else []
        parts = ["Metrics", which, *legend, f"{best_sign(self.app)} best of its row"]
        dot, room = f" {symbols.dot} ", metrics.outer_size.width - _EDGES_OF_TITLE
        while len(parts) > 1 and width(dot.join(parts)) > room:
            parts.pop()
        metrics.border_title = dot.join(parts)

    def _show_charts(self) -> None:
        outcome, selection = self._comparison.outcome, self._comparison.selection
        if outcome is not None and selection is not None:
            self._charts.show(outcome, selection, self._metrics.run or selection.base)

    def _write_title(self, runs: Runs, selection: Selection, *, working: bool) -> None:
        """Update the title: the baseline, the number of other runs, and the options of the comparison."""
        symbols = glyphs(self.app)
        base = runs.documents[selection.base]
        line = Text("Compare  ")
        line.append(f"{symbols.baseline} {plain(f'{base.model.name} {base.configuration}')}")
        is_current = self.found is not None and len(self.found.compared.found) == len(selection.others)
        runs_text = summary(self.found.compared.found) if self.found is not None and is_current else ""
        runs_text = runs_text or counted(len(selection.others), "run")
        parts = [f"with {runs_text}", f"margin {self._comparison.margin * 100:g} %"]
        if self._comparison.is_forced:
            parts.append("forced")
        if selection.dropped:
            parts.append(f"{len(selection.dropped):,} excluded")
        if runs.live:
            parts.append(f"{symbols.live} live")
        if working and (len(selection.others) > 20 or self.found is None):
            parts.append("comparing")
        line.append("".join(f" {symbols.dot} {part}" for part in parts), "not bold")
        self.query_one("#compare-title", Static).update(line)

    def on_resize(self, event: events.Resize) -> None:
        """Divide the height between verdicts, metrics and charts."""
        del event
        self.call_after_refresh(self._lay_out)
        self.call_after_refresh(self._write_frame)

    def _lay_out(self) -> None:
        """Divide the height: the chart, at least a few metrics, every verdict if there is room, and the sentences."""
        height = self.size.height
        is_roomy = self.size.width >= _ROOMY[0] and height >= _ROOMY[1]
        has_chart = self.has_class("-zoomed") or height >= _LEAST_HEIGHT_WITH_CHART
        chart = (height * 2 // 5 if is_roomy else _CHART) if has_chart else 0
        self._charts.display = has_chart
        self._charts.styles.height = "1fr" if self.has_class("-zoomed") else chart
        # The title, the keys and the progress of a live session take one line each.
        progress = int(self.query_one(ProgressLine).has_class("-live"))
        left = height - 2 - progress - chart - _LEAST_METRICS
        self._verdicts.display = self._verdicts.count != 1 and not self.has_class("-zoomed")
        rows = 0
        if self._verdicts.display:
            rows = min(self._verdicts.lines_needed, max(_LEAST_VERDICTS, min(left - 2, height // 3)))
            self._verdicts.styles.height = rows
        self._words.styles.height = max(1, min(self._words.lines_needed, max(2, min(left - rows, height // 6))))

    # Actions

    @on(RunMoved)
    def _moved(self, event: RunMoved) -> None:
        """Move the cursor of both tables, and show what is known about its run."""
        self._focus_run = event.run
        self._verdicts.put_cursor(event.run)
        self._metrics.put_cursor(event.run)
        result, runs, selection = self.found, self._comparison.runs, self._comparison.selection
        if result is not None and runs is not None and selection is not None and event.run in selection.ids:
            self._place = selection.ids.index(event.run)
            self._write_words(result, runs, selection)
            self._lay_out()
        self._show_charts()

    @on(RunOpened)
    def _opened(self, event: RunOpened) -> None:
        self.app.open_details(event.run)

    def action_right(self) -> None:
        """Go to the next run."""
        self._metrics.move_right(1)

    def action_left(self) -> None:
        """Go to the previous run."""
        self._metrics.move_right(-1)

    def action_base(self) -> None:
        """Make the run under the cursor the baseline."""
        run, selection = self._metrics.run, self._comparison.selection
        if run is None or selection is None or run == selection.base:
            return
        selection.make_base(run)
        self._compare()

    def action_drop(self) -> None:
        """Exclude the run under the cursor. If it is being measured, ask whether to stop that instead."""
        run, runs, selection = self._metrics.run, self._comparison.runs, self._comparison.selection
        if run is None or runs is None or selection is None:
            return
        if run in {live.id for live in runs.live}:
            session = runs.documents[run].session.id
            live = [document for document in runs.live if document.session.id == session]
            names = counted(len(live), "run") if len(live) > 1 else f"run {run[:6]}"
            self._actions.stop([document.id for document in live], names, self._compare)
            return
        if run == selection.base:
            self.notify("This is the baseline: press p on another run first.", severity="warning", timeout=4)
            return
        selection.drop(run)
        self._compare()

    def action_take_back(self) -> None:
        """Include the excluded runs again."""
        if self._comparison.selection is not None and self._comparison.selection.take_back():
            self._compare()

    def action_differing(self) -> None:
        """Show all metrics, or only those that differ."""
        self._everything = not self._everything
        if self.found is not None:
            self._write_metrics(self.found)

    def action_force(self) -> None:
        """Switch the comparison of incompatible runs on or off."""
        self._comparison.is_forced = not self._comparison.is_forced
        self._compare()

    def action_margin(self) -> None:
        """Ask for the equivalence margin."""
        from etui.tui.screens.equivalence_margin import MarginDialog

        def chosen(percent: float) -> None:
            self._comparison.margin = percent / 100
            self._compare()

        if self._comparison.selection is not None:
            self._actions.ask(MarginDialog(self._comparison.margin * 100), chosen)

    def action_details(self) -> None:
        """Open the details of the run under the cursor."""
        if (run := self._metrics.run) is not None:
            self.app.open_details(run)

    def action_trend(self) -> None:
        """Show the trend of the run under the cursor."""
        if (run := self._metrics.run) is not None:
            self.app.open_trend(run)

    def action_duel(self) -> None:
        """Measure the baseline and the run under the cursor again, interleaved."""
        run, selection = self._metrics.run, self._comparison.selection
        if run is None or selection is None:
            return
        if run == selection.base:
            self.notify("A duel needs two runs: move the cursor to a run other than the baseline.", severity="warning")
            return
        self._actions.duel(selection.base, run)

    @on(VirtualTable.MenuRequested)
    def action_menu(self) -> None:
        """List what can be done with the run under the cursor."""
        run, selection = self._metrics.run, self._comparison.selection
        if run is not None and selection is not None:
            of_others = [] if run == selection.base else ["compare.base", "compare.drop", "compare.duel"]
            title = self.found.compared.names.get(run, run[:6]) if self.found is not None else run[:6]
            self._actions.menu(title, ["compare.details", "compare.trend", *of_others])

    def action_copy(self) -> None:
        """Copy the comparison as Markdown."""
        from etui.report.comparison import as_markdown
        from etui.tui.markdown import copy_markdown

        if (result := self.found) is None:
            return
        names = result.compared.names
        fronts = []
        if result.compared.others:
            fronts = [*pareto.sentences(result.accuracy, names), *pareto.sentences(result.size, names)]
        page = as_markdown(result.compared, everything=self._everything, remarks=fronts)
        self.notify(copy_markdown(self.app, page), title="Copied", markup=False)

    def action_report(self) -> None:
        """Write a report on these runs."""
        from etui.tui.screens.report import ReportDialog

        if (result := self.found) is None:
            return

        def written(path: Path) -> None:
            self.app.say(f"Report written to {path}", keep=True)

        comparison = self._comparison
        dialog = ReportDialog(
            [result.compared.base, *result.compared.others],
            margin=comparison.margin,
            force=comparison.is_forced,
            levels=comparison.runs.levels if comparison.runs is not None else [],
        )
        self._actions.ask(dialog, written)

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

    def action_view_6(self) -> None:
        """Show latency over input size, batch, sequence length or threads."""
        if not self._charts.choose(5):
            self.notify(NO_SWEEP, timeout=3)

    def action_view_7(self) -> None:
        """Show latency per item over input size, batch, sequence length or threads."""
        if not self._charts.choose(6):
            self.notify(NO_ITEMS, timeout=3)

    def action_view_8(self) -> None:
        """Show the categories that lost most."""
        if not self._charts.choose_named("categories"):
            self.notify(NO_TASK, timeout=3, markup=False)

    def action_view_9(self) -> None:
        """Show the images whose categories changed."""
        if not self._charts.choose_named("images"):
            self.notify(NO_TASK, timeout=3, markup=False)

    def action_log_scale(self) -> None:
        """Switch the logarithmic axis on or off."""
        if not self._charts.turn_log():
            blocks = self._charts.view == "blocks"
            what = "Blocks are shown in percent, without" if blocks else "This view has no axis with"
            self.notify(f"{what} a logarithmic scale.", timeout=3)

    def action_zoom(self) -> None:
        """Enlarge the chart to the full height, or restore it."""
        self.toggle_class("-zoomed")
        self._lay_out()
        if not self.has_class("-zoomed"):
            # A hidden table loses the focus.
            (self._verdicts if self._verdicts.display else self._metrics).focus()

    def action_close(self) -> None:
        """Go back; from an enlarged chart, to the metrics."""
        if self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.dismiss()
