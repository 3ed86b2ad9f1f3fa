"""The question before a start on a busy machine: wait until it is calm, measure anyway, or cancel."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Button, Static

from etui.services.busy_start import MEASURE_ANYWAY_MIN, WAIT_UNTIL_CALM_MIN
from etui.text import plain
from etui.tui.screens.dialog import CONFIRM, Dialog


class BusyMachineDialog(Dialog[float]):
    """Show the load of the machine; the result is how many minutes to wait until it is calm, 0 to measure at once."""

    title_text = "The machine is busy"
    confirm_label = "Wait until calm"
    other_label = "Measure anyway"

    def __init__(self, load: str) -> None:
        super().__init__()
        self._load = load

    def body(self) -> Iterable[Widget]:
        """Return what keeps the machine busy, and what the choices mean."""
        load = plain(self._load)
        yield Static(Text(f"{load[:1].upper()}{load[1:]}."), markup=False)
        yield Static(
            Text(
                "\nLatencies and speed-ups that are measured now would be unreliable. Waiting prepares the programs and"
                " measures as soon as the machine is calm, or with a warning flag after"
                f" {WAIT_UNTIL_CALM_MIN:.0f} minutes."
            ),
            markup=False,
            classes="dialog--note",
        )

    def on_mount(self) -> None:
        """Focus the button that waits."""
        super().on_mount()
        self.query_one(f"#{CONFIRM}", Button).focus()

    def confirm(self) -> None:
        """Wait until the machine is calm."""
        self.dismiss(WAIT_UNTIL_CALM_MIN)

    def other(self) -> None:
        """Measure at once."""
        self.dismiss(MEASURE_ANYWAY_MIN)
