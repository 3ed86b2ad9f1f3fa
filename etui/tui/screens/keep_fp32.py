"""The dialog that asks for modules to keep in FP32 when a run is queued again."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.results import RunDocument
from etui.text import plain
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow


class KeepFp32Dialog(Dialog[list[str]]):
    """Ask for modules; the result is the list of their paths."""

    title_text = "Run again"
    confirm_label = "Run"

    def __init__(self, document: RunDocument, module: str) -> None:
        super().__init__()
        name = plain(f"{document.model.name} {document.configuration}")
        self._question = f"Queue {name} again with these modules in FP32; the rest is quantized as before."
        self._input = Input(plain(module), placeholder="layer4.1.conv2, fc", compact=True, select_on_focus=False)
        self._row = FormRow("Modules", self._input)

    def body(self) -> Iterable[Widget]:
        """The question and the field."""
        yield Static(Text(self._question), markup=False)
        yield self._row

    def on_mount(self) -> None:
        """Focus the field."""
        self._input.focus()

    def confirm(self) -> None:
        """Return the modules."""
        modules = list(dict.fromkeys(part.strip() for part in self._input.value.split(",") if part.strip()))
        if not modules:
            self._row.mark("no module is given; enter its path, such as layer4.1.conv2")
            self._input.focus()
            return
        self.dismiss(modules)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()
