"""The screen of this machine's peaks, which the roofline of a run is compared with: those stored, and measuring."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.actions import Scope, bindings
from etui.errors import EtuiError, UsageError
from etui.machine_peaks import MachinePeaks
from etui.report import markdown
from etui.services.peaks import measure_peaks
from etui.services.request import check_threads, wait_quiet_min
from etui.store.kept_peaks import kept_peaks
from etui.text import counted
from etui.tui.details.section_view import add_section
from etui.tui.error_text import to_text
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.screens.work_screen import Progress, WorkScreen
from etui.tui.text_layout import Sheet
from etui.tui.widgets.form_row import FormRow
from etui.tui.workers import start
from etui.wording.peaks import section

_ABOUT = (
    "Measures how fast this machine computes in FP32, FP16 and INT8 and reads memory at most, with the libraries that"
    " execute models. It takes about a minute, holds the machine lock, and waits for a quiet machine. The result is"
    " stored for this number of threads, and rooflines of runs on this machine are compared with it."
)


class PeaksDialog(Dialog[int]):
    """Ask for the number of threads; the result is None if nothing is measured."""

    DEFAULT_CSS = "PeaksDialog .form--label { width: 9; }"
    title_text = "Measure the peaks of this machine"
    confirm_label = "Measure"

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._threads = Input(str(threads), compact=True)
        self.row = FormRow("Threads", self._threads)

    def body(self) -> Iterable[Widget]:
        """What is measured, and the field."""
        yield Static(Text(_ABOUT), classes="dialog--note", markup=False)
        yield self.row

    def on_mount(self) -> None:
        """Focus the button that starts."""
        self.query_one(f"#{CONFIRM}").focus()

    def confirm(self) -> None:
        """Return the number of threads, or mark the field."""
        text = self._threads.value.strip()
        try:
            if not text.isdecimal() or not int(text):
                raise UsageError(f"{text[:30]!r} is not a number of threads", "enter a whole number from 1")
            threads = check_threads(int(text))
        except EtuiError as error:
            self.row.mark(to_text(error))
            self._threads.focus()
        else:
            self.dismiss(threads)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()


class PeaksScreen(WorkScreen):
    """Shows the peaks of this machine and measures them on request. The actions of scope ``peaks`` are its methods.
    ``measured`` is called when new ones are stored."""

    scope: ClassVar[Scope] = "peaks"
    begin_action: ClassVar[str] = "measure"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("peaks")]

    def __init__(self, threads: int, measured: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._threads = threads
        self._measured = measured
        self.peaks: list[MachinePeaks] = []
        """The stored peaks of this machine, by number of threads."""

    def on_mount(self) -> None:
        """Read the stored peaks; without those for the number of threads, ask to measure them."""
        super().on_mount()
        self.say("reading the stored peaks ..")
        start(self, self._first, group="peaks")

    def title_parts(self) -> Iterable[str]:
        """Return the host and its processor."""
        return ("Peaks of this machine", socket.gethostname(), self.peaks[0].cpu if self.peaks else "")

    @property
    def has_result(self) -> bool:
        """Whether peaks are stored."""
        return bool(self.peaks)

    def write_result(self, sheet: Sheet) -> None:
        """Write the peaks for each number of threads."""
        for peaks in self.peaks:
            add_section(sheet, section(peaks))

    def action_measure(self) -> None:
        """Ask for the number of threads, and measure."""

        def chosen(threads: int) -> None:
            self._threads = threads
            self.work(self._measure, self._store, "Cannot measure the peaks")

        self.ask(PeaksDialog(self._threads), chosen, "Measuring is in progress; x cancels it.")

    def action_cancel(self) -> None:
        """Stop measuring."""
        if not self.cancel(f"Cancelled, nothing was stored. {self._how()}"):
            self.app.say("Nothing is being measured.")

    def action_copy(self) -> None:
        """Copy the peaks as Markdown."""
        if not self.peaks:
            self.app.say("There are no peaks to copy.", "warning")
        else:
            self.copy(line for peaks in self.peaks for line in markdown.section(section(peaks)))

    def _measure(self, progress: Progress, stopped: Callable[[], bool]) -> MachinePeaks:
        return measure_peaks(self._threads, wait_quiet_min=wait_quiet_min(None), progress=progress, stopped=stopped)

    def _store(self, made: MachinePeaks) -> None:
        self._measured()
        start(self, self._read, group="peaks")

    async def _first(self) -> None:
        await self._read()
        if all(peaks.threads != self._threads for peaks in self.peaks):
            self.action_measure()

    async def _read(self) -> None:
        self.peaks = await asyncio.to_thread(partial(kept_peaks, socket.gethostname()))
        self.say("" if self.peaks else f"No peaks of this machine are stored. {self._how()}")

    def _how(self) -> str:
        return f"Press r to measure them with {counted(self._threads, 'thread')} or another number."
