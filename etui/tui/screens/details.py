"""The details screen: one run in tabs, which update while the run is live."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from etui.actions import BY_ID, Scope, bindings
from etui.analysis_kinds.profile import PROFILE
from etui.analysis_kinds.registry import KINDS
from etui.errors import EtuiError
from etui.results import LIVE_STATUSES, RunDocument
from etui.services.summarize import Request
from etui.text import local_time, plain
from etui.tui.database import Database
from etui.tui.defect_guard import Guarded
from etui.tui.details import analyses
from etui.tui.details.accuracy_tab import AccuracyTab
from etui.tui.details.analysis_tab import AnalysisTab
from etui.tui.details.artifact_tab import ArtifactTab
from etui.tui.details.delegation import delegation_page
from etui.tui.details.environment import environment_page
from etui.tui.details.gap_tab import GapTab
from etui.tui.details.latency_tab import LatencyTab
from etui.tui.details.loader import Reading, Source
from etui.tui.details.summary import summary_page
from etui.tui.details.tab_bar import TabBar
from etui.tui.details.table_tab import TableFilter, TableTab
from etui.tui.details.table_view import TreeTable
from etui.tui.details.text_view import Page, Paper
from etui.tui.error_text import to_text
from etui.tui.model_summary.pane import SummaryPane
from etui.tui.run_actions import RunActions
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.json_view import JsonView
from etui.tui.widgets.key_bar import Footer, Hint, KeyBar
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.progress_line import ProgressLine
from etui.tui.widgets.virtual_table import VirtualTable
from etui.tui.workers import start

_OF_ANALYSES: dict[str, Callable[..., Widget]] = {
    kind.tab_title: pkgutil.resolve_name(kind.tab) for kind in KINDS.values()
}
_TABS: dict[str, Callable[..., Widget]] = {
    "Summary": Page,
    "Latency": LatencyTab,
    "Accuracy": AccuracyTab,
    "Operators": _OF_ANALYSES["Operators"],
    "Delegation": Page,
    **_OF_ANALYSES,
    "Environment": Page,
    "Artifact": ArtifactTab,
    "Log": LogPane,
    "JSON": JsonView,
    "Model": SummaryPane,
}
"""The tabs in order: the name, and the class of the content."""

_ENDED_EARLY = ("failed", "timed out", "interrupted")
"""How a run ended whose log says why."""

TABS = tuple(_TABS)


class DetailsScreen(Guarded, Screen[None]):
    """Shows one run. The actions of scope ``details`` are its methods; those of chart and log are forwarded."""

    app: ScreenHost
    scope: ClassVar[Scope] = "details"
    DEFAULT_CSS = """
    DetailsScreen { layout: vertical; }
    DetailsScreen #details-title {
        height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    DetailsScreen TabBar { margin-bottom: 1; }
    DetailsScreen ContentSwitcher { height: 1fr; }
    DetailsScreen JsonView { padding: 0 1; }
    DetailsScreen #details-progress { padding: 0 1; }
    DetailsScreen KeyBar { height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("details"),
        *[
            binding
            for binding in bindings("chart", "log", via="forward")
            # The digits open tabs here.
            if not (binding.id or "").startswith("chart.view_")
        ],
    ]

    class Read(Message):
        """The run was read, or the error why it cannot be."""

        def __init__(self, result: Reading | EtuiError) -> None:
            super().__init__()
            self.result = result

    def __init__(self, database: Database, run_id: str) -> None:
        super().__init__()
        self._database = database
        self._run_id = run_id
        self._actions = RunActions(self)
        self._reading: Reading | None = None
        self._tab = 0
        self._logged: int | None = None
        self._source = Source(database, run_id, lambda result: self.post_message(self.Read(result)))

    def compose(self) -> ComposeResult:
        """Title, tab bar, open tab, progress, keys."""
        yield Static(f"run {plain(self._run_id)}", id="details-title", markup=False)
        yield TabBar(TABS, {"Environment": "Env"}, {"Model": "I"})
        with ContentSwitcher(initial="tab-summary"):
            for name, make in _TABS.items():
                yield make(id=_id_of(name))
        yield ProgressLine(id="details-progress")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Start reading."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._rewrite())
        self._open_tab(0)
        self._unsubscribe = self._database.subscribe(self._source.nudge)
        start(self, self._source.run, group="details-source")

    def on_unmount(self) -> None:
        """Stop reading."""
        self._unsubscribe()
        self._source.close()

    @property
    def document(self) -> RunDocument | None:
        """The run; None until it has been read."""
        return self._reading.document if self._reading else None

    @property
    def tab(self) -> str:
        """The name of the open tab."""
        return TABS[self._tab]

    @property
    def _table(self) -> TreeTable | None:
        """The table of the open tab, if it has one."""
        return next((tab.table for tab in self.query(TableTab) if tab.id == _id_of(self.tab)), None)

    def on_details_screen_read(self, message: Read) -> None:
        """Fill the tabs with what was read."""
        if isinstance(message.result, EtuiError):
            self._report_unreadable(message.result)
            return
        before, self._reading = self._reading, message.result
        self._fill(message.result)
        self._report_ended(before, message.result)

    def footer(self) -> Footer:
        """Return the keys for the open tab: those of its rows, of its chart or of the run, with the analysis that is
        under way or missing."""
        if isinstance(self.focused, TableFilter):
            return Footer([Hint("enter", "apply"), "filter.leave"])
        tab, reading = self.query_one(f"#{_id_of(self.tab)}"), self._reading
        first: list[str | Hint] = []
        if reading is not None and any(analysis.live for analysis in reading.analyses.values()):
            first.append("details.cancel")
        if isinstance(tab, SummaryPane) and tab.state == "counting":
            first.append("details.cancel")
        elif isinstance(tab, TableTab) and tab.view.rows is not None and tab.view.rows.roots:
            first += ["rows.fold", "rows.filter", "rows.sort", "rows.view", "rows.side"]
        elif isinstance(tab, AccuracyTab) and len(tab.views) > 1:
            first.append("rows.view")
        elif isinstance(tab, SummaryPane):
            first.append("details.model")
        elif isinstance(tab, AnalysisTab):
            first.append("details.profile")
        elif isinstance(tab, LatencyTab):
            first += ["details.next_chart", "chart.log_scale"]
        elif reading is not None and reading.document.status in _ENDED_EARLY:
            first.append("details.tab_9")
        back = ["details.close"] if first else []
        return Footer([*first, "details.next_tab", *back, "details.annotate", "details.copy", "details.export"])

    # Actions

    def action_next_tab(self) -> None:
        """Open the tab to the right."""
        self._open_tab((self._tab + 1) % len(TABS))

    def action_previous_tab(self) -> None:
        """Open the tab to the left."""
        self._open_tab((self._tab - 1) % len(TABS))

    def action_tab_1(self) -> None:
        """Open the tab Summary."""
        self._open_tab(0)

    def action_tab_2(self) -> None:
        """Open the tab Latency."""
        self._open_tab(1)

    def action_tab_3(self) -> None:
        """Open the tab Accuracy."""
        self._open_tab(2)

    def action_tab_4(self) -> None:
        """Open the tab Operators."""
        self._open_tab(3)

    def action_tab_5(self) -> None:
        """Open the tab Delegation."""
        self._open_tab(4)

    def action_tab_6(self) -> None:
        """Open the tab Gap."""
        self._open_tab(5)

    def action_tab_7(self) -> None:
        """Open the tab Environment."""
        self._open_tab(6)

    def action_tab_8(self) -> None:
        """Open the tab Artifact."""
        self._open_tab(7)

    def action_tab_9(self) -> None:
        """Open the tab Log."""
        self._open_tab(8)

    def action_tab_0(self) -> None:
        """Open the tab JSON."""
        self._open_tab(9)

    def action_next_chart(self) -> None:
        """Open the latency; if it is open, show its next chart."""
        latency = TABS.index("Latency")
        if self._tab == latency:
            self.query_one(ChartPane).show_next()
        else:
            self._open_tab(latency)
        self.call_after_refresh(self.query_one(ChartPane).scroll_visible, animate=False)

    def action_close(self) -> None:
        """Go back; end a log search or a filter first."""
        log = self.query_one(LogPane)
        if log.has_class("-searching"):
            log.action_end_search()
            return
        if any(tab.end_filter() for tab in self.query(TableTab) if tab.id == _id_of(self.tab)):
            return
        self.dismiss()

    def forwarded_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes of the panes, whose actions ``action_forward`` runs."""
        return ("chart", "log") if self._table is None else ("chart", "log", "rows")

    async def action_forward(self, action_id: str) -> None:
        """Run an action of the chart or the log, on its tab, or of the open tab's table."""
        action = BY_ID[action_id]
        if action.scope == "rows":
            if self._table is not None:
                await self._table.run_action(action.name)
            return
        pane: Widget = self.query_one(ChartPane) if action.scope == "chart" else self.query_one(LogPane)
        self._open_tab(TABS.index("Latency" if action.scope == "chart" else "Log"))
        await pane.run_action(action.name)
        if isinstance(pane, ChartPane):
            # A tab that has just been opened is not laid out yet.
            self.call_after_refresh(pane.scroll_visible, animate=False)

    # Actions on the run

    def action_annotate(self) -> None:
        """Edit the note and the tags."""
        if (document := self.document) is not None:
            self._actions.annotate(document)

    def action_copy(self) -> None:
        """Copy the run as Markdown; on the tab Model its summary."""
        from etui.tui.markdown import copy_markdown, run_markdown

        if (document := self.document) is not None:
            model = self._model.to_markdown() if self.tab == "Model" else None
            self.notify(copy_markdown(self.app, model or run_markdown(document)), title="Copied", markup=False)

    def action_export(self) -> None:
        """Write the run as JSON."""
        self._actions.export([self._run_id])

    def action_profile(self) -> None:
        """Queue the analysis of the open tab; on a tab without one, a profile."""
        if self.document is not None:
            tab = self.query_one(f"#{_id_of(self.tab)}")
            kind = tab.kind if isinstance(tab, AnalysisTab) else PROFILE
            self._actions.analyse(self._run_id, kind.options())

    @on(VirtualTable.MenuRequested)
    def action_menu(self) -> None:
        """List what can be done with the row under the cursor and with the run."""
        of_rows = ["rows.fold", "rows.turn_all", "rows.filter", "rows.sort"] if self._table is not None else []
        of_run = [f"details.{name}" for name in ("annotate", "copy", "export", "profile", "keep_fp32", "keep_files")]
        self._actions.menu("This row and this run" if of_rows else "This run", [*of_rows, *of_run])

    def action_keep_files(self) -> None:
        """Profile again and keep the trace, the ETDump and a CSV file for other tools."""
        if self.document is not None:
            self._actions.profile_to_files(self._run_id)

    def action_keep_fp32(self) -> None:
        """Ask for modules to keep in FP32, and queue the run again with them."""
        if (document := self.document) is not None:
            self._actions.keep_in_fp32(document, self.query_one(GapTab).module)

    def action_model(self) -> None:
        """Open the tab Model, and count again if that failed or was cancelled."""
        if self._model.state in ("failed", "cancelled"):
            self._count_model()
        self._open_tab(TABS.index("Model"))

    def action_diagram(self) -> None:
        """Show the diagram of the run's model, with what the run measured."""
        self._actions.draw_model(self._run_id)

    def action_training(self) -> None:
        """Check whether the run's model trains."""
        self._actions.check_training(self._run_id)

    def action_peaks(self) -> None:
        """Show the peaks of this machine for the run's number of threads, or ask to measure them."""
        document = self.document
        threads = document.threads if document is not None else None
        self.app.open_peaks(threads, self._model.renew)

    def action_predict(self) -> None:
        """Predict the run's model on an NPU."""
        self._actions.predict_model(self._run_id)

    def action_evaluate(self) -> None:
        """Evaluate the run's program on labelled images."""
        self._actions.evaluate([self._run_id])

    def action_tag_photos(self) -> None:
        """Tag photos with the run's program."""
        self._actions.tag_photos(self._run_id)

    def action_cancel(self) -> None:
        """Cancel the analysis that is queued or running; on the tab Model, counting."""
        if self.tab == "Model" and self._model.state == "counting":
            self._model.cancel("Cancelled. I counts again.")
        else:
            self._actions.cancel_analyses(self._run_id)

    @property
    def _model(self) -> SummaryPane:
        return self.query_one(SummaryPane)

    def _count_model(self) -> None:
        def count(request: Request) -> None:
            self._model.count(request, self._database)

        self._actions.find_model(self._run_id, self._database, count, self._model.fail)

    @on(SummaryPane.Changed)
    def _model_changed(self) -> None:
        self.query_one(KeyBar).refresh()
        self.refresh_bindings()

    # Display

    @on(TabBar.Chosen)
    def _tab_chosen(self, message: TabBar.Chosen) -> None:
        self._open_tab(message.number)

    def _open_tab(self, number: int) -> None:
        self._tab = number
        name = _id_of(TABS[number])
        self.query_one(ContentSwitcher).current = name
        self.query_one(TabBar).show(number)
        if TABS[number] == "JSON":
            self._source.want_json()
        if TABS[number] == "Model" and self._model.state == "idle":
            self._count_model()
        # The scroll keys apply to the open tab.
        self.query_one(f"#{name}").focus()
        self.query_one(KeyBar).refresh()

    def _fill(self, reading: Reading) -> None:
        document, previous = reading.document, reading.previous
        self._write_title(document)
        self._page("summary").write(lambda width, styles: summary_page(document, reading.siblings, width, styles))
        self.query_one(LatencyTab).show(reading)
        self.query_one(AccuracyTab).show(document)
        self._page("environment").write(lambda width, styles: environment_page(document, previous, width, styles))
        self._page("delegation").write(lambda width, styles: delegation_page(document, width, styles))
        for tab in self.query_one(ContentSwitcher).children:
            if isinstance(tab, AnalysisTab):
                tab.show(reading)
        self.query_one(ArtifactTab).show(reading)
        self._model.follow(document)
        if reading.json is not None:
            self.query_one(JsonView).show(reading.json)
        self._fill_log(reading)
        self.query_one(KeyBar).refresh()

    def _fill_log(self, reading: Reading) -> None:
        document, log = reading.document, self.query_one(LogPane)
        self.query_one("#details-progress", ProgressLine).show(reading.progress)
        if self._logged is None:
            log.follow(document.session.id, document.id, document.configuration)
            log.show(reading.events)
        else:
            log.add(reading.events[self._logged :])
        self._logged = len(reading.events)

    def _write_title(self, document: RunDocument) -> None:
        symbols = glyphs(self.app)
        line = Text(plain(f"{document.model.name} {document.configuration}"))
        line.append(f"  {symbols.of_status(document.status)} {document.status}", self._status_style(document))
        line.append(f"  {local_time(document.created_at)}  {plain(document.id)}", "not bold")
        self.query_one("#details-title", Static).update(line)

    def _status_style(self, document: RunDocument) -> str:
        if document.status == "done" or self.app.no_color:
            return ""
        names = {True: "primary", False: "error"}
        value = self.app.theme_variables.get(names[document.status in LIVE_STATUSES], "")
        return value if value.startswith("#") else ""

    def _page(self, name: str) -> Page:
        return self.query_one(f"#tab-{name}", Page)

    def _rewrite(self) -> None:
        for paper in self.query(Paper):
            paper.rewrite()
        for tab in self.query(TableTab):
            tab.rewrite()

    def _report_ended(self, before: Reading | None, now: Reading) -> None:
        """Show a notice for each analysis that has ended since the previous reading."""
        for name in KINDS:
            last, current = before.analyses.get(name) if before else None, now.analyses.get(name)
            if last is None or current is None or not last.live or current.live or last.id != current.id:
                continue
            severity: Literal["information", "error"] = "information" if current.status == "done" else "error"
            self.app.say(analyses.to_text(current), severity)

    def _report_unreadable(self, error: EtuiError) -> None:
        if self._reading is None:
            message = f"Cannot show this run: {plain(to_text(error))}."
            self._page("summary").write(lambda width, _styles: Text(message))
        else:
            self.app.complain(error, "Cannot read the database")


def _id_of(tab: str) -> str:
    return f"tab-{tab.lower()}"
