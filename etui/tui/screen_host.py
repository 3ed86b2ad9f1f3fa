"""The interface of the app that its screens use, so that they do not import the app itself."""

from __future__ import annotations

from typing import Literal

from textual.app import App

from etui.errors import EtuiError

Severity = Literal["information", "warning", "error"]


class ScreenHost(App[object]):
    """The part of the app that its screens use."""

    def start_feed(self) -> None:
        """Start reading the database."""
        raise NotImplementedError

    def freeze_garbage(self) -> None:
        """Exclude the objects that exist from garbage collection."""
        raise NotImplementedError

    def nudge(self) -> None:
        """Read the database immediately, because the user has changed something."""
        raise NotImplementedError

    def say(self, message: str, severity: Severity = "information", *, title: str = "", keep: bool = False) -> None:
        """Show a notice; with ``keep`` also a line in the log."""
        raise NotImplementedError

    def complain(self, error: EtuiError, title: str = "") -> None:
        """Show an error with its next step."""
        raise NotImplementedError
