"""The summary of a model on the screen, made when it is requested: its progress, its result, or why there is none."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal

from rich.text import Text
from textual.message import Message
from textual.worker import Worker

from etui.analysis.roofline import Roofline
from etui.errors import EtuiError
from etui.model_summary import ModelSummary
from etui.report.summary_markdown import summary_markdown
from etui.results import RunDocument
from etui.services.model_runs import measured_runs
from etui.services.roofline import roofline_of
from etui.services.summarize import Request, summarize
from etui.text import plain
from etui.tui.database import Database
from etui.tui.error_text import to_text
from etui.tui.model_summary.table import ModulesTable
from etui.tui.text_layout import Sheet, Styles
from etui.tui.workers import in_daemon_thread, start, stop_flag
from etui.wording import model_summary as wording
from etui.wording import roofline as roofline_wording
from etui.wording.run_sections import Entry

State = Literal["idle", "counting", "made", "failed", "cancelled"]


class SummaryPane(ModulesTable):
    """The modules of a model, and of a run. ``count`` starts counting them; ``Changed`` is posted when the state has
    changed."""

    class Changed(Message):
        """Counting has begun or ended."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.state: State = "idle"
        self.message = ""
        self._worker: Worker[None] | None = None
        self._runs: list[Entry] = []
        self._run: RunDocument | None = None

    def on_mount(self) -> None:
        """Show how to start counting."""
        self._turn("idle", "I counts parameters, work and memory of the model.")

    def count(self, request: Request, database: Database) -> None:
        """Summarize a model and show the result with its runs in the database."""
        self._turn("counting", "counting parameters, work and memory ..")
        work = partial(self._summarize, request, database)
        self._worker = start(self, work, group="model-summary", exclusive=True)

    def follow(self, document: RunDocument) -> None:
        """Show the roofline of this run with the summary, again if its times have changed."""
        before, self._run = self._run, document
        if self.summary is not None and (before is None or _times(before) != _times(document)):
            start(self, self._renew, group="roofline", exclusive=True)

    def renew(self) -> None:
        """Compare with the peaks again, which have been measured meanwhile."""
        if self.summary is not None and self._run is not None:
            start(self, self._renew, group="roofline", exclusive=True)

    async def _renew(self) -> None:
        if (summary := self.summary) is not None:
            self._present(summary, await self._roofline(summary))

    def cancel(self, message: str) -> None:
        """Stop counting and show a message; does nothing if it has ended."""
        if self.state == "counting" and self._worker is not None:
            self._worker.cancel()
            self._turn("cancelled", message)

    def fail(self, error: EtuiError) -> None:
        """Show why there is no summary."""
        self._turn("failed", f"Cannot summarize the model: {plain(to_text(error))}.")

    def to_markdown(self) -> str | None:
        """Return totals and visible modules; None if there is no summary."""
        rows, summary = self.view.rows, self.summary
        if rows is None or summary is None:
            return None
        shown = {node.key for node in rows.shown}
        modules = [module for module in summary.modules if module.path in shown]
        of_run = roofline_wording.entries(self.roofline) if self.roofline is not None else []
        return summary_markdown(summary, modules, [*wording.totals(summary), *self._runs, *of_run], self.roofline)

    async def _summarize(self, request: Request, database: Database) -> None:
        with stop_flag() as stopped:
            try:
                made = await in_daemon_thread(partial(summarize, request, stopped=stopped.is_set))
            except EtuiError as error:
                self.fail(error)
                return
        self._runs = await self._read_runs(request, made, database)
        run = self._run
        roofline = await self._roofline(made)
        self.state, self.message = "made", ""
        self._present(made, roofline)
        if self._run is not run:
            start(self, self._renew, group="roofline", exclusive=True)
        self.post_message(self.Changed())

    async def _roofline(self, made: ModelSummary) -> Roofline | None:
        """Compute it in a thread: a profile has thousands of operators, and the peaks are in files."""
        run = self._run
        return await asyncio.to_thread(roofline_of, run, made) if run is not None else None

    def _present(self, made: ModelSummary, roofline: Roofline | None) -> None:
        self.show(made, wording.totals(made), self._runs, roofline)

    async def _read_runs(self, request: Request, made: ModelSummary, database: Database) -> list[Entry]:
        try:
            return wording.runs(await database.read(lambda store: measured_runs(store, request, made)))
        except EtuiError as error:
            return [Entry("runs", f"cannot be read: {plain(to_text(error))}", "warn")]

    def _turn(self, state: State, message: str) -> None:
        self.state, self.message, self.summary = state, message, None
        self.view.show(None, partial(_paragraph, message))
        self.write_foot()
        self.post_message(self.Changed())


def _times(document: RunDocument) -> tuple[object, ...]:
    """Return what changes when a run is measured or profiled."""
    profile = document.profile
    return document.id, document.status, document.latency_ms, profile.created_at if profile is not None else None


def _paragraph(message: str, width: int, styles: Styles) -> Text:
    sheet = Sheet(width, styles)
    sheet.say(message)
    return sheet.text
