"""The confirmation before data is deleted or overwritten; the default answer is no."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from etui.text import plain
from etui.tui.screens.dialog import Dialog


class ConfirmDialog(Dialog[bool]):
    """Ask whether to do what ``confirm_label`` names. The result is True only if that button was pressed."""

    careful = True

    def __init__(self, title: str, text: str, confirm_label: str, close_label: str = "Cancel") -> None:
        super().__init__()
        self.close_label = close_label
        self.title_text = plain(title)
        self.confirm_label = confirm_label
        self._text = text

    def body(self) -> Iterable[Widget]:
        """Return the question."""
        yield Static(Text(plain(self._text, keep_lines=True)), markup=False)

    def confirm(self) -> None:
        """Answer yes."""
        self.dismiss(True)

    def action_close(self) -> None:
        """Answer no."""
        self.dismiss(False)
