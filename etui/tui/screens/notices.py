"""The history of notices: what the app has reported since it was started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from etui.actions import bindings
from etui.events import Event
from etui.tui.defect_guard import Guarded
from etui.tui.widgets.log_view import LogView


class NoticesScreen(Guarded, ModalScreen[None]):
    """Lists notices, the newest last."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("notices"),
        *[binding for binding in bindings("app") if binding.id == "app.screenshot"],
    ]

    DEFAULT_CSS = """
    NoticesScreen { align: center middle; background: $background 60%; }
    NoticesScreen > Vertical {
        width: 100; max-width: 100%; height: 80%; border: round $border; padding: 0 1; background: $surface;
        border-title-color: $text-accent; border-title-style: bold; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, notices: Sequence[Event]) -> None:
        super().__init__()
        self._notices = notices
        self._view = LogView(nothing="No notices yet.")

    def compose(self) -> ComposeResult:
        """Compose the frame with the lines."""
        frame = Vertical(self._view)
        frame.border_title = "Notices"
        frame.border_subtitle = "j k scroll, escape closes"
        yield frame

    def on_mount(self) -> None:
        """Show the lines."""
        self._view.add(self._notices, {})
        self._view.focus()

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()
