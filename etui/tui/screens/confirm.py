"""A question before something is destroyed: no is the answer that stands ready."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from etui.text import plain
from etui.tui.screens.dialog import Dialog


class ConfirmDialog(Dialog[bool]):
    """Ask whether to do what ``confirm_label`` says. The result is True only where that button was pressed."""

    careful = True

    def __init__(self, title: str, text: str, confirm_label: str) -> None:
        super().__init__()
        self.title_text = plain(title)
        self.confirm_label = confirm_label
        self._text = text

    def body(self) -> Iterable[Widget]:
        """The question."""
        yield Static(Text(plain(self._text, keep_lines=True)), markup=False)

    def confirm(self) -> None:
        """Yes."""
        self.dismiss(True)

    def action_close(self) -> None:
        """No."""
        self.dismiss(False)
