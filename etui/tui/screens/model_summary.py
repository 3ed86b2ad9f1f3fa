"""The screen of a model's summary: parameters, work and memory of the model and of each of its modules."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from etui.actions import BY_ID, Scope, bindings
from etui.errors import EtuiError
from etui.model_summary import ModelSummary
from etui.services.model_runs import measured_runs
from etui.services.summarize import Request, summarize
from etui.spec import shape_text
from etui.text import plain
from etui.tui.defect_guard import Guarded
from etui.tui.details.table_tab import TableFilter
from etui.tui.error_text import to_text
from etui.tui.model_summary.table import ModulesTable
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import Footer, Hint, KeyBar
from etui.tui.workers import in_daemon_thread, start, stop_flag
from etui.wording import model_summary as wording
from etui.wording.run_sections import Entry


class ModelSummaryScreen(Guarded, Screen[None]):
    """Summarizes a model and shows the result. The actions of scope ``model`` are its methods, those of the table of
    modules are forwarded."""

    app: ScreenHost
    scope: ClassVar[Scope] = "model"
    DEFAULT_CSS = """
    ModelSummaryScreen { layout: vertical; }
    ModelSummaryScreen #model-title {
        height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    ModelSummaryScreen #model-state { height: auto; padding: 0 1; margin-top: 1; }
    ModelSummaryScreen ModulesTable { height: 1fr; margin-top: 1; display: none; }
    ModelSummaryScreen.-made ModulesTable { display: block; }
    ModelSummaryScreen.-made #model-state { display: none; }
    ModelSummaryScreen KeyBar { height: 1; dock: bottom; }
    """

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("model")]

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self.summary: ModelSummary | None = None
        self._runs: list[Entry] = []

    def compose(self) -> ComposeResult:
        """Title, state, modules, keys."""
        yield Static("Model summary", id="model-title", markup=False)
        yield Static("", id="model-state", markup=False)
        yield ModulesTable()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Summarize the model."""
        self._write_title(plain(self._request.model))
        self._say("counting parameters, work and memory ..")
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._modules.rewrite())
        start(self, self._summarize, group="model-summary")

    @property
    def _modules(self) -> ModulesTable:
        return self.query_one(ModulesTable)

    @property
    def state(self) -> str:
        """What is done, or why there is no summary."""
        return str(self.query_one("#model-state", Static).content)

    async def _summarize(self) -> None:
        with stop_flag() as stopped:
            try:
                made = await in_daemon_thread(partial(summarize, self._request, stopped=stopped.is_set))
            except EtuiError as error:
                self._say(f"Cannot summarize the model: {plain(to_text(error))}.")
                return
        try:
            runs = await self.app.database.read(lambda store: measured_runs(store, self._request, made))
        except EtuiError as error:
            self.app.complain(error, "Cannot read the runs of the model")
            runs = []
        self.summary, self._runs = made, wording.runs(runs)
        self._write_title(made.model, made.title)
        self.add_class("-made")
        self._modules.show(made, wording.totals(made), self._runs)
        self._modules.focus()
        self.refresh_bindings()

    def _write_title(self, name: str, about: str = "") -> None:
        line = Text(f"Model summary  {plain(name)}")
        dot = glyphs(self.app).dot
        for part in filter(None, (about, shape_text(self._request.shape))):
            line.append(f" {dot} {plain(part)}", "not bold")
        self.query_one("#model-title", Static).update(line)

    def _say(self, text: str) -> None:
        self.query_one("#model-state", Static).update(Text(text))

    def footer(self) -> Footer:
        """Return the keys of the table of modules."""
        if isinstance(self.focused, TableFilter):
            return Footer([Hint("enter", "apply"), "filter.leave"])
        of_rows = ["rows.fold", "rows.filter", "rows.sort", "model.copy"] if self.summary is not None else []
        return Footer([*of_rows, "model.close"])

    def forwarded_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes whose actions ``action_forward`` runs."""
        return ("rows",) if self.summary is not None else ()

    async def action_forward(self, action_id: str) -> None:
        """Run an action of the table of modules."""
        await self._modules.view.run_action(BY_ID[action_id].name)

    def action_copy(self) -> None:
        """Copy totals and modules as Markdown."""
        from etui.report.summary_markdown import summary_markdown
        from etui.tui.markdown import copy_markdown

        if self.summary is not None:
            rows = self._modules.view.rows
            shown = {node.key for node in rows.shown} if rows is not None else set()
            modules = [each for each in self.summary.modules if each.path in shown]
            text = summary_markdown(self.summary, modules, [*wording.totals(self.summary), *self._runs])
            self.notify(copy_markdown(self.app, text), title="Copied", markup=False)

    def action_close(self) -> None:
        """Go back; from a filter, to all modules."""
        if not self._modules.end_filter():
            self.dismiss()
