"""The screen of a model's summary: parameters, work and memory of the model and of each of its modules."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from etui.actions import BY_ID, Scope, bindings
from etui.services.summarize import Request
from etui.spec import shape_text
from etui.text import plain
from etui.tui.defect_guard import Guarded
from etui.tui.details.table_tab import TableFilter
from etui.tui.model_summary.pane import SummaryPane
from etui.tui.screen_host import ScreenHost
from etui.tui.terminal import glyphs
from etui.tui.widgets.key_bar import Footer, Hint, KeyBar
from etui.tui.workers import start


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
    ModelSummaryScreen SummaryPane { height: 1fr; margin-top: 1; }
    ModelSummaryScreen KeyBar { height: 1; dock: bottom; }
    """

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("model")]

    def __init__(self, request: Request, run_id: str | None = None) -> None:
        super().__init__()
        self._request = request
        self._run_id = run_id

    def compose(self) -> ComposeResult:
        """Title, modules, keys."""
        yield Static("Model summary", id="model-title", markup=False)
        yield SummaryPane()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Summarize the model."""
        self._write_title(plain(self._request.model))
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.pane.rewrite())
        self.pane.count(self._request, self.app.database)
        self.pane.focus()
        if self._run_id is not None:
            start(self, partial(self._read_run, self._run_id), title="Cannot read the run")

    async def _read_run(self, run_id: str) -> None:
        self.pane.follow(await self.app.database.read(lambda store: store.document(run_id)))

    @property
    def pane(self) -> SummaryPane:
        """The summary."""
        return self.query_one(SummaryPane)

    @on(SummaryPane.Changed)
    def _changed(self) -> None:
        if (made := self.pane.summary) is not None:
            self._write_title(made.model, made.title)
        self.refresh_bindings()

    def _write_title(self, name: str, about: str = "") -> None:
        line = Text(f"Model summary  {plain(name)}")
        dot = glyphs(self.app).dot
        for part in filter(None, (about, shape_text(self._request.shape))):
            line.append(f" {dot} {plain(part)}", "not bold")
        self.query_one("#model-title", Static).update(line)

    def footer(self) -> Footer:
        """Return the keys of the table of modules."""
        if isinstance(self.focused, TableFilter):
            return Footer([Hint("enter", "apply"), "filter.leave"])
        of_rows = (
            ["rows.fold", "rows.filter", "rows.sort", "rows.view", "model.copy", *self._peaks_key()]
            if self.pane.summary is not None
            else []
        )
        return Footer([*of_rows, "model.close"])

    def forwarded_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes whose actions ``action_forward`` runs."""
        return ("rows",) if self.pane.summary is not None else ()

    async def action_forward(self, action_id: str) -> None:
        """Run an action of the table of modules."""
        await self.pane.view.run_action(BY_ID[action_id].name)

    def _peaks_key(self) -> list[str]:
        roofline = self.pane.roofline
        return ["model.peaks"] if roofline is not None and roofline.peaks is None and roofline.on_cpu else []

    def action_peaks(self) -> None:
        """Show the peaks of this machine for the threads of the run, or ask to measure them."""
        roofline = self.pane.roofline
        self.app.open_peaks(roofline.threads if roofline is not None else None, self.pane.renew)

    def action_copy(self) -> None:
        """Copy totals and modules as Markdown."""
        from etui.tui.markdown import copy_markdown

        if (text := self.pane.to_markdown()) is not None:
            self.notify(copy_markdown(self.app, text), title="Copied", markup=False)

    def action_close(self) -> None:
        """Go back; from a filter, to all modules."""
        if not self.pane.end_filter():
            self.dismiss()
