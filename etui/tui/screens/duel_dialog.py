"""The dialog before a duel: what is measured, with which preset, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from etui.text import plain
from etui.tui.compare.duel import DEFAULT, DuelChoice, DuelOffer
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow


class DuelDialog(Dialog[DuelChoice]):
    """Ask for the preset of a duel; the result is None if it is not started."""

    title_text = "Measure both again: duel"
    confirm_label = "Measure"

    def __init__(self, offer: DuelOffer) -> None:
        super().__init__()
        self._offer = offer
        self._preset = Cycle([(choice.preset, choice.text) for choice in offer.choices], DEFAULT, id="duel-preset")

    def body(self) -> Iterable[Widget]:
        """Return the two runs and the field."""
        first, second = map(plain, self._offer.names)
        text = f"{first}\n{second}\nTheir programs are measured again now, block by block in turn, as two new runs."
        yield Static(Text(text), markup=False)
        yield FormRow("Preset", self._preset)

    def on_mount(self) -> None:
        """Focus the button that starts: the preset is the usual one."""
        self.query_one(f"#{CONFIRM}").focus()

    def confirm(self) -> None:
        """Return the preset."""
        self.dismiss(next(choice for choice in self._offer.choices if choice.preset == self._preset.value))
