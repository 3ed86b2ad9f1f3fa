"""The base of screens that do one piece of work on request, in a thread, and show its progress and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import Worker

from etui.actions import Scope
from etui.errors import EtuiError
from etui.text import about_seconds, plain, seconds
from etui.time_left import TimeLeft
from etui.tui.defect_guard import Guarded
from etui.tui.details.text_view import Page
from etui.tui.error_text import to_text
from etui.tui.screen_host import ScreenHost
from etui.tui.screens.dialog import Dialog
from etui.tui.terminal import glyphs
from etui.tui.text_layout import Sheet, Styles
from etui.tui.widgets.key_bar import Footer, KeyBar
from etui.tui.workers import in_daemon_thread, start, stop_flag

_SHOWN_AFTER_S = 3

T = TypeVar("T")
Answer = TypeVar("Answer")
Progress = Callable[[str, float, float], None]
"""Called with what is done, and how much of it is done and of how much; of 0 if that is not known."""
Work = Callable[[Progress, Callable[[], bool]], T]
"""A blocking function that reports progress, and ends soon after its second argument returns True."""


class WorkScreen(Guarded, Screen[None]):
    """A title, a page and the keys. The page has ``message``, and without work in progress what ``write_result``
    writes."""

    app: ScreenHost
    scope: ClassVar[Scope]
    begin_action: ClassVar[str]
    """The name of the action that asks what to do, and begins."""
    DEFAULT_CSS = """
    WorkScreen { layout: vertical; }
    WorkScreen #work-title {
        height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    WorkScreen Page { height: 1fr; margin-top: 1; }
    WorkScreen KeyBar { height: 1; dock: bottom; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.message = ""
        """What is done, or why there is no new result."""
        self._worker: Worker[None] | None = None
        self._number = 0
        """The number of works that were started, so that late progress of a cancelled one is not shown."""
        self._left = TimeLeft()
        self._left_s: float | None = None
        self._began = 0.0

    def compose(self) -> ComposeResult:
        """Title, page, keys."""
        yield Static(self._title(), id="work-title", markup=False)
        yield Page()
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Show the message or the result."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())
        self.set_interval(1.0, self._tick)
        self.query_one(Page).focus()
        self._draw()

    def title_parts(self) -> Iterable[str]:
        """Return the name of the screen, and what is said after it."""
        raise NotImplementedError

    def write_result(self, sheet: Sheet) -> None:
        """Write the result, if there is one."""
        raise NotImplementedError

    @property
    def has_result(self) -> bool:
        """Whether there is a result, which can be copied."""
        raise NotImplementedError

    def footer(self) -> Footer:
        """Return the keys for the present state."""
        copy = ["copy"] if self.has_result else []
        names = ["cancel", "close"] if self.is_working else [self.begin_action, *copy, "close"]
        return Footer([f"{self.scope}.{name}" for name in names])

    def ask(self, dialog: Dialog[Answer], chosen: Callable[[Answer], None], busy: str) -> None:
        """Show a dialog, and call ``chosen`` with its result if it has one; only say ``busy`` while work is in
        progress."""
        if self.is_working:
            self.app.say(busy)
            return

        def closed(answer: Answer | None) -> None:
            if answer is not None:
                chosen(answer)

        self.app.push_screen(dialog, closed)

    def copy(self, lines: Iterable[str]) -> None:
        """Copy lines of Markdown."""
        from etui.tui.markdown import copy_markdown

        self.notify(copy_markdown(self.app, "\n".join(lines)), title="Copied", markup=False)

    @property
    def is_working(self) -> bool:
        """Whether work is in progress."""
        return self._worker is not None and not self._worker.is_finished

    def work(self, work: Work[T], done: Callable[[T], None], problem: str) -> None:
        """Do work, and call ``done`` with its result; an error is shown after ``problem``."""
        self._number += 1
        self._left, self._left_s, self._began = TimeLeft(), None, time.monotonic()
        self.say("starting ..")
        self._worker = start(self, partial(self._do, work, done, problem), group="work", exclusive=True)
        self.refresh_bindings()

    def cancel(self, message: str) -> bool:
        """Stop the work in progress and show a message; False if there is none."""
        if not self.is_working or self._worker is None:
            return False
        self._worker.cancel()
        self._worker = None
        self.say(message)
        return True

    def say(self, message: str) -> None:
        """Show a message above the result; an empty one hides it."""
        self.message = message
        self._draw()
        self.refresh_bindings()

    def action_close(self) -> None:
        """Go back; work in progress ends."""
        self.dismiss()

    async def _do(self, work: Work[T], done: Callable[[T], None], problem: str) -> None:
        number = self._number

        def progress(text: str, part: float, of: float) -> None:
            self.call_later(self._note, number, text, part, of)

        with stop_flag() as stopped:
            try:
                made = await in_daemon_thread(partial(work, progress, stopped.is_set))
            except EtuiError as error:
                self._worker = None
                self.say(f"{problem}: {plain(to_text(error))}.")
                return
        self._worker = None
        done(made)

    def _note(self, number: int, text: str, part: float, of: float) -> None:
        if self.is_working and number == self._number:
            self._left_s = self._left.note(part, of)
            self.say(text)

    def _title(self) -> Text:
        name, *about = self.title_parts()
        line = Text(plain(name))
        dot = glyphs(self.app).dot
        for part in filter(None, about):
            line.append(f" {dot} {plain(part)}", "not bold")
        return line

    def _draw(self) -> None:
        self.query_one("#work-title", Static).update(self._title())
        self.query_one(Page).write(self._written)

    def _written(self, width: int, styles: Styles) -> Text:
        sheet = Sheet(width, styles)
        if self.message:
            sheet.say(f"{self.message} {self._time()}" if self.is_working else self.message)
            sheet.gap()
        if not self.is_working:
            self.write_result(sheet)
        return sheet.text

    def _time(self) -> str:
        """Return the time left, or if it is not known the time so far."""
        if self._left_s is not None:
            return f"about {about_seconds(self._left_s)} left"
        passed_s = int(time.monotonic() - self._began)
        passed = f"{passed_s} s" if passed_s < 60 else seconds(passed_s)
        return f"{passed} so far" if passed_s >= _SHOWN_AFTER_S else ""

    def _tick(self) -> None:
        if self.is_working:
            self._draw()
