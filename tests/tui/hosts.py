"""Small apps that hold one widget or dialog, and waiting for what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

PATIENCE_S = 20.0


class Host(App[None]):
    """One widget on a screen; the messages it posts are kept."""

    def __init__(self, make: Callable[[], Widget], *, theme: str = "textual-dark", width: int | None = None) -> None:
        super().__init__()
        self._make = make
        self._width = width
        self.theme = theme
        self.heard: list[Message] = []

    def compose(self) -> ComposeResult:
        """The widget."""
        widget = self._make()
        if self._width is not None:
            widget.styles.width = self._width
        yield widget

    async def on_event(self, event: Any) -> None:
        await super().on_event(event)

    async def _on_message(self, message: Message) -> None:
        self.heard.append(message)
        await super()._on_message(message)


class DialogHost(App[None]):
    """A dialog over some text; what it ends with is kept."""

    def __init__(self, make: Callable[[], Screen[Any]], *, theme: str = "textual-dark") -> None:
        super().__init__()
        self._make = make
        self.theme = theme
        self.results: list[Any] = []

    def compose(self) -> ComposeResult:
        """What lies under the dialog."""
        yield Static("what lies under the dialog " * 60, id="under")

    def on_mount(self) -> None:
        """Open the dialog."""
        self.push_screen(self._make(), self.results.append)


async def until(pilot: Pilot[Any], holds: Callable[[], object]) -> None:
    """Let the app work until something holds; fails where it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await pilot.pause()


async def type_text(pilot: Pilot[Any], text: str) -> None:
    """Type every letter of a text."""
    names = {
        " ": "space",
        "/": "slash",
        ".": "full_stop",
        "-": "minus",
        "_": "underscore",
        ":": "colon",
        "*": "asterisk",
    }
    await pilot.press(*(names.get(letter, letter) for letter in text))
