"""Ask for the margin within which two latencies count as equal."""

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
    """The result is the margin in percent."""

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
        """Let what is typed replace what stands there."""
        self._input.focus()
        self._input.select_all()
        self.say("Two latencies within this percentage count as equally fast.")

    def confirm(self) -> None:
        """Give it back, or say why it is none."""
        text = self._input.value.strip().removesuffix("%").strip().replace(",", ".")
        try:
            percent = float(text)
        except ValueError:
            percent = math.nan
        if not 0 <= percent <= MOST:
            self._row.mark(f"a margin is a number from 0 to {MOST:g}, such as 2 or 0.5")
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
