"""Small apps that hold one widget or dialog, and waiting for what they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from textual import events
from textual.app import App, ComposeResult
from textual.content import Content
from textual.message import Message
from textual.notifications import Notification
from textual.pilot import Pilot
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea
from textual.worker import WorkerCancelled

from etui.tui.glyphs import UNICODE
from etui.tui.themes import THEMES
from etui.tui.widgets.virtual_table import VirtualTable

PATIENCE_S = 20.0
_POLLING = {"feed", "details-source", "compare-read", "trainings"}


class Host(App[None]):
    """One widget on a screen; the messages it posts are kept."""

    def __init__(self, make: Callable[[], Widget], *, width: int | None = None) -> None:
        super().__init__()
        self._make = make
        self._width = width
        dress(self)
        self.heard: list[Message] = []
        self.glyphs = UNICODE

    def compose(self) -> ComposeResult:
        """The widget."""
        widget = self._make()
        if self._width is not None:
            widget.styles.width = self._width
        yield widget

    async def _on_message(self, message: Message) -> None:
        self.heard.append(message)
        await super()._on_message(message)


class DialogHost(App[None]):
    """A dialog over some text; what it ends with is kept."""

    def __init__(self, make: Callable[[], Screen[Any]]) -> None:
        super().__init__()
        self._make = make
        dress(self)
        self.results: list[Any] = []

    def compose(self) -> ComposeResult:
        """What lies under the dialog."""
        yield Static("what lies under the dialog " * 60, id="under")

    def on_mount(self) -> None:
        """Open the dialog."""
        self.push_screen(self._make(), self.results.append)


def dress(app: App[Any]) -> None:
    """Give a small app the themes of the real one."""
    for one in THEMES:
        app.register_theme(one)
    app.theme = "etui-dark"


async def until(pilot: Pilot[Any], holds: Callable[[], object]) -> None:
    """Let the app work until something holds; fails where it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await pilot.pause()


async def work_done(pilot: Pilot[Any]) -> None:
    """Wait for all background work but that which polls the database and never ends."""
    while running := [one for one in pilot.app.workers if one.group not in _POLLING and not one.is_finished]:
        # Newer work may replace, and so cancel, what is waited for.
        with contextlib.suppress(WorkerCancelled):
            await pilot.app.workers.wait_for_complete(running)


async def stop_blinking(pilot: Pilot[Any]) -> None:
    """Show the cursor of every text field and keep it, so that a snapshot does not depend on when it is taken."""
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    for area in pilot.app.screen.query(TextArea):
        area.cursor_blink = False
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


def drawn_lines(view: ScrollView) -> list[str]:
    """The visible lines of a view that draws its own lines."""
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


def drawn_rows(view: VirtualTable[Any]) -> list[str]:
    """Every row of a table as it is drawn, while it scrolls from the top to the end and back."""
    before, rows = view.scroll_offset.y, []
    for top in range(view.max_scroll_y + 1):
        view.scroll_rows_to(top)
        rows.append(drawn_lines(view)[1])
    rows += drawn_lines(view)[2:]
    view.scroll_rows_to(before)
    return rows[: view.count]


def notices(app: App[Any]) -> list[Notification]:
    """Return the notices on the screen, oldest first. Textual has no public way to read them, so this is the one place
    of the tests that looks into the app."""
    return list(app._notifications)


def shown_title(title: object) -> str:
    """A border's title as it is seen."""
    return Content.from_markup(str(title)).plain


async def paste(pilot: Pilot[Any], text: str) -> None:
    """Put a long text at the cursor at once."""
    assert pilot.app.focused is not None
    pilot.app.focused.post_message(events.Paste(text))
    await pilot.pause()
