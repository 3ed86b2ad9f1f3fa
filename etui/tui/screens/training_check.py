"""The screen of a training check: the losses while a model is trained for a few steps, and what was found."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import Worker

from etui.actions import Scope, bindings
from etui.errors import EtuiError
from etui.services.check_training import check_training, reference_of
from etui.text import local_time, plain
from etui.training_check import CheckSummary, StoredCheck, TrainingCheck, TrainingOptions, TrainingStep
from etui.tui.defect_guard import Guarded
from etui.tui.details.text_view import Page, Paper
from etui.tui.error_text import to_text
from etui.tui.screen_host import ScreenHost
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.training_options import TrainingDialog
from etui.tui.terminal import chart_palette, glyphs
from etui.tui.text_layout import Sheet, Styles
from etui.tui.training_check.page import Curve, check_page, live_page
from etui.tui.widgets.key_bar import Footer, KeyBar
from etui.tui.workers import in_daemon_thread, start, stop_flag

_REDRAW_S = 0.25
_MOST_LOAD = 0.1
"""The largest share of the time that drawing may take: the chart of many thousand steps is drawn less often."""


class TrainingCheckScreen(Guarded, Screen[None]):
    """Shows the stored training checks of a model, one at a time, and makes a new one on request. The actions of scope
    ``training`` are its methods."""

    app: ScreenHost
    scope: ClassVar[Scope] = "training"
    DEFAULT_CSS = """
    TrainingCheckScreen { layout: vertical; }
    TrainingCheckScreen #training-title {
        height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    TrainingCheckScreen Page { height: 1fr; margin-top: 1; }
    TrainingCheckScreen KeyBar { height: 1; dock: bottom; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("training")]

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._options = TrainingOptions()
        self._worker: Worker[None] | None = None
        self._curves: dict[str, list[float | None]] = {}
        self._step: TrainingStep | None = None
        self._draw_next = 0.0
        self._late: Timer | None = None
        self._number = 0
        """The number of checks that were started, so that late steps of a cancelled one are not shown."""
        self._reference = ""
        self._stored: list[CheckSummary] = []
        """The stored checks of the model, newest first."""
        self._place = 0
        self.stored: StoredCheck | None = None
        """The check that is shown."""
        self.message = ""
        """What is done, or why there is no result; empty if one is shown."""

    def compose(self) -> ComposeResult:
        """Title, page, keys."""
        yield Static(Text(f"Training check  {plain(self._model)}"), id="training-title", markup=False)
        yield Page()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Show the last check; without one, ask how to train."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())
        self.query_one(Page).focus()
        self._say("reading the last check ..")
        start(self, self._read, group="training-check")

    async def _read(self) -> None:
        try:
            self._reference = await asyncio.to_thread(reference_of, self._model)
            await self._list()
        except EtuiError as error:
            self._say(f"Cannot check the training: {plain(to_text(error))}.")
            return
        if self.stored is None:
            self.action_check()

    async def _list(self, place: int = 0) -> None:
        """Read the stored checks of the model, and show one of them, 0 being the newest."""
        reference = self._reference
        self._stored = await self.app.database.read(lambda store: store.training_checks(reference))
        if self._stored:
            await self._show(min(place, len(self._stored) - 1))
        else:
            self.stored = None
            self._say("No check of this model is stored. Press r to check whether it trains.")

    async def _show(self, place: int) -> None:
        check_id = self._stored[place].id
        self.stored = await self.app.database.read(lambda store: store.training_check(check_id))
        self._place = place
        self._say("")

    @property
    def is_checking(self) -> bool:
        """Whether a check is in progress."""
        return self._worker is not None and not self._worker.is_finished

    @property
    def check(self) -> TrainingCheck | None:
        """The result that is shown."""
        return None if self.stored is None else self.stored.check

    def footer(self) -> Footer:
        """Return the keys for the present state."""
        names = ["training.cancel"] if self.is_checking else ["training.check"]
        if self.stored is not None and not self.is_checking:
            names += ["training.older", "training.newer"] if len(self._stored) > 1 else []
            names += ["training.copy", "training.delete"]
        return Footer([*names, "training.close"])

    def action_check(self) -> None:
        """Ask how to train, and start."""
        if self.is_checking:
            self.app.say("The check is in progress; x cancels it.")
            return

        def chosen(options: TrainingOptions | None) -> None:
            if options is not None:
                self._options = options
                self._start()

        self.app.push_screen(TrainingDialog(self._model, self._options), chosen)

    def action_cancel(self) -> None:
        """Stop the check in progress."""
        if self.is_checking and self._worker is not None:
            self._worker.cancel()
            self._worker = None
            self._say("Cancelled. Press r to check again.")
        else:
            self.app.say("No training check is in progress.")

    def action_copy(self) -> None:
        """Copy the check as Markdown."""
        from etui.report.training_markdown import training_markdown
        from etui.tui.markdown import copy_markdown

        if self.check is None:
            self.app.say("There is no check to copy.", "warning")
        else:
            self.notify(copy_markdown(self.app, training_markdown(self.check)), title="Copied", markup=False)

    def action_older(self) -> None:
        """Show the check before the one that is shown."""
        self._go(1, "This is the oldest stored check of this model.")

    def action_newer(self) -> None:
        """Show the check after the one that is shown."""
        self._go(-1, "This is the newest stored check of this model.")

    def _go(self, step: int, at_end: str) -> None:
        if self.is_checking:
            self.app.say("The check is in progress; x cancels it.")
        elif 0 <= self._place + step < len(self._stored):
            start(self, partial(self._show, self._place + step), group="training-show", exclusive=True)
        else:
            self.app.say(at_end)

    def action_delete(self) -> None:
        """Delete the check that is shown; asks first."""
        stored, place = self.stored, self._place
        if stored is None or self.is_checking:
            self.app.say("There is no stored check to delete.", "warning")
            return

        async def work() -> None:
            await self.app.database.write(lambda store: store.delete_training_checks([stored.id]), announce=False)
            await self._list(place)

        def answered(confirmed: bool | None) -> None:
            if confirmed:
                start(self, work, group="training-show", title="Cannot delete the training check")

        text = f"Delete the check of {plain(self._model)} of {local_time(stored.created_at)}?"
        self.app.push_screen(ConfirmDialog("Delete a training check", text, "Delete"), answered)

    def action_close(self) -> None:
        """Go back; a check in progress ends."""
        self.dismiss()

    def _start(self) -> None:
        self.stored, self._step = None, None
        self._number += 1
        self._curves = {}
        self._say("starting ..")
        self._worker = start(self, self._train, group="training-check", exclusive=True)
        self.refresh_bindings()

    async def _train(self) -> None:
        number = self._number
        kept: list[StoredCheck] = []
        problem = ""

        def begin(line: str) -> None:
            self.call_later(self._begin, number, line)

        def step(step: TrainingStep) -> None:
            self.call_later(self._note, number, step)

        with stop_flag() as stopped:
            work = partial(
                check_training,
                self._model,
                self._options,
                begin=begin,
                step=step,
                stopped=stopped.is_set,
                keep=kept.append,
            )
            try:
                await in_daemon_thread(work)
            except EtuiError as error:
                problem = f"Cannot check the training: {plain(to_text(error))}."
        self._worker = None
        if kept:
            # The result is shown even if it cannot be stored.
            self.stored, self._place = kept[0], 0
            self._say("")
            await self.app.database.write(lambda store: store.add_training_check(kept[0]), create=True, announce=False)
            await self._list()
        if problem:
            self._say(problem)

    def _begin(self, number: int, line: str) -> None:
        if self.is_checking and number == self._number:
            self._say(line)

    def _note(self, number: int, step: TrainingStep) -> None:
        if not self.is_checking or number != self._number:
            return
        losses = self._curves.setdefault(step.optimizer, [])
        if step.step == 1:
            losses.clear()  # with another learning rate
        losses.append(step.loss)
        self._step = step
        wait_s = self._draw_next - time.monotonic()
        if wait_s <= 0:
            self._draw()
        elif self._late is None:
            self._late = self.set_timer(wait_s, self._draw)

    def _say(self, message: str) -> None:
        self.message, self._step = message, None
        self._draw()
        self.refresh_bindings()

    def _draw(self) -> None:
        if self._late is not None:
            self._late.stop()
            self._late = None
        self.query_one("#training-title", Static).update(self._title())
        begin = time.monotonic()
        self.query_one(Page).query_one(Paper).write(self._written)
        end = time.monotonic()
        self._draw_next = end + max(_REDRAW_S, (end - begin) / _MOST_LOAD)

    def _title(self) -> Text:
        line = Text(f"Training check  {plain(self._model)}")
        if self.stored is not None:
            dot = glyphs(self.app).dot
            line.append(f" {dot} {local_time(self.stored.created_at)} on {plain(self.stored.box)}", "not bold")
            if len(self._stored) > 1:
                line.append(f" {dot} {self._place + 1} of {len(self._stored)}, newest first", "not bold")
        return line

    def _written(self, width: int, styles: Styles) -> Text:
        height, palette = self.query_one(Page).size.height, chart_palette(self.app)
        if not self.message and self.check is not None:
            return check_page(self.check, width, height, palette, styles)
        curves: list[Curve] = [(name, losses) for name, losses in self._curves.items() if losses]
        if self.stored is None and (self.is_checking or curves):
            return live_page(self.message, self._step, curves, width, height, palette, styles)
        sheet = Sheet(width, styles)
        if self.message:
            sheet.say(self.message)
        elif self.stored is not None:
            sheet.say(f"error: {self.stored.error}", styles.bad, glyph=styles.failed)
        return sheet.text
