"""The Textual application: themes, keys, command palette, database feed, and notices on any screen."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import gc
import os
import signal
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, Provider
from textual.message import Message
from textual.screen import Screen
from textual.worker import WorkerFailed

from etui.actions import ACTIONS, BY_ID, SCOPE_TITLES, Action, Scope, bindings
from etui.config import LoadedConfig
from etui.errors import EXIT_FAILED, EtuiError
from etui.events import Event
from etui.facts import RunSummary
from etui.text import in_ascii, plain
from etui.tui import themes
from etui.tui.database import Database
from etui.tui.defect_guard import TOO_MANY, Defects
from etui.tui.error_text import to_text
from etui.tui.glyphs import ASCII, UNICODE
from etui.tui.hangup import leave_without_terminal
from etui.tui.notices import Notices
from etui.tui.palette import Entries, Entry, PaletteHost
from etui.tui.screen_host import ScreenHost, Severity
from etui.tui.screens.bench import BenchScreen
from etui.tui.terminal import is_unicode
from etui.tui.terminal_signals import TerminalSignals
from etui.tui.undo import UNDO_S, Change, UndoBuffer
from etui.tui.workers import start

if TYPE_CHECKING:
    from etui.results import RunDocument
    from etui.services.score_images import Program
    from etui.services.summarize import Request
    from etui.tui.feed import Feed, Snapshot

_PROBLEM_S = 12.0
_MOST_NOTICES = 2
"""At most this number of notices is shown at a time, the newest: they take lines from the screen."""


class EtuiApp(ScreenHost, PaletteHost):
    """The app on a database. ``loaded`` is the config file as read; ``live`` False disables the database feed.

    With ``forgiving`` a defect in a handler, a worker or a chart is reported as a notice and the app keeps running;
    without, as in tests, the exception ends the app and is raised.
    """

    TITLE = "etui"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Entries}

    class SnapshotRead(Message):
        """The feed has read the database."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    def __init__(
        self, database: Path, loaded: LoadedConfig | None = None, *, live: bool = True, forgiving: bool = False
    ) -> None:
        loaded = loaded or LoadedConfig()
        config = loaded.config
        ascii_only = not is_unicode() if config.ascii is None else config.ascii
        super().__init__(css_path=["etui.tcss", "ascii.tcss"] if ascii_only else ["etui.tcss"])
        self._notices = loaded.notices
        self._ascii = ascii_only
        self.set_class(ascii_only, "-ascii")
        self._keys = dict(config.keys)
        self.database = Database(database)
        self._feed: Feed | None = None
        self._undo = UndoBuffer(self, self.database, lambda: self.screen.refresh_bindings())
        self._live = live
        self._defects = Defects() if forgiving else None
        self._problem: str | None = None
        self._shown = Notices()
        self._signals = TerminalSignals(
            self._to_terminal,
            os.environ,
            ASCII if ascii_only else UNICODE,
            bell=config.bell,
            notification=config.desktop_notification,
            title=config.terminal_title,
        )
        self.glyphs = ASCII if ascii_only else UNICODE
        self.bench = BenchScreen(self.database, self.glyphs, config.columns)
        for theme in themes.THEMES:
            self.register_theme(theme)
        self.theme = config.theme

    def get_default_screen(self) -> Screen[None]:
        """Return the main screen."""
        return self.bench

    def on_mount(self) -> None:
        """Apply the user's keys and open the database."""
        if self._keys:
            self.set_keymap(self._keys)
        try:
            self.database.open()
        except EtuiError as error:
            self.complain(error)
        for notice in self._notices:
            self.say(notice, "warning", keep=True)
        self._leave_on_hangup()

    def on_unmount(self) -> None:
        """Close the database; runs in progress continue."""
        if self._feed is not None:
            self._feed.close()
        if problem := self._undo.finish_at_exit():
            self.exit(return_code=EXIT_FAILED, message=Text(f"etui: the runs were not deleted: {problem}"))
        self.database.close()

    def _leave_on_hangup(self) -> None:
        # Textual does not handle SIGHUP, whose default action ends the process at once.
        if hasattr(signal, "SIGHUP"):
            try:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.exit)
            except (ValueError, RuntimeError):
                self.log.warning("SIGHUP is not handled outside the main thread")

    def on_etui_app_snapshot_read(self, message: SnapshotRead) -> None:
        """Pass the snapshot to the main screen, which may be below another screen."""
        snapshot = message.snapshot
        self.bench.take(snapshot)
        self._signals.show_progress(snapshot.current)
        if snapshot.problem is not None and snapshot.problem != self._problem:
            self.say(f"{snapshot.problem}. etui keeps trying.", "error", keep=True)
        elif snapshot.problem is None and self._problem is not None:
            self.say("The database can be read again.", keep=True)
        self._problem = snapshot.problem

    def start_feed(self) -> None:
        """Start reading the database; the main screen calls this once it can show snapshots."""
        if not self._live:
            return
        # Imported here to keep it out of the time until the first paint.
        from etui.tui.feed import Feed

        def show(snapshot: Snapshot) -> None:
            self.post_message(self.SnapshotRead(snapshot))

        self._feed = Feed(self.database, show, self._handle_exception)
        self.database.subscribe(self._feed.nudge)
        start(self, self._feed.run, group="feed")

    def freeze_garbage(self) -> None:
        """Turn garbage collection on, except for all present objects: they stay, and scanning them costs 25 ms each
        time."""
        if self._live:
            gc.freeze()
        gc.enable()

    def get_key_display(self, binding: Binding) -> str:
        """Return the key's symbol, or its name if the terminal is ASCII only."""
        symbol = super().get_key_display(binding)
        return symbol if not self._ascii or symbol.isascii() else binding.key.partition(",")[0]

    def watch_app_focus(self, focus: bool) -> None:
        """Focus a screen that was opened while the terminal or the browser's tab had no focus; Textual does not focus
        anything on such a screen."""
        if not focus or not self.screen_stack or self.screen.focused is not None:
            return
        selector = self.AUTO_FOCUS if self.screen.AUTO_FOCUS is None else self.screen.AUTO_FOCUS
        if selector and (widget := next((one for one in self.screen.query(selector) if one.focusable), None)):
            self.screen.set_focus(widget)

    # Defects

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if isinstance(message, (events.Compose, events.Mount)):
                raise
            self._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        """Textual's hook for an unhandled exception."""
        if self._defects is None:
            super()._handle_exception(error)
            return
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            error = error.error
        message = self._defects.note(error)
        if not self.is_running or not self.bench.is_mounted or self._defects.too_many:
            # Without a usable screen the message can only be printed on exit, in one line as every command does.
            self.exit(return_code=EXIT_FAILED, message=Text(f"etui: {message or TOO_MANY}"))
        elif message is not None:
            self.say(message, "error")

    # Notices

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: Severity = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notice unless an equal one is on the screen."""
        seconds = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        sign = {"warning": self.glyphs.flagged, "error": self.glyphs.failed}.get(severity)
        message = f"{sign} {message}" if sign is not None else message
        if not self._shown.is_shown((message, title, severity), seconds):
            super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    @property
    def notice_history(self) -> list[Event]:
        """The notices so far that are kept, oldest first."""
        return list(self._shown.history)

    def on_notify(self) -> None:
        """Remove the oldest notices before another one is added; Textual has no public way to remove one."""
        for old in list(self._notifications)[: 1 - _MOST_NOTICES]:
            self._unnotify(old, refresh=False)
            self._shown.removed((old.message, old.title, old.severity))

    def say(self, message: str, severity: Severity = "information", *, title: str = "", keep: bool = False) -> None:
        """Show a notice. Errors, and with ``keep`` all messages, are also added to the history of notices."""
        message = in_ascii(plain(message)) if self._ascii else plain(message)
        timeout_s = _PROBLEM_S if severity == "error" else None
        self.notify(message, title=title, severity=severity, markup=False, timeout=timeout_s)
        if keep or severity == "error":
            self._shown.remember(
                f"{title}: {message}" if title else message, "info" if severity == "information" else severity
            )

    def complain(self, error: EtuiError, title: str = "") -> None:
        """Report an error in a notice and in the history, with the hint that applies to the screen."""
        self.say(to_text(error), "error", title=title)

    async def offer_undo(self, change: Change, message: str) -> None:
        """Let the user undo a change for a while, and report it with the key for that."""
        await self._undo.offer(change)
        key = self.keys_of(BY_ID["app.undo"])
        self.say(f"{message} Press {key} within {UNDO_S:.0f} seconds to undo.")

    async def action_undo(self) -> None:
        """Undo the last change that can be undone."""
        start(self, self._undo.undo, group="undo")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable undo only if there is something to undo."""
        if action == "undo":
            return self._undo.is_open
        return super().check_action(action, parameters)

    # The terminal outside the screen

    def session_over(self, runs: Sequence[RunSummary]) -> None:
        """Report the end of a session by title, bell and desktop notification."""
        self._signals.session_over(runs)

    def _to_terminal(self, sequence: str) -> None:
        # Textual's driver writes to stderr; its web driver has a protocol of its own.
        if self._driver is not None and not (self.is_headless or self.is_web) and _is_terminal():
            self._driver.write(sequence)

    def restore_title(self) -> None:
        """Restore the terminal's title from before etui; called when the app has ended."""
        if (sequence := self._signals.restore()) and not (self.is_headless or self.is_web) and _is_terminal():
            with contextlib.suppress(OSError):
                os.write(2, sequence.encode())

    # Navigation

    def open_details(self, run_id: str) -> None:
        """Open the details of a run."""
        from etui.tui.screens.details import DetailsScreen

        self.push_screen(DetailsScreen(self.database, run_id))

    def open_comparison(
        self, run_ids: Sequence[str], *, baseline: str | None = None, cursor: str | None = None
    ) -> None:
        """Compare runs with the pinned ``baseline``; without one, with the run under the ``cursor``."""
        from etui.tui.screens.compare import CompareScreen

        self.push_screen(CompareScreen(self.database, run_ids, baseline=baseline, cursor=cursor))

    def open_trend(self, run_id: str) -> None:
        """Open the trend of a run's configuration."""
        from etui.tui.screens.trend import TrendScreen

        self.push_screen(TrendScreen(self.database, run_id))

    def open_model_summary(self, request: Request, run_id: str | None = None) -> None:
        """Summarize a model and show its modules, with the roofline of a run."""
        from etui.tui.screens.model_summary import ModelSummaryScreen

        self.push_screen(ModelSummaryScreen(request, run_id))

    def open_diagram(self, request: Request, document: RunDocument | None = None) -> None:
        """Read the graph of a model and show it, with what a run measured."""
        from etui.tui.screens.diagram import DiagramScreen

        self.push_screen(DiagramScreen(request, document))

    def open_training_check(self, model: str) -> None:
        """Show the last training check of a model, given by name or path, or ask how to make one."""
        from etui.tui.screens.training_check import TrainingCheckScreen

        self.push_screen(TrainingCheckScreen(model))

    def open_trainings(self, model: str = "") -> None:
        """Show the trainings; a new one is suggested for a model, given by name or path."""
        from etui.tui.screens.trainings import TrainingsScreen

        self.push_screen(TrainingsScreen(model))

    def open_peaks(self, threads: int | None = None, measured: Callable[[], None] = lambda: None) -> None:
        """Show the peaks of this machine, or ask to measure those with a number of threads (None: as many as there are
        cores). ``measured`` is called when new ones are stored."""
        from etui.host.cpus import usable_cores
        from etui.tui.screens.peaks import PeaksScreen

        self.push_screen(PeaksScreen(threads or usable_cores(), measured))

    def open_tagging(self, program: Program) -> None:
        """Ask for photos, and tag them with a program."""
        from etui.tui.screens.tag_photos import TagScreen

        self.push_screen(TagScreen(program))

    def open_evaluation(self, programs: Sequence[Program]) -> None:
        """Ask for labelled images, and evaluate programs on them."""
        from etui.tui.screens.evaluate import EvaluateScreen

        self.push_screen(EvaluateScreen(programs))

    def open_prediction(self, request: Request) -> None:
        """Ask for an NPU, and predict a model on it."""
        from etui.tui.screens.predict_npu import PredictScreen

        self.push_screen(PredictScreen(request))

    # Actions of the registry

    def action_command_palette(self) -> None:
        """Find an action, a model or a theme by name."""
        if not CommandPalette.is_open(self):
            self.push_screen(
                CommandPalette(placeholder="Search for an action, a model or a theme", id="--command-palette")
            )

    def action_help(self) -> None:
        """Show the help screen."""
        from etui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            own_scope = getattr(self.screen, "scope", None)
            forwarded_scopes: Collection[Scope] = getattr(self.screen, "forwarded_scopes", tuple)()
            self.push_screen(HelpScreen(self._keys, [*([own_scope] if own_scope else []), *forwarded_scopes]))

    def action_notices(self) -> None:
        """Show the history of notices."""
        from etui.tui.screens.notices import NoticesScreen

        if not isinstance(self.screen, NoticesScreen):
            self.push_screen(NoticesScreen(self.notice_history))

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen as an SVG file in the current folder."""
        name = filename or f"etui-{datetime.now():%Y%m%d-%H%M%S}.svg"
        try:
            written = self.save_screenshot(name, path)
        except OSError as error:
            self.say(f"Cannot write the SVG file here ({error.strerror}); start etui in another folder.", "error")
            return
        self.say(f"Screen saved as {written}", keep=True)

    async def action_quit(self) -> None:
        """Quit; if runs are in progress, print that they continue."""
        snapshot = self.bench.snapshot
        if snapshot is not None and snapshot.sessions:
            self.exit(
                message="Runs continue in the background. Start etui to see them, or stop them with: etui cancel --all"
            )
        else:
            self.exit()

    async def action_quit_now(self) -> None:
        """Quit; bound with priority, so that it works in input fields."""
        await self.action_quit()

    def palette_entries(self) -> Iterable[Entry]:
        """Return the entries of the palette: the actions available on this screen, the models and the themes."""
        from etui.catalog.models import MODELS

        screen = self.screen_below_palette
        own_scope = getattr(screen, "scope", None)
        forwarded_scopes: Collection[Scope] = getattr(screen, "forwarded_scopes", tuple)()
        for scope, group in SCOPE_TITLES.items():
            for action in ACTIONS:
                if action.scope != scope or action.id == "app.command_palette":
                    continue
                if scope == "app":
                    run = partial(self._run_on, self, action.name)
                elif scope == own_scope:
                    run = partial(self._run_on, screen, action.name)
                elif scope in forwarded_scopes:
                    run = partial(self._run_on, screen, f"forward('{action.id}')")
                else:
                    continue
                group = group.partition(":")[0]
                yield Entry(group, action.title, run, self.keys_of(action), action.about, action.synonyms)
        if screen is self.bench:
            for model in MODELS.values():
                pick = partial(self._pick_model, model.name)
                yield Entry("Measure a model", model.name, pick, about=model.title, synonyms="model run choose")
        for name in themes.NAMES:
            run = partial(self._set_theme, name)
            about = "Until etui ends; the config file sets it permanently"
            yield Entry("Theme", name, run, about=about, synonyms="themes colours colors dark light appearance")

    @property
    def screen_below_palette(self) -> Screen[object]:
        """The screen that the user sees, without the palette if that is open."""
        return next(screen for screen in reversed(self.screen_stack) if not isinstance(screen, CommandPalette))

    def key_names(self, action: Action) -> tuple[str, ...]:
        """Return the keys of an action as Textual names them, with those of the config file."""
        keys = self._keys.get(action.id) or ",".join(action.keys)
        return tuple(key.strip() for key in keys.split(","))

    def keys_of(self, action: Action) -> str:
        """Return the keys of an action as they are displayed."""
        return " ".join(self.get_key_display(Binding(key, "", "")) for key in self.key_names(action))

    async def _run_on(self, owner: ScreenHost | Screen[object], action: str) -> None:
        await owner.run_action(action)

    async def _set_theme(self, name: str) -> None:
        self.theme = name

    async def _pick_model(self, name: str) -> None:
        self.bench.pick_model(name)


def _is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False


def run(database: Path, loaded: LoadedConfig) -> int:
    """Run the app until the user quits, and return the exit status."""
    from textual.drivers import linux_driver

    # After tmux attaches again, an incomplete character can arrive; strict decoding would end the input thread
    # (Textualize/textual#6668).
    def lenient_decoder(name: str) -> Callable[[], codecs.IncrementalDecoder]:
        return partial(codecs.getincrementaldecoder(name), errors="replace")

    setattr(linux_driver, "getincrementaldecoder", lenient_decoder)  # noqa: B010 - the module does not export the name
    app = EtuiApp(database, loaded, forgiving=True)
    leave_without_terminal()
    try:
        app.run()
    finally:
        app.restore_title()
    return app.return_code or 0
