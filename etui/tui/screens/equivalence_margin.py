"""The dialog that asks for the equivalence margin."""

from __future__ import annotations

import math
from collections.abc import Iterable

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow

MOST = 100.0


class MarginDialog(Dialog[float]):
    """Ask for the margin, in percent, within which two latencies are equivalent; the result is the margin."""

    title_text = "Margin"
    confirm_label = "Compare"

    def __init__(self, percent: float) -> None:
        super().__init__()
        self._input = Input(f"{percent:g}", placeholder="2", compact=True)
        self._row = FormRow("Percent", self._input)

    def body(self) -> Iterable[Widget]:
        """The field."""
        yield self._row

    def on_mount(self) -> None:
        """Focus the field, with its value selected."""
        self._input.focus()
        self._input.select_all()
        self.say("Latencies that differ by at most this percentage are equivalent.")

    def confirm(self) -> None:
        """Return the margin, or report why it is invalid."""
        text = self._input.value.strip().removesuffix("%").strip().replace(",", ".")
        try:
            percent = float(text)
        except ValueError:
            percent = math.nan
        if not 0 <= percent <= MOST:
            self._row.mark(f"enter a number from 0 to {MOST:g}, such as 2 or 0.5")
            self._input.focus()
            return
        self.dismiss(percent)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._row.mark(None)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()
