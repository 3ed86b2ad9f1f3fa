"""A scrolling tab of the details: text rendered for the current width, and again when the width changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from etui.tui.defect_guard import CANNOT_DRAW, Guarded
from etui.tui.terminal import sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.widgets.half_pages import HalfPages, move_bindings

_AROUND = 3
"""The cells of padding and scrollbar around the text."""

Writer = Callable[[int, Styles], Text]


class Paper(Guarded, Static):
    """Text that a writer renders for a width."""

    DEFAULT_CSS = "Paper { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._writer: Writer | None = None

    def write(self, writer: Writer) -> None:
        """Show this writer's text."""
        self._writer = writer
        self.rewrite()

    def rewrite(self) -> None:
        """Render the text again."""
        if self._writer is not None:
            # A tab that was never shown has no width yet: assume that of the terminal.
            width = self.size.width or self.app.size.width - _AROUND
            try:
                content = self._writer(width, sheet_styles(self.app))
            except Exception as error:  # noqa: BLE001 - a tab that cannot be rendered must not end the screen
                self.app._handle_exception(error)
                content = Text(CANNOT_DRAW)
            self.update(Content.from_rich_text(content))

    def on_resize(self) -> None:
        """Fit the width."""
        self.rewrite()


class Page(HalfPages, VerticalScroll):
    """Texts, and possibly a chart between them, one below the other."""

    DEFAULT_CSS = """
    Page { padding: 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    def compose(self) -> ComposeResult:
        """Compose one text."""
        yield Paper()

    def write(self, writer: Writer) -> None:
        """Show this writer's text."""
        self.query_one(Paper).write(writer)
