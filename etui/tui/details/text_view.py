"""A page of the details that scrolls: text made for the width there is, and made again when that changes."""

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
from etui.tui.widgets.line_view import HalfPages, move_bindings

_AROUND = 3
"""The columns of padding and scrollbar around a paper."""

Writer = Callable[[int, Styles], Text]


class Paper(Guarded, Static):
    """Text that a writer makes for a width."""

    DEFAULT_CSS = "Paper { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._writer: Writer | None = None

    def write(self, writer: Writer) -> None:
        """Show what this writer makes."""
        self._writer = writer
        self.rewrite()

    def rewrite(self) -> None:
        """Make the text again."""
        if self._writer is not None:
            # A page that was never seen has no width; what it will have is known well enough to be laid out at once.
            width = self.size.width or self.app.size.width - _AROUND
            try:
                made = self._writer(width, sheet_styles(self.app))
            except Exception as error:  # noqa: BLE001 - a page that cannot be made must not end the screen
                self.app._handle_exception(error)
                made = Text(CANNOT_DRAW)
            self.update(Content.from_rich_text(made))

    def on_resize(self) -> None:
        """Fit the width."""
        self.rewrite()


class Page(HalfPages, VerticalScroll):
    """Papers, and maybe a chart between them, one under the other."""

    DEFAULT_CSS = """
    Page { padding: 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    def compose(self) -> ComposeResult:
        """One paper."""
        yield Paper()

    def write(self, writer: Writer) -> None:
        """Show what this writer makes on the only paper."""
        self.query_one(Paper).write(writer)
