"""What a screen can require of the app, so that the screens do not import the app that opens them."""

from __future__ import annotations

from typing import Literal

from textual.app import App

from etui.errors import EtuiError

Severity = Literal["information", "warning", "error"]


class ScreenHost(App[object]):
    """The app as its screens see it."""

    def begin_to_look(self) -> None:
        """Begin to look at the database."""
        raise NotImplementedError

    def stands(self) -> None:
        """Note that all that stays has been made."""
        raise NotImplementedError

    def nudge(self) -> None:
        """Look at the database at once: the user has changed something."""
        raise NotImplementedError

    def say(self, words: str, severity: Severity = "information", *, keep: bool = False) -> None:
        """Show a notice; with ``keep`` also a line of the log."""
        raise NotImplementedError

    def complain(self, error: EtuiError) -> None:
        """Show what went wrong and what to do about it."""
        raise NotImplementedError
