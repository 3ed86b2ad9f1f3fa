"""Errors a user can act on: what is wrong, what to do, and the exit status each ends a command with."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_CROSSED = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_TIMED_OUT = 4
EXIT_CANCELLED = 130


class EtuiError(Exception):
    """An expected failure. ``message`` says what is wrong, ``hint`` what to do about it (one line each).

    A hint that names commands or options of the command line comes with a ``screen_hint``, which replaces it on the
    screen; an empty one means that there is nothing to do there.
    """

    exit_status = EXIT_FAILED

    def __init__(self, message: str, hint: str = "", *, screen_hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.screen_hint = screen_hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(EtuiError):
    """What was asked for cannot be done as asked: a name that does not exist, an impossible combination."""

    exit_status = EXIT_USAGE


class StoreError(EtuiError):
    """The database cannot be opened, read or written."""

    exit_status = EXIT_FAILED


class StoreUnavailable(StoreError):
    """The database cannot be read or written just now: it is locked, its disk is full, or reading or writing failed.
    The same may work later."""


class ImportRefused(EtuiError):
    """A file does not hold runs that can be imported; nothing of it was stored."""

    exit_status = EXIT_USAGE


class PreparationError(EtuiError):
    """A program could not be prepared: loading, exporting, quantizing or lowering failed."""


class WeightsError(PreparationError):
    """The weights that were asked for are missing, corrupt or do not fit the model."""
