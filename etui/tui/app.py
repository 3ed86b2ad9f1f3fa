"""The terminal UI's app: themes, keys, the palette, the feed, and words that reach the user wherever he is."""

from __future__ import annotations

import asyncio
import codecs
import gc
import signal
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from rich.text import Text
from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.worker import WorkerFailed

from etui.actions import ACTIONS, bindings
from etui.config import Loaded
from etui.errors import EXIT_FAILED, EtuiError
from etui.events import Event, utc_now
from etui.text import plain
from etui.tui import themes
from etui.tui.defect_guard import TOO_MANY, Defects
from etui.tui.error_text import to_text
from etui.tui.feed import Feed, Snapshot
from etui.tui.glyphs import ASCII, UNICODE
from etui.tui.hangup import leave_without_terminal
from etui.tui.screen_host import ScreenHost, Severity
from etui.tui.screens.bench import BenchScreen
from etui.tui.terminal import is_unicode

_PROBLEM_S = 12.0


class EtuiApp(ScreenHost):
    """Opens the bench over a database. ``loaded`` is the config file as it was read.

    With ``forgiving`` a defect in a handler, a worker or a picture becomes a notice and the app stays up; without, as
    in tests, it ends the app and is raised.
    """

    TITLE = "etui"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    ENABLE_COMMAND_PALETTE = True

    class Looked(Message):
        """The feed has looked at the database. One that was not read in time gives way to the next."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    def __init__(
        self, database: Path, loaded: Loaded | None = None, *, live: bool = True, forgiving: bool = False
    ) -> None:
        loaded = loaded or Loaded()
        config = loaded.config
        ascii_only = not is_unicode() if config.ascii is None else config.ascii
        super().__init__(css_path=["etui.tcss", "ascii.tcss"] if ascii_only else ["etui.tcss"])
        self._notices = loaded.notices
        self._ascii = ascii_only
        self._keys = dict(config.keys)
        self._feed = Feed(database, lambda snapshot: self.post_message(self.Looked(snapshot)))
        self._live = live
        self._defects = Defects() if forgiving else None
        self._problem: str | None = None
        self.glyphs = ASCII if ascii_only else UNICODE
        self.bench = BenchScreen(database, self.glyphs, config.columns)
        for theme in themes.THEMES:
            self.register_theme(theme)
        self.theme = config.theme

    def get_default_screen(self) -> Screen[None]:
        """The bench."""
        return self.bench

    def on_mount(self) -> None:
        """Open the database, take over the user's keys, and begin to look."""
        if self._keys:
            self.set_keymap(self._keys)
        try:
            self.bench.library.open()
        except EtuiError as error:
            self.complain(error)
        for notice in self._notices:
            self.say(notice, "warning", keep=True)
        self._leave_on_hangup()

    def on_unmount(self) -> None:
        """Stop looking. What runs goes on."""
        self._feed.stop()

    def _leave_on_hangup(self) -> None:
        # Textual handles no SIGHUP: without this the default action would end the process in the middle of anything.
        if hasattr(signal, "SIGHUP"):
            try:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.exit)
            except (ValueError, RuntimeError):
                self.log.warning("not the main thread: SIGHUP is not handled")

    def on_etui_app_looked(self, message: Looked) -> None:
        """Hand what the feed saw to the bench, which may lie under another screen."""
        snapshot = message.snapshot
        self.bench.take(snapshot)
        if snapshot.problem is not None and snapshot.problem != self._problem:
            self.say(f"{snapshot.problem}. etui goes on trying.", "error", keep=True)
        elif snapshot.problem is None and self._problem is not None:
            self.say("the database can be read again", keep=True)
        self._problem = snapshot.problem

    def begin_to_look(self) -> None:
        """Begin to look at the database: the bench stands and can show what is seen."""
        if self._live:
            self._feed.start()

    def stands(self) -> None:
        """All that stays has been made. The garbage collector need not look at it again, which costs 25 ms a time."""
        if self._live:
            gc.freeze()

    def nudge(self) -> None:
        """Look at the database at once: the user has changed something."""
        self._feed.nudge()

    def get_key_display(self, binding: Binding) -> str:
        """A key as it is pressed; by its name where the terminal has no sign for it."""
        sign = super().get_key_display(binding)
        return sign if not self._ascii or sign.isascii() else binding.key.partition(",")[0]

    # Defects

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if isinstance(message, (events.Compose, events.Mount)):
                raise
            self._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        """What Textual calls with an error that nobody handled."""
        if self._defects is None:
            super()._handle_exception(error)
            return
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            error = error.error
        words = self._defects.note(error)
        if not self.is_running or not self.bench.is_mounted or self._defects.too_many:
            # There is no screen that could say it: leave in one line, as every command does.
            self.exit(return_code=EXIT_FAILED, message=Text(f"etui: {words or TOO_MANY}"))
        elif words is not None:
            self.say(words, "error")

    # Words

    def say(self, words: str, severity: Severity = "information", *, keep: bool = False) -> None:
        """A toast; with ``keep`` also a line of the log, where it can be read later."""
        words = plain(words)
        self.notify(words, severity=severity, markup=False, timeout=_PROBLEM_S if severity == "error" else None)
        if keep or severity == "error":
            level: Literal["info", "warning", "error"] = "info" if severity == "information" else severity
            if self.bench.is_mounted:
                self.bench.log_word(Event(kind="log", message=words, at=utc_now(), level=level))

    def complain(self, error: EtuiError) -> None:
        """Say what went wrong and what to do about it."""
        self.say(to_text(error), "error")

    # Actions of the registry

    def action_help(self) -> None:
        """Every key."""
        from etui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self._keys))

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen as SVG in the current folder."""
        name = filename or f"etui-{datetime.now():%Y%m%d-%H%M%S}.svg"
        try:
            written = self.save_screenshot(name, path)
        except OSError as error:
            self.say(f"the picture cannot be written here ({error.strerror}); start etui in another folder", "error")
            return
        self.say(f"the screen was saved as {written}", keep=True)

    async def action_quit(self) -> None:
        """Leave; a run goes on, and that is said."""
        snapshot = self.bench.snapshot
        if snapshot is not None and snapshot.sessions:
            self.exit(message="The run goes on. Start etui again to see it, or stop it with: etui cancel --all")
        else:
            self.exit()

    async def action_quit_now(self) -> None:
        """The same, from anywhere."""
        await self.action_quit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action that works here, every model, every theme."""
        from etui.catalog.models import MODELS

        for action in ACTIONS:
            if action.scope == "app" and action.name != "command_palette":
                yield SystemCommand(action.about, _with_key(action.keys), partial(self._do, action.name))
            elif screen is self.bench and action.scope in ("bench", "table", "chart", "log"):
                run = f"forward('{action.id}')" if action.scope != "bench" else action.name
                yield SystemCommand(action.about, _with_key(action.keys), partial(self._do_on_bench, run))
            elif action.scope == getattr(screen, "scope", None):
                yield SystemCommand(action.about, _with_key(action.keys), partial(self._do_on, screen, action.name))
        if screen is self.bench:
            for model in MODELS.values():
                yield SystemCommand(f"Model: {model.name}", model.title, partial(self.bench.pick_model, model.name))
        for name in themes.NAMES:
            yield SystemCommand(f"Theme: {name}", "For now; the config file keeps one", partial(self._wear, name))

    async def _do(self, action: str) -> None:
        await self.run_action(action)

    async def _do_on_bench(self, action: str) -> None:
        await self.bench.run_action(action)

    async def _do_on(self, screen: Screen[object], action: str) -> None:
        await screen.run_action(action)

    def _wear(self, name: str) -> None:
        self.theme = name


def _with_key(keys: tuple[str, ...]) -> str:
    return f"Key: {', '.join(keys)}"


def run(database: Path, loaded: Loaded) -> int:
    """Run the app until the user leaves; returns the exit status."""
    from textual.drivers import linux_driver

    # When tmux attaches again, half a character can arrive; decoding it strictly ends the whole input thread
    # (Textualize/textual#6668).
    def forgiving(name: str) -> Callable[[], codecs.IncrementalDecoder]:
        return partial(codecs.getincrementaldecoder(name), errors="replace")

    setattr(linux_driver, "getincrementaldecoder", forgiving)  # noqa: B010 - it is no name the module exports
    app = EtuiApp(database, loaded, forgiving=True)
    leave_without_terminal()
    app.run()
    return app.return_code or 0
