"""The interface of the app that its screens use, so that they import neither the app nor each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from textual.app import App

from etui.actions import Action
from etui.errors import EtuiError
from etui.facts import RunSummary
from etui.tui.database import Database
from etui.tui.undo import Change

if TYPE_CHECKING:
    from etui.results import RunDocument
    from etui.services.score_images import Program
    from etui.services.summarize import Request

Severity = Literal["information", "warning", "error"]


class ScreenHost(App[object]):
    """The part of the app that its screens use: the database, notices, and opening other screens."""

    database: Database

    def start_feed(self) -> None:
        """Start reading the database."""
        raise NotImplementedError

    def freeze_garbage(self) -> None:
        """Exclude the objects that exist from garbage collection."""
        raise NotImplementedError

    # Notices

    def say(self, message: str, severity: Severity = "information", *, title: str = "", keep: bool = False) -> None:
        """Show a notice; with ``keep`` it is also in the history of notices."""
        raise NotImplementedError

    def complain(self, error: EtuiError, title: str = "") -> None:
        """Show an error with its next step, and add it to the history of notices."""
        raise NotImplementedError

    # The terminal outside the screen

    def session_over(self, runs: Sequence[RunSummary]) -> None:
        """Report the end of a session by title, bell and desktop notification."""
        raise NotImplementedError

    async def offer_undo(self, change: Change, message: str) -> None:
        """Let the user undo a change for a while, and report it with the key for that."""
        raise NotImplementedError

    # Keys

    def key_names(self, action: Action) -> tuple[str, ...]:
        """Return the keys of an action as Textual names them, with those of the config file."""
        raise NotImplementedError

    def keys_of(self, action: Action) -> str:
        """Return the keys of an action as they are displayed."""
        raise NotImplementedError

    # Navigation

    def open_details(self, run_id: str) -> None:
        """Open the details of a run."""
        raise NotImplementedError

    def open_comparison(
        self, run_ids: Sequence[str], *, baseline: str | None = None, cursor: str | None = None
    ) -> None:
        """Compare runs with the pinned ``baseline``; without one, with the run under the ``cursor``."""
        raise NotImplementedError

    def open_trend(self, run_id: str) -> None:
        """Open the trend of a run's configuration."""
        raise NotImplementedError

    def open_model_summary(self, request: Request, run_id: str | None = None) -> None:
        """Summarize a model and show its modules, with the roofline of a run."""
        raise NotImplementedError

    def open_diagram(self, request: Request, document: RunDocument | None = None) -> None:
        """Read the graph of a model and show it, with what a run measured."""
        raise NotImplementedError

    def open_training_check(self, model: str) -> None:
        """Show the last training check of a model, given by name or path, or ask how to make one."""
        raise NotImplementedError

    def open_trainings(self, model: str = "") -> None:
        """Show the trainings; a new one is suggested for a model, given by name or path."""
        raise NotImplementedError

    def open_peaks(self, threads: int | None = None, measured: Callable[[], None] = lambda: None) -> None:
        """Show the peaks of this machine, or ask to measure those with a number of threads (None: as many as there are
        cores). ``measured`` is called when new ones are stored."""
        raise NotImplementedError

    def open_tagging(self, program: Program) -> None:
        """Ask for photos, and tag them with a program."""
        raise NotImplementedError

    def open_evaluation(self, programs: Sequence[Program]) -> None:
        """Ask for labelled images, and evaluate programs on them."""
        raise NotImplementedError

    def open_prediction(self, request: Request) -> None:
        """Ask for an NPU, and predict a model on it."""
        raise NotImplementedError
