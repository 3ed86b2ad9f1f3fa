"""Expected errors with their cause, the next step and the exit status of a command."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_CROSSED = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_TIMED_OUT = 4
EXIT_CANCELLED = 130


class EtuiError(Exception):
    """An expected failure. ``message`` is the cause, ``hint`` the next step (one line each).

    A hint that names commands or options of the command line comes with a ``screen_hint``, which replaces it on the
    screen and in what is stored; an empty one means that there is no next step other than a command.
    """

    exit_status = EXIT_FAILED

    def __init__(self, message: str, hint: str = "", *, screen_hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.screen_hint = screen_hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    @property
    def without_commands(self) -> str:
        """The message with a hint that does not name the command line, for the screen and for what is stored."""
        hint = self.hint if self.screen_hint is None else self.screen_hint
        return f"{self.message}; {hint}" if hint else self.message


class UsageError(EtuiError):
    """An invalid request, such as an unknown name or an unsupported combination."""

    exit_status = EXIT_USAGE


class StoreError(EtuiError):
    """The database cannot be opened, read or written."""

    exit_status = EXIT_FAILED


class StoreUnavailable(StoreError):
    """The database cannot be read or written at present: it is locked, its disk is full, or reading or writing failed.
    It may work later."""


class ImportRefused(EtuiError):
    """A file has no valid runs to import; none of it was stored."""

    exit_status = EXIT_USAGE


class PreparationError(EtuiError):
    """A program could not be prepared: loading, exporting, quantizing or lowering failed."""


class WeightsError(PreparationError):
    """The requested weights are missing, corrupt or do not fit the model."""
